"""The background work: Dramatiq's actors, and the use cases that they call."""
