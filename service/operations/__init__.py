"""What operators do. Each action leaves a line in the audit."""
