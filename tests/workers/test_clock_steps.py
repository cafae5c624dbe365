"""Clocks that are set while the service works: back or forward, the database's or a process'."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from service.coordination import heartbeats
from service.database.tables import ClockError, DeliveryState, Notice
from service.errors import TransientError
from service.kit import clock
from service.kit.clock import now
from service.monitoring.checks import wrong_now
from service.monitoring.facts import Facts
from service.store import quickbooks_times, runs
from tests.servers import wait_until
from tests.workers.database_clock import DatabaseClock
from tests.workers.delivering import Delivering
from tests.workers.reconciling import due, set_connection
from tests.workers.world import World, an_event, an_invoice
from workers.clock_watch import ClockWatch
from workers.process import working
from workers.retry import pause_for

TWO_HOURS, A_DAY = 7200.0, 86_400.0


@pytest.fixture
def theirs(world: World) -> Iterator[DatabaseClock]:
    """The clock of the world's database."""
    made = DatabaseClock(world.services.database)
    made.open()
    yield made
    made.close()


@contextmanager
def watched(world: World) -> Iterator[ClockWatch]:
    """Follow the database's clock, until the end of the test."""
    watch = ClockWatch(world.services.database)
    try:
        watch.check()
        yield watch
    finally:
        clock.follow(None)


def told(world: World) -> list[tuple[str, str]]:
    """Return (which clock, what of it) of all that is told of clocks."""
    with world.services.database.read() as session:
        found = wrong_now(Facts(session, world.services.settings, now()))
    return [(one.subject, one.text) for one in found if one.cause == "clock.wrong"]


@pytest.mark.parametrize("hours", [1.1, 2, 24])
def test_what_waits_counts_as_due_where_the_clock_was_set_back(world: World, hours: float) -> None:
    """A notice, a company's pause and a nudge."""
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))
    ahead = now() + timedelta(hours=hours)
    with world.services.database.write() as session:
        session.execute(update(Notice).values(due_at=ahead))
    set_connection(world, paused_until=ahead, nudge_due_at=ahead, failures=3)
    assert ("sync_company", world.connection_id) in world.sweep()
    world.sync_at_once()
    assert world.notices() == [("done", "created")]
    assert world.connection().paused_until is None


def test_a_run_counts_as_due_where_the_clock_was_set_back(world: World) -> None:
    run_id = world.begin_backfill()
    with world.services.database.write() as session:
        runs.postpone(session, run_id, now() + timedelta(hours=2, minutes=5), "waits")
    assert world.sweep() == [("work_on_run", run_id)]


def test_a_delivery_counts_as_due_where_the_clock_was_set_back(
    delivering: Delivering,
) -> None:
    world = delivering.world
    world.arrive(an_invoice("1"))
    with world.services.database.write() as session:
        later = now() + timedelta(hours=2, minutes=5)
        session.execute(update(DeliveryState).values(due_at=later))
    assert ("deliver_company", world.connection_id) in world.sweep()


@pytest.mark.parametrize(("hours", "begun"), [(23, 0), (26, 1), (48, 1)])
def test_a_reconcile_of_another_day_is_due_now(world: World, hours: float, begun: int) -> None:
    set_connection(world, reconcile_due_at=now() + timedelta(hours=hours))
    assert len(due(world)) == begun


def test_nothing_waits_longer_than_counts_as_waiting() -> None:
    """Or it would be tried again at once, however long QuickBooks asked to be left alone."""
    long = TransientError("come back", retry_after=A_DAY)
    assert pause_for(long, 0) == timedelta(hours=1)


@pytest.mark.parametrize("seconds", [-TWO_HOURS, A_DAY])
def test_a_process_goes_by_the_clock_of_the_database(
    world: World, theirs: DatabaseClock, seconds: float
) -> None:
    theirs.set(seconds)
    with watched(world):
        behind = (now() - datetime.now(UTC)).total_seconds()
        assert behind == pytest.approx(seconds, abs=5)
        assert [text for _, text in told(world)] != []
    assert abs((now() - datetime.now(UTC)).total_seconds()) < 5


def test_a_step_is_told_and_names_the_clock(world: World, theirs: DatabaseClock) -> None:
    with watched(world) as watch:
        assert told(world) == []
        theirs.set(-20.0)  # as much as NTP may do
        watch.check()
        assert told(world) == []
        theirs.set(-TWO_HOURS)
        watch.check()
        assert ("database", _said("The clock of the database was set back by 2 h.")) in told(world)
        assert world.web.get("/readyz").json()["status"] == "degraded"
        theirs.set(A_DAY)
        watch.check()
        assert ("database", _said("The clock of the database was set forward by 24 h.")) in told(
            world
        )


def ahead(world: World) -> float:
    """Return how many seconds the database's clock is ahead of the machine's."""
    with world.services.database.read() as session:
        return (quickbooks_times.database_time(session) - datetime.now(UTC)).total_seconds()


@pytest.mark.both_databases("the statements are its own")
@pytest.mark.parametrize("step", [A_DAY, -TWO_HOURS])
def test_nobody_falls_silent_because_the_clock_is_set(
    world: World, theirs: DatabaseClock, step: float
) -> None:
    def silent() -> list[str]:
        with world.services.database.read() as session:
            found = wrong_now(Facts(session, world.services.settings, now()))
        return [one.cause for one in found if one.cause.endswith(".silent")]

    with watched(world) as watch:
        with world.services.database.write() as session:
            heartbeats.beat(session, "receiver")
            heartbeats.beat(session, "clock")
        theirs.set(step)
        assert abs(ahead(world) - step) < 600
        assert silent() == []  # before anybody has noticed
        watch.check()
        assert silent() == []
        with world.services.database.write() as session:
            session.execute(update(ClockError).values(at=ClockError.at - 120.0))
        assert silent() == ["receivers.silent", "workers.silent"]


def _said(first: str) -> str:
    return f"{first} Let NTP set the clocks. Work goes on by the database's."


def test_a_step_back_is_told_though_every_process_was_started_again(
    world: World, theirs: DatabaseClock
) -> None:
    with watched(world), world.services.database.write() as session:
        heartbeats.beat(session, "receiver")
    theirs.set(-TWO_HOURS)
    with watched(world):
        assert ("database", _said("The clock of the database was set back by 2 h.")) in told(world)


@pytest.mark.parametrize("steps", [(-TWO_HOURS,), (A_DAY, -A_DAY)])
def test_changes_are_taken_over_whatever_the_clock_does(
    world: World, theirs: DatabaseClock, steps: tuple[float, ...]
) -> None:
    """A change before any step, and one after each. By workers as they are started."""
    with working(world.services, threads=2):
        for number, step in enumerate((0.0, *steps), start=1):
            theirs.set(step)
            world.put("Invoice", an_invoice(str(number)))
            world.webhook(an_event("Invoice", str(number), "created"))
            wait_until(lambda n=number: len(world.documents()) == n, what=f"change {number}")
