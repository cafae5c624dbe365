"""Until when a company's changes have been read and reconciled, and when it is reconciled next."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, Run
from service.domain import RunKind, RunState
from service.store.connections import may_be_called

RECONCILE_EVERY = timedelta(days=1)


def changes_read_until(session: Session, connection_id: str) -> datetime:
    return session.execute(
        select(Connection.changes_read_until).where(Connection.id == connection_id)
    ).scalar_one()


def changes_read(session: Session, connection_id: str, until: datetime) -> None:
    """Move the watermark of changes forward; it never moves back."""
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.changes_read_until < until)
        .values(changes_read_until=until)
    )


def to_reconcile(
    session: Session, environment: str, now: datetime, limit: int
) -> Sequence[Connection]:
    """Return the connections whose reconcile is due and has not begun, the longest due first.

    It waits for an active backfill, which would read the same, unless that waits itself.
    """
    busy = select(Run.id).where(
        Run.connection_id == Connection.id,
        Run.state == RunState.ACTIVE,
        or_(Run.kind == RunKind.RECONCILE, Run.due_at.is_(None), Run.due_at <= now),
    )
    return session.scalars(
        select(Connection)
        .where(may_be_called(environment, now), Connection.reconcile_due_at <= now, ~busy.exists())
        .order_by(Connection.reconcile_due_at)
        .limit(limit)
    ).all()


def reconciled_until(session: Session, connection_id: str) -> datetime:
    return session.execute(
        select(Connection.reconciled_until).where(Connection.id == connection_id)
    ).scalar_one()


def reconciled(session: Session, connection_id: str, until: datetime, now: datetime) -> None:
    """Note that all up to `until`, by QuickBooks' clock, was reconciled; next due in a day."""
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.reconciled_until < until)
        .values(reconciled_until=until)
    )
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(reconciled_at=now, reconcile_due_at=now + RECONCILE_EVERY)
    )


def reconcile_at(session: Session, connection_id: str, due_at: datetime) -> None:
    session.execute(
        update(Connection).where(Connection.id == connection_id).values(reconcile_due_at=due_at)
    )
