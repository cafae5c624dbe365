"""Until when a company's changes have been read and reconciled, and when it is reconciled next."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import BindParameter, ColumnElement, and_, case, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.database.tables import Connection, Run
from service.database.types import has_come
from service.domain import RunKind, RunState
from service.store import documents, quickbooks_times
from service.store.connections import may_be_called

RECONCILE_EVERY = timedelta(days=1)
RECONCILE_FINANCED_EVERY = timedelta(hours=1)
_SOONER = RECONCILE_EVERY - RECONCILE_FINANCED_EVERY
_LONGEST_WAIT = RECONCILE_EVERY + timedelta(minutes=1)
_AHEAD_COUNTS_AS = timedelta(days=1)


def changes_read_until(session: Session, connection_id: str) -> datetime:
    """Return the watermark up to which everything that changed has been read.

    In the stead of one that lies ahead of the database's clock, a day ago: what changes from now on
    is found, whatever was missed.
    """
    until = session.execute(
        select(Connection.changes_read_until).where(Connection.id == connection_id)
    ).scalar_one()
    if until <= quickbooks_times.latest(session):
        return until
    return quickbooks_times.database_time(session) - _AHEAD_COUNTS_AS


def changes_read(session: Session, connection_id: str, until: datetime) -> None:
    """Move the watermark of changes forward; it never moves back, nor ahead of the clock."""
    if _is_believed(session, connection_id, until):
        session.execute(
            update(Connection)
            .where(Connection.id == connection_id, Connection.changes_read_until < until)
            .values(changes_read_until=until)
        )


def _is_believed(session: Session, connection_id: str, until: datetime) -> bool:
    """Return whether a watermark may stand there; else note what QuickBooks has said."""
    if until <= quickbooks_times.latest(session):
        return True
    quickbooks_times.note_ahead(session, connection_id, until)
    return False


def are_ahead(session: Session, connection_id: str) -> bool:
    """Return whether a watermark of the company lies ahead of the database's clock."""
    ahead = session.execute(
        select(Connection.id).where(
            Connection.id == connection_id, is_ahead(quickbooks_times.latest(session))
        )
    )
    return ahead.first() is not None


def is_ahead(latest: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Say of a connection that one of its watermarks is later than what is believed."""
    return or_(Connection.changes_read_until > latest, Connection.reconciled_until > latest)


def reset(session: Session, connection_id: str, now: datetime) -> bool:
    """Put watermarks that lie ahead back to where the company was connected, and reconcile it.

    Returns whether there was one, or QuickBooks had said a time ahead, which is forgotten.
    """
    latest, before = quickbooks_times.latest(session), quickbooks_times.database_time(session)

    def sane(column: InstrumentedAttribute[datetime]) -> ColumnElement[datetime]:
        start = case((Connection.connected_at > latest, before), else_=Connection.connected_at)
        return case((column > latest, start), else_=column)

    done = session.execute(
        update(Connection)
        .where(
            Connection.id == connection_id,
            or_(is_ahead(latest), Connection.time_ahead.is_not(None)),
        )
        .values(
            changes_read_until=sane(Connection.changes_read_until),
            reconciled_until=sane(Connection.reconciled_until),
            reconcile_due_at=now,
            time_ahead=None,
            time_ahead_at=None,
        )
        .returning(Connection.id)
    )
    return done.first() is not None


def to_reconcile(
    session: Session, environment: str, now: datetime, limit: int
) -> Sequence[Connection]:
    """Return the connections whose reconcile is due and has not begun, the longest due first.

    A financed company's is due by so much sooner as it is reconciled more often. It waits for an
    active backfill, which would read the same, unless that waits itself.
    """
    sooner = and_(documents.is_financed(), Connection.reconcile_due_at <= now + _SOONER)
    busy = select(Run.id).where(
        Run.connection_id == Connection.id,
        Run.state == RunState.ACTIVE,
        Run.kind != RunKind.WITHDRAWAL,  # which reads nothing else
        or_(Run.kind == RunKind.RECONCILE, has_come(Run.due_at, now)),
    )
    return session.scalars(
        select(Connection)
        .where(
            may_be_called(environment, now),
            or_(has_come(Connection.reconcile_due_at, now, _LONGEST_WAIT), sooner),
            ~busy.exists(),
        )
        .order_by(Connection.reconcile_due_at)
        .limit(limit)
    ).all()


def reconciled_until(session: Session, connection_id: str) -> datetime:
    """Return the watermark up to which everything was reconciled.

    In the stead of one that lies ahead of the database's clock, when the company was connected.
    """
    until, connected_at = session.execute(
        select(Connection.reconciled_until, Connection.connected_at).where(
            Connection.id == connection_id
        )
    ).one()
    return until if until <= quickbooks_times.latest(session) else connected_at


def reconciled(session: Session, connection_id: str, until: datetime, now: datetime) -> None:
    """Note that everything up to `until`, by QuickBooks' clock, was reconciled.

    The watermark never moves back, but for one that lies ahead of the database's clock: until then
    everything has been read. The next reconcile is due in a day.
    """
    if _is_believed(session, connection_id, until):
        latest, mine = quickbooks_times.latest(session), Connection.id == connection_id
        watermark = Connection.reconciled_until
        session.execute(
            update(Connection)
            .where(mine, or_(watermark < until, watermark > latest))
            .values(reconciled_until=until)
        )
        session.execute(
            update(Connection)
            .where(mine, Connection.changes_read_until > latest)
            .values(changes_read_until=until)
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
