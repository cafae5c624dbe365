"""What is wrong now, and the figures that an operator looks at first."""
