"""Rows read and written for the work itself; the functions take a session and never commit."""
