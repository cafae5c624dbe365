"""Whether a company is known to be recorded as QuickBooks has it, and since when.

A company is proved by a look at everything that changed or was deleted since the last one: a
reconcile, or a full backfill. A read by notice proves one invoice alone, and a query for changes
shows no deletions. Single records that such a look could not show or record are told as notices;
they leave the rest proved. A new company is proved as it is connected, for nothing is recorded yet.

The proof is lost when the connection ends or is paused. What was read before then proves nothing
afterwards: the fetch number decides, so no clocks are compared.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, select, update
from sqlalchemy.orm import Session

from service.database.engine import rows_of
from service.database.tables import Connection
from service.database.types import Instant, Moment
from service.domain import ConnectionState

LOST: Mapping[str, Any] = {
    "proved_at": None,
    "judged_by": "",  # though the proof is found again before anybody has judged
    "fetch_number": Connection.fetch_number + 1,
    "proof_lost": Connection.fetch_number + 1,
}
"""What an update of a connection sets as its proof is lost; the number drawn is nobody's read."""


def prove(session: Session, connection_id: str, fetch_number: int, now: datetime) -> bool:
    """Note that a look has proved the company; return whether it counts.

    `fetch_number` is not higher than that of the look's first read. One that began before the proof
    was lost does not count, and the company is asked for its changes at once.
    """
    alive = and_(
        Connection.id == connection_id,
        Connection.state == ConnectionState.CONNECTED,
        Connection.suspended_at.is_(None),
    )
    proved = session.execute(
        update(Connection)
        .where(alive, Connection.proof_lost <= fetch_number)
        .values(proved_at=now)
        .returning(Connection.id)
    )
    if proved.first() is not None:
        return True
    session.execute(update(Connection).where(alive).values(reconcile_due_at=now))
    return False


def period(hours: int, now: datetime) -> tuple[datetime, datetime]:
    """Return (from when, until when) a proof counts at this moment, for so many hours.

    One that the clock has put into the future before it was set back counts no longer than that.
    """
    longest = timedelta(hours=hours)
    return now - longest, now + longest


def is_proved(first: Moment, last: Moment) -> ColumnElement[bool]:
    """A condition: the connection lives, and its company was proved in this period."""
    return and_(
        Connection.state == ConnectionState.CONNECTED,
        Connection.suspended_at.is_(None),
        Connection.proved_at.is_not(None),
        Connection.proved_at.between(first, last),
    )


def is_company_proved(session: Session, connection_id: str, hours: int, now: datetime) -> bool:
    """Return whether this company is proved."""
    first, last = period(hours, now)
    given = {"company": connection_id, "first": first, "last": last}
    return rows_of(session, _PROVED, given).first() is not None


_PROVED = select(Connection.id).where(
    Connection.id == bindparam("company"),
    is_proved(bindparam("first", type_=Instant), bindparam("last", type_=Instant)),
)
