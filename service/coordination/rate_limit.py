"""The per-company rate limit and the meter of reads, in rows that all processes share.

Intuit allows a company 10 requests a second and 500 a minute (reference 3.6). One virtual schedule
keeps both: 6 a second with a burst of 2 is at most 8 in any second and 362 in any minute. The other
two are for calls that are delayed on their way and arrive together with later ones.
"""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Float, bindparam, case, func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from service.database.tables import Connection, Pace, Reads
from service.database.types import LONGEST_FENCE, database_now, is_over
from service.database.upsert import Insert, insert_for

INTERVAL = 1 / 6
_BURST = 2


def reserve(
    session: Session, connection_id: str, longest_wait: float, interval: float = INTERVAL
) -> float | None:
    """Reserve one call in the company's schedule; return the seconds to wait for it.

    None, and nothing is reserved, when the queue is longer than `longest_wait` seconds. Generic
    cell rate algorithm: each call moves `free_at` on by `interval` seconds, and a call may be
    early by the burst.
    """
    given = {
        "company": connection_id,
        "interval": interval,
        "longest_wait": longest_wait,
        "longest": max(longest_wait, LONGEST_FENCE),
    }
    reserving = _reserving(session.get_bind().dialect.name)
    wait = session.connection().execute(reserving, given).scalar_one_or_none()
    return None if wait is None else max(0.0, float(wait) - _BURST * interval)


@cache
def _reserving(dialect: str) -> ReturningInsert[float]:
    now, interval = database_now(), bindparam("interval", type_=Float)
    over = is_over(Pace.free_at, longest=bindparam("longest", type_=Float))
    later = case((over, now), else_=Pace.free_at) + interval
    return (
        insert_for(dialect, Pace)
        .values(connection_id=bindparam("company"), free_at=now + interval)
        .on_conflict_do_update(
            index_elements=[Pace.connection_id],
            set_={"free_at": later},
            where=or_(over, Pace.free_at <= now + bindparam("longest_wait", type_=Float)),
        )
        .returning(Pace.free_at - now)
    )


def count_read(session: Session, connection_id: str, month: str, kind: str) -> None:
    """Count one metered read of this kind in `month` (YYYY-MM)."""
    given = {"company": connection_id, "in_month": month, "of_kind": kind}
    session.connection().execute(_counting(session.get_bind().dialect.name), given)


@cache
def _counting(dialect: str) -> Insert:
    return (
        insert_for(dialect, Reads)
        .values(
            connection_id=bindparam("company"),
            month=bindparam("in_month"),
            kind=bindparam("of_kind"),
            count=1,
        )
        .on_conflict_do_update(
            index_elements=[Reads.connection_id, Reads.month, Reads.kind],
            set_={"count": Reads.count + 1},
        )
    )


_used = select(func.coalesce(func.sum(Reads.count), 0)).where(Reads.month == bindparam("month"))


def reads_used(session: Session, month: str) -> int:
    """Return how many metered reads all companies have made in `month`."""
    return int(session.execute(_used, {"month": month}).scalar_one())


def most_reads(session: Session, month: str, limit: int) -> Sequence[tuple[str, str, int]]:
    """Return (connection id, company name, reads in `month`) of those with the most."""
    total = func.sum(Reads.count).label("total")
    rows = session.execute(
        select(Connection.id, Connection.company_name, total)
        .join(Reads, Reads.connection_id == Connection.id)
        .where(Reads.month == month)
        .group_by(Connection.id, Connection.company_name)
        .order_by(total.desc(), Connection.id)
        .limit(limit)
    )
    return [(connection_id, name, int(count)) for connection_id, name, count in rows]


def reads_by_connection(session: Session, month: str) -> dict[str, int]:
    """Return the reads in `month` by connection id."""
    totals: dict[str, int] = {}
    for row in session.scalars(select(Reads).where(Reads.month == month)):
        totals[row.connection_id] = totals.get(row.connection_id, 0) + row.count
    return totals
