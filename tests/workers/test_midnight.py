"""A service that runs judges by the day: at midnight where Infactor is, whatever the clock does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from service.infactor.rules.book import parse_changes
from service.kit.clock import now
from service.simulator.app import RunningSimulator
from tests.servers import wait_until
from tests.workers.conftest import connected
from tests.workers.database_clock import DatabaseClock
from tests.workers.world import World, an_invoice
from workers.process import working

# Its midnight is at 10:00 UTC.
ZONE = "Pacific/Kiritimati"
CREATED, REJECTED = "invoice_created", "invoice_rejected"


@contextmanager
def set_to(world: World, moment: datetime) -> Iterator[DatabaseClock]:
    clock = DatabaseClock(world.services.database.engine)
    clock.open()
    clock.set((moment - now()).total_seconds())
    try:
        yield clock
    finally:
        clock.close()


def judged_on(world: World) -> str:
    """Return the day by which the company was last judged."""
    return world.connection().judged_by.partition(" ")[2]


def state(world: World) -> str:
    return world.documents()["1"]["state"]


def test_an_invoice_becomes_overdue_at_midnight_without_a_read(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    """And again not overdue, where the clock was a day ahead."""
    rules = {"INFACTOR_PROFILE": "guide", "INFACTOR_RULES": "overdue=hold"}
    with connected(simulator, sqlite_url, INFACTOR_TIMEZONE=ZONE, **rules) as world:
        local = now().astimezone(ZoneInfo(ZONE)) + timedelta(days=1)
        day, next_day = (f"{(local + timedelta(days=n)).date()}" for n in (0, 1))
        world.arrive(an_invoice("1", DueDate=day))
        queries = world.calls("query")
        with (
            set_to(world, local.replace(hour=23, minute=30)) as clock,
            working(world.services, threads=2),
        ):
            wait_until(lambda: judged_on(world) == day, 60, "the day's judgement")
            assert state(world) == CREATED
            clock.set(timedelta(hours=1).total_seconds())
            wait_until(lambda: state(world) == REJECTED, 60, "midnight")
            assert world.holds() == {"1": "overdue"}
            # Noted once all of the company is judged.
            wait_until(lambda: judged_on(world) == next_day, 60, "the next day's judgement")
            # The clock was a day ahead all the time.
            clock.set(-timedelta(days=1).total_seconds())
            wait_until(lambda: state(world) == CREATED, 60, "the day before")
            wait_until(lambda: judged_on(world) == day, 60, "the day's judgement again")
        assert world.calls("query") == queries  # a reconcile may have read the changes


@pytest.mark.parametrize(("overdue", "withdrawn"), [(1, 1), (6, 0)])
def test_a_service_that_is_started_with_other_rules_judges_by_them_without_a_read(
    world: World, overdue: int, withdrawn: int
) -> None:
    """As far as nobody has to confirm that."""
    yesterday = (now() - timedelta(days=1)).date().isoformat()
    for number in range(1, overdue + 1):
        world.arrive(an_invoice(str(number), DueDate=yesterday))
    world.judge()
    before, reads = world.connection().judged_by, world.calls()
    settings = world.services.settings.model_copy(
        update={"infactor_rules": parse_changes("overdue=hold"), "infactor_profile": "guide"}
    )
    with working(replace(world.services, settings=settings), threads=2):
        wait_until(lambda: world.connection().judged_by != before, 60, "the judgement")
    states = [document["state"] for document in world.documents().values()]
    assert states.count(REJECTED) == withdrawn
    assert world.calls() == reads
    stopped = world.run(1) if not withdrawn else None
    assert stopped is None or (stopped.kind, stopped.state) == ("withdrawal", "active")
    assert stopped is None or stopped.halted_at is not None
