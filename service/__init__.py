"""Carries suppliers' QuickBooks invoices into Infactor and keeps them true."""
