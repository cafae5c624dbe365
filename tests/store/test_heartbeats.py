"""Heartbeats by the database's clock, and what follows a long silence."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from service.coordination import heartbeats
from service.database.engine import Database
from service.database.tables import Connection, Heartbeat
from tests.builders import add_like
from tests.servers import wait_until

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)


def beat(database: Database, name: str = "receiver") -> float | None:
    with database.write() as session:
        return heartbeats.beat(session, name)


def set_back(database: Database, seconds: float) -> None:
    with database.write() as session:
        session.execute(update(Heartbeat).values(at=Heartbeat.at - seconds))


def due(database: Database) -> dict[str, datetime]:
    with database.read() as session:
        rows = session.execute(select(Connection.id, Connection.reconcile_due_at))
        return {connection_id: due_at for connection_id, due_at in rows}


def test_the_first_beat_ends_no_gap(database: Database) -> None:
    assert beat(database) is None
    assert beat(database, "clock") is None


def test_a_beat_tells_how_long_nobody_of_its_kind_was_alive(database: Database) -> None:
    beat(database)
    beat(database, "clock")
    set_back(database, 360)
    assert beat(database) == pytest.approx(360, abs=5)
    assert beat(database) == pytest.approx(0, abs=5)
    with database.read() as session:
        assert heartbeats.ages(session) == {
            "receiver": pytest.approx(0, abs=5),
            "clock": pytest.approx(360, abs=5),
        }


def test_of_two_that_come_back_at_once_one_alone_is_told_of_the_gap(database: Database) -> None:
    beat(database)
    set_back(database, 360)
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            assert heartbeats.beat(session, "receiver") == pytest.approx(360, abs=5)
            second = pool.submit(beat, database)
            if not database.is_sqlite:  # which lets nobody else begin
                wait_until(lambda: waits_for_a_lock(database), what="the other beat")
        assert second.result(10) == pytest.approx(0, abs=5)


def waits_for_a_lock(database: Database) -> bool:
    with database.read() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_companies_are_asked_soon_and_not_all_at_once(
    database: Database, connection_id: str
) -> None:
    tomorrow = {"reconcile_due_at": AT + timedelta(hours=20)}
    add_like(
        database,
        connection_id,
        c2=tomorrow,
        c3=tomorrow,
        c4={"reconcile_due_at": AT + timedelta(seconds=30)},
        c5=tomorrow,
        gone={**tomorrow, "state": "disconnected"},
        strange={**tomorrow, "environment": "production"},
    )
    with database.write() as session:
        assert heartbeats.reconcile_soon(session, "simulator", AT) == 4
    assert due(database) == {
        "c1": AT,  # it is due already
        "c2": AT,
        "c3": AT + timedelta(minutes=2, seconds=30),
        "c4": AT + timedelta(seconds=30),  # sooner than its turn
        "c5": AT + timedelta(minutes=7, seconds=30),
        "gone": AT + timedelta(hours=20),
        "strange": AT + timedelta(hours=20),
    }


def test_what_receivers_count_at_once_adds_up(database: Database) -> None:
    minutes = [AT.replace(second=0) - timedelta(minutes=n) for n in range(3)]
    counts = {(minute, outcome): 2 for minute in minutes for outcome in ("stored", "unsigned")}

    def add(shift: int) -> None:
        items = list(counts.items())
        with database.write() as session:
            heartbeats.add_answers(session, dict(items[shift:] + items[:shift]))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(6)))
    with database.read() as session:
        assert heartbeats.answers_since(session, minutes[-1]) == {"stored": 36, "unsigned": 36}
        assert heartbeats.answers_since(session, minutes[0]) == {"stored": 12, "unsigned": 12}
