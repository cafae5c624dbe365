"""What is wrong now, and how things stand."""
