"""What an error means for the next attempt: how long to wait, and when the work has failed."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.exc import (
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,
)

from service.errors import (
    Barred,
    BudgetSpent,
    KeysRefused,
    Poisoned,
    Refused,
    ServiceError,
    StoreFailed,
    SyncError,
    Throttled,
    TooLarge,
    TransientError,
    Unforeseen,
    Unmappable,
    Unrecognised,
)
from service.kit.backoff import LONGEST_PAUSE, backoff
from service.quickbooks.faults import CUT_SHORT, GONE, SPOILT, TIMED_OUT, TOO_LONG

_FIRST_PAUSE = timedelta(seconds=2)
_LONGEST_PAUSE = timedelta(minutes=15)
_FIRST_LONG_PAUSE = timedelta(minutes=1)
_LONGEST_LONG_PAUSE = timedelta(hours=1)
# A record stays wrong until somebody changes it, which sends a notice.
_LONGEST_FOR_A_RECORD = timedelta(days=1)
_THROTTLED_SECONDS = 60.0
_A_FEW_THROTTLES = 10
_LONGEST_THROTTLE_SECONDS = 3600.0
_BARRED_SECONDS = 3600.0
_GIVE_UP_AFTER = timedelta(days=3)
_MANY_ATTEMPTS = 20
_RETURN_SECONDS = 10.0
# Only these are a record's for certain, where it was asked for alone.
_A_BAD_RECORDS = ("4002", SPOILT)
_DATABASE_AWAY = (OperationalError, InternalError, InterfaceError, TimeoutError)


def failure_of(error: BaseException) -> SyncError:
    """Return the SyncError that stands for an unexpected exception."""
    if isinstance(error, SyncError):
        return error
    name = type(error).__name__
    if isinstance(error, SQLAlchemyError):
        return StoreFailed(f"this service's own database failed ({name})")
    if isinstance(error, ServiceError):
        return Unforeseen(str(error))
    return Unforeseen(f"this service failed ({name}): its log says where")


def is_about_the_work(error: BaseException) -> bool:
    """Return whether this piece of work may be to blame: not if the database is away."""
    return not isinstance(error, _DATABASE_AWAY)


def insist(give_back: Callable[[], None]) -> None:
    """Give failed work back, retrying for ten seconds while the database is away.

    Only this process can: any other takes work that was not given back for that of a dead one.
    """
    deadline, pause = time.monotonic() + _RETURN_SECONDS, 0.1
    while True:
        try:
            return give_back()
        except _DATABASE_AWAY:
            if time.monotonic() > deadline:
                raise
            time.sleep(pause)
            pause *= 2


# A query asks for no single object: its 610 (Object Not Found) is about one of its records.
_MAY_BE_ONE_RECORD = (TIMED_OUT, TOO_LONG, CUT_SHORT, GONE)


def may_pass_in_parts(error: SyncError) -> bool:
    """Return whether a smaller request may be answered where this one was not."""
    return isinstance(error, TooLarge | Poisoned) or error.code in _MAY_BE_ONE_RECORD


def may_be_a_records(error: SyncError) -> bool:
    """Return whether one of the objects asked for by id may be to blame."""
    refused = isinstance(error, Refused | Unrecognised) and not isinstance(error, Barred)
    return refused or may_pass_in_parts(error)


def is_ambiguous(error: SyncError) -> bool:
    """Return whether a bad record or QuickBooks itself may be the cause; 4002 means a record."""
    return may_be_a_records(error) and not _is_a_bad_record(error)


def _is_a_bad_record(error: SyncError) -> bool:
    return isinstance(error, Poisoned) and error.code in _A_BAD_RECORDS


def is_hopeless(error: SyncError, since: datetime, attempts: int, now: datetime) -> bool:
    """Return whether what has waited since `since` has failed after so many `attempts`.

    At once if the record itself is to blame. Anything else is tried for three days and at least 20
    times, because the days may have been spent waiting for the supplier. A rate limit, a spent
    budget or wrong keys never make it fail.
    """
    if isinstance(error, Throttled | BudgetSpent | KeysRefused):
        return False
    if isinstance(error, Unmappable) or _is_a_bad_record(error):
        return True
    return since < now - _GIVE_UP_AFTER and attempts >= _MANY_ATTEMPTS


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


def pause_of_run(error: SyncError, failures: int) -> timedelta:
    """Return how long a run waits: from a minute to an hour after what is unlikely to pass soon."""
    if isinstance(error, TransientError | Barred):
        return pause_for(error, failures)
    return backoff(failures, _FIRST_LONG_PAUSE, _LONGEST_LONG_PAUSE)


def pause_of_failed(error: SyncError, attempts: int, *, rarely: bool = False) -> timedelta:
    """Return how long until a failed notice is due again: up to an hour, or `rarely` a day."""
    rarely |= isinstance(error, Unmappable)
    longest = _LONGEST_FOR_A_RECORD if rarely else _LONGEST_LONG_PAUSE
    return backoff(max(0, attempts - 1), _FIRST_LONG_PAUSE, longest)


def why(error: SyncError) -> dict[str, str | None]:
    """Return the error's fields of a log line: error, message, code, intuit_tid."""
    return {
        "error": type(error).__name__,
        "message": str(error),
        "code": error.code,
        "intuit_tid": error.intuit_tid,
    }
