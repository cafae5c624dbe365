"""The supplier's pages."""
