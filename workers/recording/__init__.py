"""Records what was read: version guard, revision, outcome. Never calls QuickBooks."""
