"""Runs: backfills and reconciles of one company, with checkpoint, counts and what they have met."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, ScalarSelect, case, delete, func, select, text, update
from sqlalchemy.orm import Session

from service.database.tables import (
    Connection,
    Invoice,
    InvoicesCursor,
    PageCursor,
    ReconcileCursor,
    Run,
    RunSeen,
    Tally,
)
from service.database.types import has_come
from service.database.upsert import Insert, insert, insert_all
from service.domain import RunCause, RunKind, RunState
from service.errors import KeysRefused, StoreFailed, TransientError
from service.store.connections import may_be_called

_FATAL_LOSSES = 5
MAY_PASS = (TransientError.__name__, StoreFailed.__name__, KeysRefused.__name__)
"""Errors of a run that raise a condition only if they last."""
# The state of a run whose step has succeeded.
_GIVEN_BACK: dict[str, Any] = {
    "attempts": 0,
    "losses": 0,
    "claimed_by": None,
    "due_at": None,
    "error": None,
    "error_class": None,
    "failing_since": None,
}

# No operator has confirmed what a widened run would do.
_STARTED_OVER: dict[str, Any] = {
    "halted_at": None,
    "halt_reason": None,
    "would_withdraw": None,
    "confirmed": False,
    "error": None,
    "error_class": None,
    "failing_since": None,
}

EMPTY_TALLY: Tally = {
    "read": 0,
    "created": 0,
    "refreshed": 0,
    "unchanged": 0,
    "withdrawn": 0,
    "restored": 0,
    "held": {},
    "failed": 0,
    "failures": [],
    "rounds": 0,
}
EMPTY_RECONCILE: Tally = {
    **EMPTY_TALLY,
    "unreadable": [],
    "fixed": [],
    "differences": [],
    "there": None,
    "here": None,
    "infactor": [],
    "infactor_fixed": [],
    "infactor_compared": None,
}


def create_or_join(
    session: Session, connection_id: str, cause: RunCause, since: datetime | None, now: datetime
) -> int:
    """Return the id of the company's active backfill, begun now if there is none.

    One that reaches back less far than asked for starts over from the earlier time.
    """
    run_id = _active(
        session,
        connection_id=connection_id,
        kind=RunKind.BACKFILL,
        cause=cause,
        since=since,
        tally=EMPTY_TALLY,
        created_at=now,
    )
    wider = Run.since.is_not(None) if since is None else Run.since > since
    session.execute(
        update(Run)
        .where(Run.id == run_id, wider)
        .values(
            since=since,
            generation=Run.generation + 1,
            fetch_number=_drawn_so_far(connection_id),
            cursor=None,
            expected=None,
            tally=EMPTY_TALLY,
            **_STARTED_OVER,
        )
    )
    return run_id


def begin_reconcile(
    session: Session, connection_id: str, cause: RunCause, order: ReconcileCursor, now: datetime
) -> int:
    """Return the id of the company's active reconcile, begun now with this order if there is none.

    `order` says whether everything is compared, whether what differs is fixed, and whether even
    where the record looks newer. A run under way that was asked for less starts over with both.
    """
    run_id = _active(
        session,
        connection_id=connection_id,
        kind=RunKind.RECONCILE,
        cause=cause,
        cursor=order,
        tally=EMPTY_RECONCILE,
        created_at=now,
    )
    run = session.get_one(Run, run_id, populate_existing=True, with_for_update=True)
    under_way = order_of(run)
    wider: ReconcileCursor = {
        "full": order["full"] or under_way["full"],
        "fix": order["fix"] or under_way["fix"],
    }
    if order.get("overrule") or under_way.get("overrule"):
        wider["overrule"] = True
    if any(asked and not under_way.get(name) for name, asked in wider.items()):
        session.execute(delete(RunSeen).where(RunSeen.run_id == run_id))
        session.execute(
            update(Run)
            .where(Run.id == run_id)
            .values(
                cursor=wider,
                cause=cause,
                expected=None,
                tally=EMPTY_RECONCILE,
                due_at=None,
                generation=Run.generation + 1,
                **_STARTED_OVER,
            )
        )
    return run_id


def begin_withdrawal(session: Session, connection_id: str, now: datetime) -> int:
    """Return the company's active withdrawal, begun now without an invoice if there is none."""
    return _active(
        session,
        connection_id=connection_id,
        kind=RunKind.WITHDRAWAL,
        cause=RunCause.NOTICE,
        tally=EMPTY_TALLY,
        created_at=now,
    )


def _active(session: Session, **new: Any) -> int:
    """Return the id of the company's active run of this kind, which is `new` if none was there."""
    begun = _drawn_so_far(new["connection_id"])
    statement = insert(session, Run).values(state=RunState.ACTIVE, fetch_number=begun, **new)
    # The update changes nothing, but locks the run, so that it cannot end at this moment.
    joined = statement.on_conflict_do_update(
        index_elements=[Run.connection_id, Run.kind],
        index_where=text("state = 'active'"),
        set_={"kind": Run.kind},
    )
    return session.execute(joined.returning(Run.id)).scalar_one()


def _drawn_so_far(connection_id: str) -> ScalarSelect[int]:
    """Return a subquery for the company's last fetch number: later reads have higher ones."""
    return select(Connection.fetch_number).where(Connection.id == connection_id).scalar_subquery()


def newest_reconcile() -> ScalarSelect[int]:
    """Return a subquery for the id of a connection's newest reconcile that has ended."""
    return (
        select(Run.id)
        .where(
            Run.connection_id == Connection.id,
            Run.kind == RunKind.RECONCILE,
            Run.state != RunState.ACTIVE,
        )
        .order_by(Run.id.desc())
        .limit(1)
        .scalar_subquery()
    )


def get(session: Session, run_id: int) -> Run | None:
    """Return the run, read again from the database."""
    return session.get(Run, run_id, populate_existing=True)


def claim(
    session: Session, run_id: int, environment: str, owner: str, now: datetime
) -> tuple[Run | None, bool]:
    """Return (the run whose next step may be done now, whether it was lost too often for that).

    Only the holder of the run's lease may claim. What another process claimed and never gave back
    is lost: that process died. What `owner` could not give back itself is not, because it lives.
    """
    run = session.scalars(
        select(Run)
        .join(Connection, Connection.id == Run.connection_id)
        .where(Run.id == run_id, *_is_due(environment, now))
        .with_for_update(of=Run)
    ).first()
    if run is None:
        return None, False
    if run.claimed_by not in (None, owner):
        run.losses += 1
    run.claimed_by = owner
    return run, run.losses >= _FATAL_LOSSES


def begin_comparison(
    session: Session, run: Run, order: ReconcileCursor, expected: int, now: datetime
) -> None:
    """Note that everything is read from now on, to compare it, and how many invoices that is."""
    session.execute(
        update(Run)
        .where(Run.id == run.id, Run.generation == run.generation)
        .values(cursor=order, expected=expected, started_at=now, **_GIVEN_BACK)
    )


def start(session: Session, run: Run, expected: int, now: datetime) -> None:
    session.execute(
        update(Run)
        .where(Run.id == run.id, Run.generation == run.generation)
        .values(expected=expected, started_at=run.started_at or now)
    )


def page_of(run: Run) -> PageCursor | None:
    """Return where a backfill goes on; None before its first page."""
    return cast(PageCursor | None, run.cursor)


def order_of(run: Run) -> ReconcileCursor:
    return cast(ReconcileCursor, run.cursor)


def invoices_of(run: Run) -> list[str]:
    """Return the QuickBooks ids of the invoices that a withdrawal has still to read."""
    cursor = cast(InvoicesCursor | None, run.cursor)
    return cursor["invoices"] if cursor else []


def checkpoint(
    session: Session,
    run: Run,
    cursor: PageCursor | ReconcileCursor | InvoicesCursor,
    tally: Tally,
) -> bool:
    """Keep how far the run has come; return False if it was widened or ended meanwhile."""
    kept = session.execute(
        update(Run)
        .where(Run.id == run.id, Run.generation == run.generation, Run.state == RunState.ACTIVE)
        .values(cursor=cursor, tally=tally, **_GIVEN_BACK)
        .returning(Run.id)
    )
    return kept.first() is not None


def finish(
    session: Session,
    run: Run,
    state: RunState,
    tally: Tally,
    error: str | None,
    now: datetime,
    *,
    unannounced: int = 0,
) -> bool:
    """End the run as `done` or `failed`; return False if it was widened or ended meanwhile."""
    ended = session.execute(
        update(Run)
        .where(Run.id == run.id, Run.generation == run.generation, Run.state == RunState.ACTIVE)
        .values(state=state, tally=tally, error=error, finished_at=now, unannounced=unannounced)
        .returning(Run.id)
    )
    if ended.first() is None:
        return False
    session.execute(delete(RunSeen).where(RunSeen.run_id == run.id))
    return True


def abandon(session: Session, connection_id: str, why: str, now: datetime) -> None:
    """End every active run of the company as failed."""
    ended = session.execute(
        update(Run)
        .where(Run.connection_id == connection_id, Run.state == RunState.ACTIVE)
        .values(state=RunState.FAILED, error=why, finished_at=now)
        .returning(Run.id)
    )
    session.execute(delete(RunSeen).where(RunSeen.run_id.in_(ended.scalars().all())))


def postpone(
    session: Session,
    run_id: int,
    due_at: datetime,
    error: str,
    *,
    error_class: str | None = None,
    failing: datetime | None = None,
) -> None:
    """Make the same step due again at `due_at`; `failing` is now, unless it only waits its turn.

    One that was lost too often is tried once more, and is then lost too often again.
    """
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.state == RunState.ACTIVE)
        .values(
            attempts=Run.attempts + 1,
            losses=case((Run.losses >= _FATAL_LOSSES, _FATAL_LOSSES - 1), else_=0),
            claimed_by=None,
            due_at=due_at,
            error=error,
            error_class=error_class,
            failing_since=None if failing is None else func.coalesce(Run.failing_since, failing),
        )
    )


def fails(run: Run) -> bool:
    """Return whether the run met an error that is unlikely to pass soon; it is retried anyway."""
    failing = run.state == RunState.ACTIVE and run.failing_since is not None
    return failing and run.error is not None and run.error_class not in MAY_PASS


def hurry(session: Session, run_id: int) -> None:
    """Let a run that waits for its next attempt be tried now."""
    _hurry(session, Run.id == run_id)


def hurry_all(session: Session, connection_id: str) -> Sequence[int]:
    """Let every run of the company that waits be tried now; return their ids."""
    return _hurry(session, Run.connection_id == connection_id)


def _hurry(session: Session, chosen: ColumnElement[bool]) -> Sequence[int]:
    hurried = session.execute(
        update(Run)
        .where(chosen, Run.state == RunState.ACTIVE, Run.due_at.is_not(None))
        .values(due_at=None, error=None)
        .returning(Run.id)
    )
    return hurried.scalars().all()


def due(session: Session, environment: str, now: datetime) -> Sequence[int]:
    """Return the ids of runs that may be worked on now; none that waits for a person."""
    return session.scalars(
        select(Run.id)
        .join(Connection, Connection.id == Run.connection_id)
        .where(*_is_due(environment, now))
    ).all()


def _is_due(environment: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Run.state == RunState.ACTIVE,
        Run.halted_at.is_(None),
        has_come(Run.due_at, now),
        may_be_called(environment, now),
    )


def latest(session: Session, connection_id: str, kind: RunKind = RunKind.BACKFILL) -> Run | None:
    return latest_of(session, [connection_id], kind).get(connection_id)


def latest_of(
    session: Session, connection_ids: Collection[str], kind: RunKind = RunKind.BACKFILL
) -> dict[str, Run]:
    """Return each company's newest run of this kind, by connection id."""
    newest = (
        select(func.max(Run.id))
        .where(Run.connection_id.in_(connection_ids), Run.kind == kind)
        .group_by(Run.connection_id)
    )
    found = session.scalars(
        select(Run).where(Run.id.in_(newest)).execution_options(populate_existing=True)
    )
    return {run.connection_id: run for run in found}


def mark_seen(session: Session, run_id: int, quickbooks_ids: Collection[str]) -> None:
    rows = [{"run_id": run_id, "quickbooks_id": i} for i in sorted(quickbooks_ids)]
    if rows:
        insert_all(session, RunSeen, rows, _once)


def _once(statement: Insert) -> Insert:
    return statement.on_conflict_do_nothing()


def unseen(session: Session, run: Run, limit: int) -> Sequence[str]:
    """Return the QuickBooks Ids of existing recorded invoices that the run has not met."""
    met = select(RunSeen.quickbooks_id).where(
        RunSeen.run_id == run.id, RunSeen.quickbooks_id == Invoice.quickbooks_id
    )
    return session.scalars(
        select(Invoice.quickbooks_id)
        .where(Invoice.connection_id == run.connection_id, ~Invoice.deleted, ~met.exists())
        .order_by(Invoice.quickbooks_id)
        .limit(limit)
    ).all()
