"""Intuit's protocols: webhooks, OAuth 2.0 and the accounting API of QuickBooks Online.

Knows no table and nothing of Infactor. "Reference" in a docstring means the project's page of
QuickBooks protocol facts, with its section.
"""
