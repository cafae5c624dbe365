"""The service's clock: aware instants in UTC, never naive local time."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)
