"""What runs in the background: Dramatiq's actors, and the use cases that they call."""
