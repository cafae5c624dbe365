"""The service's clock: aware instants in UTC, never naive local time.

A process whose own clock is wrong, or is set, must not order or space work by it. So a process that
works follows the database's clock, which all share, and counts the seconds between by itself.
"""

import time
from datetime import UTC, datetime


class _Followed:
    """How far the followed clock, in seconds since 1970, is ahead of `time.monotonic()`."""

    ahead: float | None = None


def now() -> datetime:
    followed = followed_now()
    return datetime.now(UTC) if followed is None else datetime.fromtimestamp(followed, UTC)


def followed_now() -> float | None:
    """Return the present in seconds since 1970 by the followed clock, None where none is."""
    return None if _Followed.ahead is None else time.monotonic() + _Followed.ahead


def follow(ahead: float | None) -> None:
    """Let `now` follow a clock that is `ahead` of `time.monotonic()`; None is this process' own."""
    _Followed.ahead = ahead
