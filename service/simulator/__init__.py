"""A stand-in for Intuit: OAuth, accounting API and webhooks of QuickBooks Online on one host.

It imports only `service.kit`, so that it cannot share a misunderstanding with the tested code.
"""
