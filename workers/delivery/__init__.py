"""Delivering into Infactor, and polling what people decide there."""
