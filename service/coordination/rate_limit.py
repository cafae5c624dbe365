"""The per-company rate limit and the meter of reads, in rows that all processes share.

Intuit allows a company 10 requests a second and 500 a minute (reference 3.6). One virtual schedule
keeps both: 6 a second with a burst of 2 is at most 8 in any second and 362 in any minute. The other
two are for calls that are delayed on their way and arrive together with later ones.
"""

from collections.abc import Sequence

from sqlalchemy import bindparam, case, func, or_, select
from sqlalchemy.orm import Session

from service.database.tables import Connection, Pace, Reads
from service.database.types import LONGEST_FENCE, database_now, is_over
from service.database.upsert import insert

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
    now = database_now()
    statement = insert(session, Pace).values(connection_id=connection_id, free_at=now + interval)
    over = is_over(Pace.free_at, longest=max(longest_wait, LONGEST_FENCE))
    later = case((over, now), else_=Pace.free_at) + interval
    wait = session.execute(
        statement.on_conflict_do_update(
            index_elements=[Pace.connection_id],
            set_={"free_at": later},
            where=or_(over, Pace.free_at <= now + longest_wait),
        ).returning(Pace.free_at - now)
    ).scalar_one_or_none()
    return None if wait is None else max(0.0, float(wait) - _BURST * interval)


def count_read(session: Session, connection_id: str, month: str, kind: str) -> None:
    """Count one metered read of this kind in `month` (YYYY-MM)."""
    statement = insert(session, Reads).values(
        connection_id=connection_id, month=month, kind=kind, count=1
    )
    session.execute(
        statement.on_conflict_do_update(
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
