"""Rows of Infactor's own old QuickBooks import."""
