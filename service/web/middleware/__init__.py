"""ASGI middleware of all requests."""
