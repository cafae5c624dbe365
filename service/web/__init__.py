"""The web edge: Intuit's webhook, the connect flow, the suppliers' pages, health."""
