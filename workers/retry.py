"""What an error means for the next attempt: how long to wait, and when to give up."""

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
from service.kit.backoff import LONGEST_PAUSE, backoff
from service.quickbooks.faults import CUT_SHORT, GONE
from service.quickbooks.http import TIMED_OUT, TOO_LONG

_FIRST_PAUSE = timedelta(seconds=2)
_LONGEST_PAUSE = timedelta(minutes=15)
_THROTTLED_SECONDS = 60.0
_A_FEW_THROTTLES = 10
_LONGEST_THROTTLE_SECONDS = 3600.0
_BARRED_SECONDS = 3600.0
_GIVE_UP_AFTER = timedelta(days=3)
_MANY_ATTEMPTS = 20
_MOST_UNRECOGNISED = 3


# A query asks for no single object: its 610 (Object Not Found) is about one of its records.
_MAY_BE_ONE_RECORD = (TIMED_OUT, TOO_LONG, CUT_SHORT, GONE)


def may_pass_in_parts(error: SyncError) -> bool:
    """Return whether a smaller request may be answered where this one was not."""
    return isinstance(error, TooLarge | Poisoned) or error.code in _MAY_BE_ONE_RECORD


def is_ambiguous(error: SyncError) -> bool:
    """Return whether the cause may be a bad record or QuickBooks itself."""
    if isinstance(error, Poisoned):
        return error.code == "10000"
    return isinstance(error, TransientError) and error.code in _MAY_BE_ONE_RECORD


def is_hopeless(error: SyncError, since: datetime, attempts: int, now: datetime) -> bool:
    """Return whether to give up after `attempts` on something that has waited since `since`.

    What may pass is tried for three days and at least 20 times, because the days may have been
    spent waiting for the supplier. An unknown answer is tried three times. A rate limit or a spent
    budget is never given up; anything else is at once.
    """
    if isinstance(error, Throttled | BudgetSpent):
        return False
    if isinstance(error, Unrecognised):
        return attempts >= _MOST_UNRECOGNISED
    if isinstance(error, TransientError | Barred) or is_ambiguous(error):
        return since < now - _GIVE_UP_AFTER and attempts >= _MANY_ATTEMPTS
    return True


def pause_for(error: SyncError, failures: int) -> timedelta:
    """Return how long to wait after this error and `failures` earlier ones in a row.

    As long as QuickBooks asked for; an hour if access is barred; otherwise doubling from 2 s to 15
    minutes, with jitter. A lasting 429 is retried up to an hour apart: it may be the month's limit.
    """
    return min(_pause_for(error, failures), LONGEST_PAUSE)


def _pause_for(error: SyncError, failures: int) -> timedelta:
    if isinstance(error, Throttled):
        asked = error.retry_after or _THROTTLED_SECONDS
        lasting = asked * 2.0 ** max(0, min(failures, 20) - _A_FEW_THROTTLES)
        return timedelta(seconds=max(asked, min(lasting, _LONGEST_THROTTLE_SECONDS)))
    if isinstance(error, TransientError) and error.retry_after is not None:
        return max(timedelta(seconds=error.retry_after), _FIRST_PAUSE)
    if isinstance(error, Barred):
        return timedelta(seconds=_BARRED_SECONDS)
    return backoff(failures, _FIRST_PAUSE, _LONGEST_PAUSE)


def concerns_the_company(error: SyncError) -> bool:
    """Return whether to pause the whole company, not only what failed."""
    return isinstance(error, Barred) or not isinstance(error, PermanentError)


def why(error: SyncError) -> dict[str, str | None]:
    """Return the error's fields of a log line: error, message, code, intuit_tid."""
    return {
        "error": type(error).__name__,
        "message": str(error),
        "code": error.code,
        "intuit_tid": error.intuit_tid,
    }
