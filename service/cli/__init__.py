"""`infactor-quickbooks …`: the commands, and the one place that may import everything."""
