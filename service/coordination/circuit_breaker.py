"""Circuit breakers: while something that all need is away, one process at a time tries it.

Times are seconds of the database's own clock.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from service.database.tables import Breaker
from service.database.types import database_now, is_over
from service.database.upsert import insert
from service.kit.backoff import backoff

INFACTOR = "infactor"
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=1)
# Who tries it is alone for this long.
_TRIAL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Broken:
    """For how many seconds something has been away, and why."""

    seconds: float
    why: str


def may_try(session: Session, name: str) -> bool:
    """Return whether to try it now: it works, or it is this caller's turn, for 30 seconds."""
    failures = session.scalars(select(Breaker.failures).where(Breaker.name == name)).first()
    if not failures:
        return True
    now = database_now()
    turn = session.execute(
        update(Breaker)
        .where(Breaker.name == name, is_over(Breaker.open_until))
        .values(open_until=now + _TRIAL_SECONDS)
        .returning(Breaker.name)
    )
    return turn.first() is not None


def failed(session: Session, name: str, why: str) -> None:
    """Note that it was away; pauses between trials double, up to a minute, and are random."""
    now = database_now()
    failures = session.scalars(select(Breaker.failures).where(Breaker.name == name)).first() or 0
    pause = backoff(failures, _FIRST_PAUSE, _LONGEST_PAUSE).total_seconds()
    since = case((Breaker.since > now, now), else_=Breaker.since)  # the clock may be set back
    statement = insert(session, Breaker).values(
        name=name, failures=1, since=now, open_until=now + pause, error=why
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Breaker.name],
            set_={
                "failures": failures + 1,
                "since": now if failures == 0 else since,
                "open_until": now + pause,
                "error": why,
            },
        )
    )


def works(session: Session, name: str) -> None:
    """Note that it works again."""
    session.execute(
        update(Breaker)
        .where(Breaker.name == name, Breaker.failures > 0)
        .values(failures=0, since=None, open_until=0.0, error=None)
    )


def broken(session: Session, name: str) -> Broken | None:
    """Return for how long it has been away, or None while it works."""
    row = session.execute(
        select(database_now() - Breaker.since, Breaker.error).where(
            Breaker.name == name, Breaker.failures > 0
        )
    ).first()
    return None if row is None else Broken(max(0.0, float(row[0])), row[1] or "")
