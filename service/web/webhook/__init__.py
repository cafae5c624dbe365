"""The webhook: verify, store, acknowledge."""
