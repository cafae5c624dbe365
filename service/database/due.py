"""When what waits may go on, though the clock was set back since its time was written.

A time that lies further ahead than anybody lets anything wait was written by a clock that has been
set back. It counts as over: else work would stand still until the clock is there again.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_
from sqlalchemy.sql.elements import SQLCoreOperations

from service.database.types import database_now
from service.kit.backoff import LONGEST_PAUSE

LONGEST_FENCE = 60.0
"""The longest, in seconds, that a lease or a breaker keeps others out."""


def has_come(
    due_at: SQLCoreOperations[Any], now: datetime, longest: timedelta = LONGEST_PAUSE
) -> ColumnElement[bool]:
    """A condition: this time, if there is one, has come; nobody waits longer than `longest`."""
    return or_(due_at.is_(None), due_at <= now, due_at > now + longest)


def waits(due_at: datetime | None, now: datetime) -> bool:
    """Return whether this time, if there is one, has still to come; see `has_come`."""
    return due_at is not None and now < due_at <= now + LONGEST_PAUSE


def is_over(until: SQLCoreOperations[Any], longest: float = LONGEST_FENCE) -> ColumnElement[bool]:
    """A condition: a moment of the database's clock has passed; see `has_come`."""
    now = database_now()
    return or_(until <= now, until > now + longest)
