"""Reads from QuickBooks: by id, by change, and the customers. Records nothing."""
