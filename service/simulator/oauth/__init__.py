"""OAuth and the consent page."""
