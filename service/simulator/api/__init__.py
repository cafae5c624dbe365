"""The accounting API."""
