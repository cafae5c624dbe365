"""What this process counts for Prometheus; `web/health/metrics.py` adds figures of the database."""

import collections
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

from prometheus_client import Counter, Histogram

from service.kit.clock import now

PREFIX = "infactor_quickbooks_"

WEBHOOK_REQUESTS = Counter(
    f"{PREFIX}webhook_requests",
    "Webhook deliveries that this process answered, by what was answered.",
    ["outcome"],
)
_OUTCOMES = (
    *("stored", "unsigned", "too_large", "not_configured", "not_stored"),
    # Of what no webhook was known to be.
    *("head_too_large", "crowded_out", "page_crowded_out", "misdirected"),
)
# Else the first of an outcome would begin its series at 1, in which `increase()` sees nothing.
for _outcome in _OUTCOMES:
    WEBHOOK_REQUESTS.labels(_outcome)
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


class AnswerCounter:
    """Counts how webhooks were answered, until the counts are taken."""

    def __init__(self) -> None:
        self._counts: collections.Counter[tuple[int, str]] = (
            collections.Counter()
        )  # by minutes since 1970
        self._lock = threading.Lock()

    def count(self, outcome: str) -> None:
        """Count one answer by its outcome, one of `_OUTCOMES`."""
        webhook_requests(outcome).inc()
        minute = int(now().timestamp()) // 60
        with self._lock:
            self._counts[minute, outcome] += 1

    def take(self) -> Mapping[tuple[datetime, str], int]:
        """Return {(minute, outcome): count} and start again from zero."""
        with self._lock:
            taken, self._counts = self._counts, collections.Counter()
        return {
            (datetime.fromtimestamp(minute * 60, UTC), outcome): count
            for (minute, outcome), count in taken.items()
        }

    def give_back(self, counts: Mapping[tuple[datetime, str], int]) -> None:
        """Add counts that could not be stored."""
        with self._lock:
            for (minute, outcome), count in counts.items():
                self._counts[int(minute.timestamp()) // 60, outcome] += count
