"""Runs: backfills of one company, with their checkpoint and their count."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.store.insert import insert
from service.store.tables import Connection, Run

EMPTY_TALLY: dict[str, Any] = {
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


def create_or_join(
    session: Session, connection_id: str, cause: str, since: datetime | None, now: datetime
) -> int:
    """Return the company's active backfill, begun now if there is none.

    A run under way that reaches back less far than asked for is widened: it starts over from the
    earlier time, so that whoever joins gets everything that they asked for.
    """
    statement = insert(session, Run).values(
        connection_id=connection_id,
        kind="backfill",
        cause=cause,
        state="active",
        since=since,
        tally=EMPTY_TALLY,
        created_at=now,
    )
    session.execute(
        statement.on_conflict_do_nothing(
            index_elements=[Run.connection_id, Run.kind], index_where=Run.state == "active"
        )
    )
    run_id = session.execute(
        select(Run.id).where(
            Run.connection_id == connection_id, Run.kind == "backfill", Run.state == "active"
        )
    ).scalar_one()
    wider = Run.since.is_not(None) if since is None else Run.since > since
    session.execute(
        update(Run)
        .where(Run.id == run_id, wider)
        .values(
            since=since,
            generation=Run.generation + 1,
            cursor=None,
            expected=None,
            tally=EMPTY_TALLY,
        )
    )
    return run_id


def get(session: Session, run_id: int) -> Run | None:
    """Return the run with this id, as it is now."""
    return session.get(Run, run_id, populate_existing=True)


def start(session: Session, run: Run, expected: int, now: datetime) -> None:
    """Note how many invoices the run has to read."""
    session.execute(
        update(Run)
        .where(Run.id == run.id, Run.generation == run.generation)
        .values(expected=expected, started_at=run.started_at or now)
    )


def checkpoint(session: Session, run: Run, cursor: dict[str, Any], tally: dict[str, Any]) -> bool:
    """Keep how far the run has come; return False when it was widened meanwhile."""
    kept = session.execute(
        update(Run)
        .where(Run.id == run.id, Run.generation == run.generation, Run.state == "active")
        .values(cursor=cursor, tally=tally, attempts=0, due_at=None, error=None)
        .returning(Run.id)
    )
    return kept.first() is not None


def finish(
    session: Session, run: Run, state: str, tally: dict[str, Any], error: str | None, now: datetime
) -> bool:
    """End the run as `done` or `failed`; return False when it was widened meanwhile."""
    ended = session.execute(
        update(Run)
        .where(Run.id == run.id, Run.generation == run.generation, Run.state == "active")
        .values(state=state, tally=tally, error=error, finished_at=now)
        .returning(Run.id)
    )
    return ended.first() is not None


def postpone(session: Session, run_id: int, due_at: datetime, error: str) -> None:
    """Try the same page again from `due_at` on."""
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.state == "active")
        .values(attempts=Run.attempts + 1, due_at=due_at, error=error)
    )


def due(session: Session, now: datetime) -> Sequence[int]:
    """Return the active runs whose company may be called now."""
    return session.scalars(
        select(Run.id)
        .join(Connection, Connection.id == Run.connection_id)
        .where(
            Run.state == "active",
            or_(Run.due_at.is_(None), Run.due_at <= now),
            Connection.state == "connected",
            or_(Connection.paused_until.is_(None), Connection.paused_until <= now),
        )
    ).all()


def latest(session: Session, connection_id: str) -> Run | None:
    """Return the company's newest run."""
    return session.scalars(
        select(Run)
        .where(Run.connection_id == connection_id)
        .order_by(Run.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    ).first()
