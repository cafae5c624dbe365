"""How long to leave a company alone after a failure, and what the log says about it."""

import random
from datetime import timedelta

from service.errors import SyncError, Throttled, TransientError

_LONGEST_PAUSE_SECONDS = 900.0
_THROTTLED_SECONDS = 60.0


def pause_for(error: SyncError, failures: int) -> timedelta:
    """Return how long to pause after so many failures in a row before this one.

    As long as QuickBooks asked for; else twice as long each time, up to 15 minutes, with jitter.
    """
    if isinstance(error, TransientError) and error.retry_after is not None:
        return timedelta(seconds=error.retry_after)
    if isinstance(error, Throttled):
        return timedelta(seconds=_THROTTLED_SECONDS)
    longest = min(_LONGEST_PAUSE_SECONDS, 2.0 * 2 ** min(failures, 10))
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load


def why(error: SyncError) -> dict[str, str | None]:
    """Return what a log line says about the error."""
    return {
        "error": type(error).__name__,
        "message": str(error),
        "code": error.code,
        "intuit_tid": error.intuit_tid,
    }
