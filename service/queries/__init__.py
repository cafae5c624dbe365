"""What pages, commands and metrics look at; only `notices.replay` and samples write."""
