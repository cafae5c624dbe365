"""Clocks that were set, or go wrong: which, by how much, and when that was last seen."""

import time
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from service.database.tables import ClockError
from service.database.types import database_now
from service.database.upsert import insert

DATABASE = "database"
# Further than NTP moves a clock at once, and lets two be apart.
STEP_SECONDS = 30.0
_SLOW_SECONDS = 2.0
# Said for an hour of a step, which is over when it is seen; of a machine while it goes wrong.
_STEP_SAID_SECONDS = 3600.0
_MACHINE_SAID_SECONDS = 180.0


def ahead_of_monotonic(session: Session) -> float | None:
    """Return how far the database's clock, in seconds since 1970, is ahead of `time.monotonic()`.

    None where its answer took too long to say.
    """
    present = select(database_now())
    session.execute(present)  # the first statement may have to connect
    began = time.monotonic()
    theirs = float(session.execute(present).scalar_one())
    ended = time.monotonic()
    return None if ended - began > _SLOW_SECONDS else theirs - (began + ended) / 2


@dataclass(frozen=True, slots=True)
class WrongClock:
    """A clock, the seconds by which it was set or is ahead, and the seconds since it was seen.

    The database's was set; a machine's differs from the database's.
    """

    name: str
    seconds: float
    ago: float


def note(session: Session, name: str, seconds: float) -> None:
    """Note that this clock was set by so many seconds, or is so many ahead of the database's."""
    statement = insert(session, ClockError).values(name=name, seconds=seconds, at=database_now())
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[ClockError.name],
            set_={"seconds": statement.excluded.seconds, "at": database_now()},
        )
    )


_ago = database_now() - ClockError.at
_wrong = (
    select(ClockError.name, ClockError.seconds, _ago)
    .where(
        or_(
            func.abs(_ago) < _MACHINE_SAID_SECONDS,
            (ClockError.name == DATABASE) & (func.abs(_ago) < _STEP_SAID_SECONDS),
        )
    )
    .order_by(ClockError.name)
)


def seconds_since_step(session: Session) -> float | None:
    """Return how long ago the database's clock was last seen to be set, None if it never was."""
    ago = session.scalars(select(_ago).where(ClockError.name == DATABASE, _ago >= 0.0)).first()
    return None if ago is None else float(ago)


def wrong(session: Session) -> list[WrongClock]:
    """Return the clocks that were set within the last hour, or are wrong."""
    return [
        WrongClock(name, seconds, max(0.0, ago)) for name, seconds, ago in session.execute(_wrong)
    ]
