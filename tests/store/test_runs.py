"""Runs: one active backfill per company, whoever asks for it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, update

from service.database.engine import Database
from service.database.tables import Connection, Run
from service.store import runs

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)


def begun(database: Database, since: datetime | None = None) -> int:
    with database.write() as session:
        return runs.create_or_join(session, "c1", "command", since, AT)


def found(database: Database, run_id: int) -> Run:
    with database.read() as session:
        return session.get_one(Run, run_id)


def test_many_who_ask_at_once_get_one_run(database: Database, connection_id: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(lambda _: begun(database), range(12)))) == 1
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Run)) == 1


def test_after_its_end_another_run_begins(database: Database, connection_id: str) -> None:
    first = begun(database)
    with database.write() as session:
        assert runs.finish(session, found(database, first), "done", {}, None, AT)
    assert begun(database) != first


def test_who_asks_while_a_run_ends_gets_one_that_is_active(
    database: Database, connection_id: str
) -> None:
    """On PostgreSQL the two transactions overlap; neither sees a moment without a run."""
    ended: list[int] = []

    def end() -> None:
        with database.write() as session:
            run = session.get_one(Run, begun_ids[-1])
            runs.finish(session, run, "done", {}, None, AT)
            ended.append(run.id)

    begun_ids = [begun(database)]
    for _ in range(30):
        with ThreadPoolExecutor(2) as pool:
            ending, asking = pool.submit(end), pool.submit(begun, database)
            ending.result()
            asked = asking.result()
        begun_ids.append(begun(database))
        assert asked in begun_ids[-2:]


def test_a_wider_range_starts_over_and_a_narrower_one_does_not(
    database: Database, connection_id: str
) -> None:
    run_id = begun(database, AT)
    with database.write() as session:
        runs.checkpoint(session, found(database, run_id), {"page": 1}, {"read": 1})
    begun(database, AT + timedelta(days=1))
    assert (found(database, run_id).cursor, found(database, run_id).since) == ({"page": 1}, AT)
    begun(database, AT - timedelta(days=1))
    run = found(database, run_id)
    assert (run.cursor, run.since, run.generation) == (None, AT - timedelta(days=1), 1)
    assert run.tally == runs.EMPTY_TALLY
    begun(database, None)
    assert (found(database, run_id).since, found(database, run_id).generation) == (None, 2)


def test_what_an_older_generation_did_does_not_count(
    database: Database, connection_id: str
) -> None:
    run_id = begun(database, AT)
    before = found(database, run_id)
    begun(database, None)
    with database.write() as session:
        assert not runs.checkpoint(session, before, {"page": 1}, {"read": 1})
        assert not runs.finish(session, before, "done", {}, None, AT)
        runs.start(session, before, 99, AT)
    run = found(database, run_id)
    assert (run.state, run.cursor, run.expected) == ("active", None, None)


def test_a_run_is_lost_five_times_at_most(database: Database, connection_id: str) -> None:
    run_id = begun(database)
    for owner in "abcde":
        with database.write() as session:
            assert runs.claim(session, run_id, "simulator", owner, AT)[1] is False
    with database.write() as session:
        run, lost = runs.claim(session, run_id, "simulator", "the sixth", AT)
    assert (run is not None, lost) == (True, True)


def test_whoever_claims_again_what_it_could_not_give_back_has_not_died(
    database: Database, connection_id: str
) -> None:
    run_id = begun(database)
    for _ in range(9):
        with database.write() as session:
            assert runs.claim(session, run_id, "simulator", "me", AT)[1] is False
    assert found(database, run_id).losses == 0


def test_what_came_back_is_no_loss(database: Database, connection_id: str) -> None:
    run_id = begun(database)
    for owner in "abcdefghi":
        with database.write() as session:
            run, lost = runs.claim(session, run_id, "simulator", owner, AT)
            assert not lost
            assert run is not None
        with database.write() as session:
            runs.postpone(session, run_id, AT, "unavailable")
    run = found(database, run_id)
    assert (run.attempts, run.losses) == (9, 0)
    with database.write() as session:
        runs.claim(session, run_id, "simulator", "me", AT)
        assert runs.checkpoint(session, run, {}, {})
    run = found(database, run_id)
    assert (run.attempts, run.losses, run.error) == (0, 0, None)


def test_a_run_is_due_while_its_company_may_be_called(
    database: Database, connection_id: str
) -> None:
    run_id = begun(database)

    def due(environment: str = "simulator") -> list[int]:
        with database.read() as session:
            return list(runs.due(session, environment, AT))

    assert (due(), due("production")) == ([run_id], [])
    for hindrance in ({"state": "disconnected"}, {"paused_until": AT + timedelta(seconds=1)}):
        with database.write() as session:
            session.execute(update(Connection).values(state="connected", paused_until=None))
            session.execute(update(Connection).values(**hindrance))
        assert due() == []
        with database.write() as session:
            assert runs.claim(session, run_id, "simulator", "me", AT) == (None, False)
    with database.write() as session:
        session.execute(update(Connection).values(state="connected", paused_until=AT))
        runs.postpone(session, run_id, AT + timedelta(seconds=1), "later")
    assert due() == []
