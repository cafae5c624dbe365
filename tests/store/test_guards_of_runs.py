"""Which run a write is about: no other one, none that has ended, none that was widened since."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.database.tables import Connection, Run, RunSeen
from service.store import runs
from tests.builders import like

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
ORDER: Any = {"full": True, "fix": True}


@pytest.fixture
def run_id(database: Database, connection_id: str) -> int:
    """The first of four runs: beside another kind's, another company's, and one that has ended."""
    with database.write() as session:
        session.add(like(session.scalars(select(Connection)).one(), "c2"))
        session.flush()
        ended = runs.create_or_join(session, connection_id, "command", AT, AT)
        runs.finish(
            session, session.get_one(Run, ended), "done", runs.EMPTY_TALLY, "it had failed", AT
        )
        mine = runs.create_or_join(session, connection_id, "command", AT, AT)
        runs.begin_reconcile(session, connection_id, "daily", ORDER, AT)
        runs.create_or_join(session, "c2", "command", AT, AT)
        for run in session.scalars(select(Run)):
            run.due_at, run.error = AT, "it failed"
            session.add(RunSeen(run_id=run.id, quickbooks_id="1"))
    return mine


def columns(database: Database) -> dict[int, dict[str, object]]:
    """Return the rows of all runs, by their ids, with how many invoices each has met."""
    with database.read() as session:
        seen = session.scalars(select(RunSeen.run_id)).all()
        return {
            run.id: {
                **{column.key: getattr(run, column.key) for column in Run.__table__.columns},
                "seen": seen.count(run.id),
            }
            for run in session.scalars(select(Run))
        }


Write = Callable[[Session, Run], object]

# Each changes the run that it is given, as a step of it does.
OF_A_STEP: dict[str, Write] = {
    "begin_comparison": lambda s, run: runs.begin_comparison(s, run, ORDER, 5, LATER),
    "start": lambda s, run: runs.start(s, run, 5, LATER),
    "checkpoint": lambda s, run: runs.checkpoint(s, run, ORDER, {**run.tally, "read": 5}),
    "finish": lambda s, run: runs.finish(s, run, "done", run.tally, None, LATER),
}
# Each changes a run whatever its generation.
OF_A_RUN: dict[str, Write] = {
    "postpone": lambda s, run: runs.postpone(s, run.id, LATER, "it fails"),
    "hurry": lambda s, run: runs.hurry(s, run.id),
    "widen": lambda s, run: runs.create_or_join(s, run.connection_id, "command", None, LATER),
}
# Each changes all runs of the company.
OF_A_COMPANY: dict[str, Write] = {
    "abandon": lambda s, run: runs.abandon(s, run.connection_id, "disconnected", LATER),
    "hurry_all": lambda s, run: runs.hurry_all(s, run.connection_id),
}


def changed(database: Database, write: Callable[[Session], object]) -> set[int]:
    """Return the ids of the runs that a write has changed."""
    before = columns(database)
    with database.write() as session:
        write(session)
    after = columns(database)
    return {run_id for run_id in before if after[run_id] != before[run_id]}


def detached(database: Database, run_id: int) -> Run:
    """Return the run as a step has read it a while ago."""
    with database.read() as session:
        return session.get_one(Run, run_id)


@pytest.mark.parametrize(
    "write", [*OF_A_STEP.values(), *OF_A_RUN.values()], ids=[*OF_A_STEP, *OF_A_RUN]
)
def test_a_write_is_about_one_run(database: Database, run_id: int, write: Write) -> None:
    run = detached(database, run_id)
    assert changed(database, lambda session: write(session, run)) == {run_id}


@pytest.mark.parametrize("write", OF_A_COMPANY.values(), ids=OF_A_COMPANY)
def test_a_write_is_about_one_company_and_nothing_that_has_ended(
    database: Database, run_id: int, write: Write
) -> None:
    run = detached(database, run_id)
    assert changed(database, lambda session: write(session, run)) == {run_id, run_id + 1}


@pytest.mark.parametrize("write", OF_A_STEP.values(), ids=OF_A_STEP)
def test_a_step_of_a_run_that_was_widened_since_changes_nothing(
    database: Database, run_id: int, write: Write
) -> None:
    run = detached(database, run_id)
    with database.write() as session:
        runs.create_or_join(session, run.connection_id, "command", None, AT)
    assert changed(database, lambda session: write(session, run)) == set()


@pytest.mark.parametrize("name", ["checkpoint", "finish", "postpone", "hurry"])
def test_a_run_that_has_ended_stays_as_it_is(database: Database, run_id: int, name: str) -> None:
    run = detached(database, run_id)
    with database.write() as session:
        runs.finish(session, session.get_one(Run, run_id), "failed", run.tally, "ended", AT)
    write = {**OF_A_STEP, **OF_A_RUN}[name]
    assert changed(database, lambda session: write(session, run)) == set()


def test_one_that_reaches_back_as_far_goes_on(database: Database, run_id: int) -> None:
    for since in (AT, LATER):
        assert (
            changed(
                database,
                lambda session, since=since: runs.create_or_join(  # type: ignore[misc]
                    session, "c1", "command", since, LATER
                ),
            )
            == set()
        )


def test_one_that_waits_for_nothing_keeps_its_error(database: Database, run_id: int) -> None:
    """Its next step is under way, or is due anyway."""
    with database.write() as session:
        session.get_one(Run, run_id).due_at = None
    assert changed(database, lambda session: runs.hurry(session, run_id)) == set()
