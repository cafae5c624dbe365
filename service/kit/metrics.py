"""What this process counts for Prometheus; `web/health/metrics.py` adds figures of the database."""

from functools import cache

from prometheus_client import Counter, Histogram

PREFIX = "infactor_quickbooks_"

WEBHOOK_REQUESTS = Counter(
    f"{PREFIX}webhook_requests",
    "Webhook deliveries that this process answered, by what was answered.",
    # stored | unsigned | too_large | not_configured | not_stored, and of what no webhook was
    # known to be: head_too_large | crowded_out | page_crowded_out
    ["outcome"],
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


@cache
def webhook_requests(outcome: str) -> Counter:
    """Return the counter of this answer; cached, as the look-up costs as much as counting."""
    return WEBHOOK_REQUESTS.labels(outcome)


@cache
def notices_received(entity: str, followed: bool) -> Counter:
    return NOTICES_RECEIVED.labels(entity, str(followed).lower())


@cache
def request_seconds(route: str, method: str, status: str) -> Histogram:
    """Return the histogram of these requests; all three labels come from short lists of our own."""
    return REQUEST_SECONDS.labels(route, method, status)
