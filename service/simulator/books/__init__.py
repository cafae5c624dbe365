"""The companies' books."""
