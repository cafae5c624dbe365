"""Believable companies."""
