"""Runs as operators list them, the newest first."""

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, defer

from service.database.tables import Connection, Run
from service.database.types import written_out
from service.domain import RunState

_ACTIVE = written_out(RunState.ACTIVE)


class RunFilter(StrEnum):
    """Which runs to list."""

    ACTIVE = "active"
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"


def page(
    session: Session,
    environment: str,
    *,
    kind: str = "",
    state: str = "",
    connection_id: str | None = None,
    before: int | None = None,
    limit: int,
) -> Sequence[tuple[Run, Connection]]:
    """Return runs below the id `before` with their companies; "" and None ask for nothing."""
    # Without a join, from which SQLite would begin, to sort all runs of all companies.
    elsewhere = select(Connection.id).where(Connection.environment != environment)
    query = (
        select(Run)
        .where(Run.connection_id.not_in(elsewhere), *_in_state(state))
        .order_by(Run.id.desc())
        .limit(limit)
        .options(defer(Run.cursor), defer(Run.would_withdraw))
    )
    if kind:
        query = query.where(Run.kind == kind)
    if connection_id is not None:
        query = query.where(Run.connection_id == connection_id)
    if before is not None:
        query = query.where(Run.id < before)
    found = session.scalars(query).all()
    ids = {run.connection_id for run in found}
    theirs = session.scalars(select(Connection).where(Connection.id.in_(ids)))
    companies = {company.id: company for company in theirs}
    return [(run, companies[run.connection_id]) for run in found]


def _in_state(state: str) -> list[ColumnElement[bool]]:
    match state:
        case RunFilter.ACTIVE:
            return [Run.state == _ACTIVE, Run.halted_at.is_(None)]
        case RunFilter.STOPPED:
            return [Run.state == _ACTIVE, Run.halted_at.is_not(None)]
        case RunFilter.FAILED:
            return [Run.error.is_not(None), Run.state != RunState.ACTIVE]
        case RunFilter.DONE:
            return [Run.state == RunState.DONE, Run.error.is_(None)]
        case _:
            return []
