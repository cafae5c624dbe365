"""Reading from QuickBooks: by id, by change, and the customers."""
