"""`/_sim`: commands for programs."""
