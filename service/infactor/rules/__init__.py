"""What a lender asks of an invoice before money is lent on it; functions of values only."""
