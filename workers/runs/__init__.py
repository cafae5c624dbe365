"""Backfill and reconcile, one checkpointed step at a time."""
