"""What this process counts for Prometheus; what the database knows is in `web/collector.py`."""

from prometheus_client import Counter, Histogram

PREFIX = "infactor_quickbooks_"

WEBHOOK_REQUESTS = Counter(
    f"{PREFIX}webhook_requests",
    "Webhook deliveries that this process answered, by what was answered.",
    ["outcome"],  # stored | unsigned | too_large | not_configured | not_stored
)
NOTICES_RECEIVED = Counter(
    f"{PREFIX}notices_received",
    "Events in correctly signed deliveries to this process, repetitions included.",
    ["entity", "followed"],
)
REQUEST_SECONDS = Histogram(
    f"{PREFIX}request_duration_seconds",
    "How long this process took to answer; Intuit waits 3 seconds for its webhook.",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0),
)
