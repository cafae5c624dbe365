"""What operators list of very many rows is found through an index, on either database."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import ClauseElement, event, text
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.queries import notices, runs
from service.store import audit
from tests.databases import forget_statistics

NEWEST = "runs_pkey"  # which SQLite does not name
ASKED: dict[str, tuple[Callable[[Session], Any], str]] = {
    "the newest runs": (
        lambda session: runs.page(session, "simulator", before=9, limit=5),
        NEWEST,
    ),
    "runs of a kind": (
        lambda session: runs.page(session, "simulator", kind="backfill", before=9, limit=5),
        "ix_runs_kind",
    ),
    "runs that failed": (
        lambda session: runs.page(session, "simulator", state="failed", limit=5),
        "ix_runs_error",
    ),
    "a person's actions": (
        lambda session: audit.newest(session, 9, 5, actor="ops:ada"),
        "ix_audit_actor",
    ),
    "one kind of action": (
        lambda session: audit.newest(session, 9, 5, action="pause"),
        "ix_audit_action",
    ),
    "a company's actions": (
        lambda session: audit.newest(session, 9, 5, connection_id="c1"),
        "ix_audit_connection",
    ),
    "everyone who acted": (audit.actors, "ix_audit_actor"),
    "everything done": (audit.actions, "ix_audit_action"),
    "failed notices": (
        lambda session: notices.found(session, "simulator", statuses=["failed"], limit=5),
        "ix_notices_failed",
    ),
    "ignored notices": (
        lambda session: notices.found(session, "simulator", statuses=["ignored"], limit=5),
        "ix_notices_ignored",
    ),
    "attempts at a notice": (
        lambda session: notices.failed_attempts(session, 9, 5),
        "ix_notice_attempts_notice",
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_an_index_leads_to_what_is_listed(database: Database, what: str) -> None:
    ask, index = ASKED[what]
    asked: list[tuple[str, Any]] = []

    def keep(
        connection: Any, cursor: Any, statement: str, parameters: Sequence[Any], *_: ClauseElement
    ) -> None:
        asked.append((statement, parameters))

    forget_statistics(database)
    with database.read() as session:
        if not database.is_sqlite:  # which would read so small a table as a whole
            session.execute(text("SET LOCAL enable_seqscan = off"))
        event.listen(database.engine, "before_cursor_execute", keep)
        try:
            ask(session)
        finally:
            event.remove(database.engine, "before_cursor_execute", keep)
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        statement, parameters = next(one for one in asked if one[0].startswith(("SELECT", "WITH")))
        plan = str(session.connection().exec_driver_sql(f"{explain} {statement}", parameters).all())
    assert index in plan or (index == NEWEST and database.is_sqlite)
    # Of a few rows the order may be made.
    sorts = "Sort" in plan or "TEMP B-TREE" in plan
    assert not sorts or index == "ix_notices_failed"
