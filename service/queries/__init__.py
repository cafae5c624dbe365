"""What pages, commands and metrics show; only `notices.replay` and samples write."""
