"""What is counted for Prometheus."""

from prometheus_client import Counter

WEBHOOK_REQUESTS = Counter(
    "webhook_requests",
    "Webhook deliveries by what was answered.",
    ["outcome"],  # stored | unsigned | too_large | not_configured | not_stored
)
NOTICES_RECEIVED = Counter(
    "notices_received",
    "Events in correctly signed deliveries, repetitions included.",
    ["entity", "followed"],
)
