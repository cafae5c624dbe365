"""`/_sim`: orders for programs."""
