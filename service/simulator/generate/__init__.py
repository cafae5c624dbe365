"""Generated companies."""
