"""Carries suppliers' QuickBooks invoices into Infactor and keeps them up to date."""
