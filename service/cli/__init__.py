"""The commands of `infactor-quickbooks`; may import every other package."""
