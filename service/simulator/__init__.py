"""A stand-in for Intuit: OAuth, the accounting API and webhooks of QuickBooks Online on one host.

It imports nothing from the rest of the project, so that it cannot share a misunderstanding with
the code that is tested against it.
"""
