"""Recording what was read: version guard, revision, outcome."""
