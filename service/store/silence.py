"""How long a company is usually silent, and so when its webhooks have stopped against its habit.

A company that always was quiet has no habit. The rest are measured by their longest pause in the
30 days before the last webhook: nights, weekends and holidays are in it, a burst is not. The time
for which its connection had ended says nothing of its habit, nor is a company silent since then.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import ColumnElement, ScalarSelect, and_, func, select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, Notice
from service.domain import ConnectionState

LEARNT_FROM = timedelta(days=30)
# Hours in which a webhook came, and the days that they are spread over at least.
_LEAST_HOURS = 20
_LEAST_DAYS = timedelta(days=14)
_LEAST_SILENCE = timedelta(days=1)
_BEYOND_THE_LONGEST = 1.5


def silent_after(times: Sequence[datetime], renewed_at: datetime | None = None) -> timedelta | None:
    """Return after what time without a webhook a company is silent against its habit, or None.

    `times` are those of its webhooks, ascending. The pause in which it was connected again, at
    `renewed_at`, is none of its own.
    """
    hours = {time.replace(minute=0, second=0, microsecond=0) for time in times}
    if len(hours) < _LEAST_HOURS or times[-1] - times[0] < _LEAST_DAYS:
        return None
    pauses = (
        later - earlier
        for earlier, later in pairwise(times)
        if renewed_at is None or not earlier < renewed_at <= later
    )
    longest = max(pauses, default=timedelta())
    return max(_LEAST_SILENCE, longest * _BEYOND_THE_LONGEST)


def learn(session: Session, connection_id: str) -> None:
    """Keep after what time the company counts as silent, from the webhooks that have come."""
    renewed_at = session.scalars(
        select(Connection.renewed_at).where(Connection.id == connection_id)
    ).first()
    last = session.execute(
        select(func.max(Notice.received_at)).where(_webhook(connection_id))
    ).scalar_one()
    times: Sequence[datetime] = ()
    if last is not None:
        lately = Notice.received_at >= last - LEARNT_FROM
        times = session.scalars(
            select(Notice.received_at)
            .where(_webhook(connection_id), lately)
            .order_by(Notice.received_at)
        ).all()
    longest = silent_after(times, renewed_at)
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(silent_after=None if longest is None else int(longest.total_seconds()))
    )


def _webhook(connection_id: str) -> ColumnElement[bool]:
    return and_(Notice.connection_id == connection_id, Notice.format != "own")


def companies(session: Session, environment: str) -> Sequence[str]:
    """Return the ids of the connections from which webhooks are to come."""
    return session.scalars(
        select(Connection.id)
        .where(Connection.environment == environment, Connection.state == ConnectionState.CONNECTED)
        .order_by(Connection.id)
    ).all()


def last_webhook() -> ScalarSelect[datetime]:
    """Return a subquery for when the connection's last webhook came, by an index."""
    return (
        select(Notice.received_at)
        .where(Notice.connection_id == Connection.id, Notice.format != "own")
        .order_by(Notice.received_at.desc())
        .limit(1)
        .scalar_subquery()
    )
