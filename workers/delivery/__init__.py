"""Delivers to Infactor's database, and polls what people decide there."""
