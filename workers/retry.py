"""What a failure means: how long to wait, when to give up, and what the log says about it."""

from datetime import datetime, timedelta

from service.errors import (
    Barred,
    BudgetSpent,
    PermanentError,
    Poisoned,
    SyncError,
    Throttled,
    TooLarge,
    TransientError,
    Unrecognised,
)
from service.kit.backoff import backoff
from service.quickbooks.faults import GONE
from service.quickbooks.http import TIMED_OUT

_FIRST_PAUSE = timedelta(seconds=2)
_LONGEST_PAUSE = timedelta(minutes=15)
_THROTTLED_SECONDS = 60.0
_A_FEW_THROTTLES = 10
_LONGEST_THROTTLE_SECONDS = 3600.0
_BARRED_SECONDS = 3600.0
_GIVE_UP_AFTER = timedelta(days=3)
_MANY_ATTEMPTS = 20
_MOST_UNRECOGNISED = 3


# Of a query, which asks for no object in particular: one of its records may be what is "gone".
_MAY_BE_ONE_RECORD = (TIMED_OUT, GONE)


def may_pass_in_parts(error: SyncError) -> bool:
    """Return whether a part of what was asked for may be answered where the whole was not."""
    return isinstance(error, TooLarge | Poisoned) or error.code in _MAY_BE_ONE_RECORD


def is_ambiguous(error: SyncError) -> bool:
    """Return whether the error may be a bad record's or QuickBooks' own.

    Code 10000 stands for both, and a query that takes too long may be held up by either.
    """
    if isinstance(error, Poisoned):
        return error.code == "10000"
    return isinstance(error, TransientError) and error.code in _MAY_BE_ONE_RECORD


def is_hopeless(error: SyncError, since: datetime, attempts: int, now: datetime) -> bool:
    """Return whether to stop after so many attempts at something that waits since then.

    What may pass is tried for three days, and often: the days may have been spent waiting for the
    supplier. An answer that nobody knows is tried three times. A limit ends some day, if only with
    the month: what waits for that is never given up.
    """
    if isinstance(error, Throttled | BudgetSpent):
        return False
    if isinstance(error, Unrecognised):
        return attempts >= _MOST_UNRECOGNISED
    if isinstance(error, TransientError | Barred) or is_ambiguous(error):
        return since < now - _GIVE_UP_AFTER and attempts >= _MANY_ATTEMPTS
    return True


def pause_for(error: SyncError, failures: int) -> timedelta:
    """Return how long to pause after so many failures in a row before this one.

    As long as QuickBooks asked for; else twice as long each time, up to 15 minutes, with jitter.
    A 429 that lasts is asked about less and less often: it may be the month's.
    """
    if isinstance(error, Throttled):
        asked = error.retry_after or _THROTTLED_SECONDS
        lasting = asked * 2.0 ** max(0, min(failures, 20) - _A_FEW_THROTTLES)
        return timedelta(seconds=max(asked, min(lasting, _LONGEST_THROTTLE_SECONDS)))
    if isinstance(error, TransientError) and error.retry_after is not None:
        return timedelta(seconds=error.retry_after)
    if isinstance(error, Barred):
        return timedelta(seconds=_BARRED_SECONDS)
    return backoff(failures, _FIRST_PAUSE, _LONGEST_PAUSE)


def concerns_the_company(error: SyncError) -> bool:
    """Return whether to leave the whole company alone, not only what failed."""
    return isinstance(error, Barred) or not isinstance(error, PermanentError)


def why(error: SyncError) -> dict[str, str | None]:
    """Return what a log line says about the error."""
    return {
        "error": type(error).__name__,
        "message": str(error),
        "code": error.code,
        "intuit_tid": error.intuit_tid,
    }
