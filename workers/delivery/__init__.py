"""Delivering into Infactor, and looking at what became of it there."""
