"""The web edge: Intuit's webhook, the connect flow, the pages, health and metrics."""
