"""Read models: what pages and commands look at. Nothing here writes."""
