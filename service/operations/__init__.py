"""What operators do: each once, each in the audit."""
