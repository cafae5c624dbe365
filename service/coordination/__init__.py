"""What processes share: leases, the circuit breaker, rate limits, heartbeats."""
