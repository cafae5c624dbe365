"""Which times of QuickBooks' can be: those that the database's clock has reached, or nearly.

A version or a watermark from the future would stand for ever: nothing true is newer. So a time
that lies further ahead is not believed; it is noted, so that an operator is alerted.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import case, literal, select, update
from sqlalchemy.orm import Session

from service.database.engine import rows_of
from service.database.tables import Connection
from service.database.types import Instant, database_now

AHEAD = timedelta(minutes=10)
"""How far the clocks of QuickBooks and of the database may differ."""


_DATABASE_NOW = select(database_now())


def database_time(session: Session) -> datetime:
    """Return the present by the database's clock."""
    return datetime.fromtimestamp(rows_of(session, _DATABASE_NOW).scalar_one(), UTC)


def latest(session: Session) -> datetime:
    """Return the latest time that is believed at this moment."""
    return database_time(session) + AHEAD


def believed(session: Session, time: datetime) -> datetime:
    """Return the time, or the present by the database's clock where the time is not believed."""
    return time if time <= latest(session) else database_time(session)


def note_ahead(session: Session, connection_id: str, time: datetime) -> None:
    """Note the latest time that QuickBooks has said of the company and that is not believed."""
    latest_said = case(
        (Connection.time_ahead > time, Connection.time_ahead), else_=literal(time, Instant)
    )
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(time_ahead=latest_said, time_ahead_at=database_time(session))
    )


def forget_ahead(session: Session, connection_id: str, before: datetime) -> None:
    """Forget what was noted of the company before that moment of the database's clock."""
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.time_ahead_at < before)
        .values(time_ahead=None, time_ahead_at=None)
    )
