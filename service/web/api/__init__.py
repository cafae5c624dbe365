"""The API for Infactor's own server, under `/api/v1`."""
