"""Samples of how the service does: what they count, once, and for how long they are kept."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from service.database.tables import Connection, Notice, Sample
from service.queries import measures
from service.queries.measures import Span
from tests.workers.world import World
from workers.upkeep import prune_at, sample

SLOT = 5_900_000
BEGIN = datetime(2026, 2, 2, 2, 40, tzinfo=UTC)
END = BEGIN + timedelta(minutes=5)


def add(world: World, status: str, ended: datetime | None, seconds: float | None = None) -> None:
    changed = None if ended is None or seconds is None else ended - timedelta(seconds=seconds)
    with world.services.database.write() as session:
        session.add(
            Notice(
                connection_id=world.connection_id,
                format="own",
                status=status,
                received_at=BEGIN,
                changed_at=changed,
                handled_at=ended,
            )
        )


def take(world: World, slot: int = SLOT, at: datetime = END) -> None:
    with world.services.database.write() as session:
        measures.take(session, "simulator", slot, at)


def kept(world: World) -> list[dict[str, Any]]:
    with world.services.database.read() as session:
        rows = session.scalars(select(Sample).order_by(Sample.slot)).all()
    return [{c.name: getattr(row, c.name) for c in Sample.__table__.columns} for row in rows]


def spans(world: World, since: datetime, slots: int) -> list[Span]:
    with world.services.database.read() as session:
        return list(measures.spans(session, since, slots))


@pytest.fixture
def quiet(world: World) -> World:
    """A world without a notice, which was connected before what is sampled."""
    with world.services.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM notices")
        connection.execute(update(Connection).values(renewed_at=BEGIN))
    return world


def test_a_slot_is_five_minutes() -> None:
    assert measures.begin_of(SLOT) == BEGIN
    assert measures.slot_of(BEGIN) == measures.slot_of(END - timedelta(microseconds=1)) == SLOT
    assert measures.slot_of(END) == SLOT + 1


def test_a_sample_counts_what_ended_in_its_five_minutes_and_what_waits(quiet: World) -> None:
    for seconds in (1, 2, 3, 4, 100):
        add(quiet, "done", BEGIN + timedelta(seconds=60), seconds)
    add(quiet, "done", BEGIN - timedelta(microseconds=1), 9)
    add(quiet, "done", END, 9)
    add(quiet, "failed", BEGIN)
    add(quiet, "ignored", BEGIN)
    add(quiet, "pending", None)
    take(quiet)
    assert kept(quiet) == [
        {
            "slot": SLOT,
            "lag_p50": 3.0,
            "lag_p95": 100.0,
            "pending": 1,
            "oldest_pending": 300.0,
            "done": 5,
            "failed": 1,
            "ignored": 1,
        }
    ]


def test_nothing_recorded_is_no_lag(quiet: World) -> None:
    take(quiet)
    assert kept(quiet)[0]["lag_p50"] is None
    assert kept(quiet)[0]["done"] == 0


@pytest.mark.both_databases("the statements are its own")
def test_a_sample_is_taken_once(quiet: World) -> None:
    take(quiet)
    add(quiet, "done", BEGIN, 1)
    take(quiet)
    assert [row["done"] for row in kept(quiet)] == [0]


def test_the_clock_takes_the_five_minutes_that_ended_last(quiet: World) -> None:
    before = measures.slot_of(datetime.now(UTC)) - 1
    sample(quiet.services)
    sample(quiet.services)
    after = measures.slot_of(datetime.now(UTC)) - 1
    assert {row["slot"] for row in kept(quiet)} <= {before, after}
    assert kept(quiet) != []


@pytest.mark.both_databases("the statements are its own")
def test_several_slots_are_one_span_of_the_worst(quiet: World) -> None:
    common = {"pending": 1, "failed": 0, "ignored": 0}
    first = SLOT // 6 * 6
    with quiet.services.database.write() as session:
        for n, (p50, p95, oldest, done) in enumerate([(1.0, 4.0, 9.0, 10), (3.0, 2.0, 1.0, 5)]):
            session.add(
                Sample(
                    slot=first + n,
                    lag_p50=p50,
                    lag_p95=p95,
                    oldest_pending=oldest,
                    done=done,
                    **common,
                )
            )
        session.add(
            Sample(slot=first + 6, lag_p50=None, lag_p95=None, oldest_pending=0, done=0, **common)
        )
    begin = measures.begin_of(first)
    assert spans(quiet, begin, 6) == [
        Span(begin, 2.0, 4.0, 1, 9.0, 15, 0, 0),
        Span(begin + timedelta(minutes=30), None, None, 1, 0.0, 0, 0, 0),
    ]
    assert len(spans(quiet, begin + timedelta(minutes=10), 6)) == 1


@pytest.mark.both_databases("the statements are its own")
def test_samples_are_kept_for_ninety_days(quiet: World) -> None:
    take(quiet)
    prune_at(quiet.services, BEGIN + timedelta(days=90))
    assert len(kept(quiet)) == 1
    prune_at(quiet.services, BEGIN + timedelta(days=90, minutes=5))
    assert kept(quiet) == []
