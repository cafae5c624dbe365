"""Connecting a company: the link, QuickBooks' consent, the callback."""
