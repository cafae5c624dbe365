"""What one process has begun no other begins; each has a lease, which the test's process holds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from service.database.tables import Connection
from service.kit.clock import now
from service.store import inbox
from tests.databases import is_waited_for
from tests.servers import wait_until
from tests.workers.delivering import Delivering
from tests.workers.world import World, an_event, an_invoice, asked_for
from workers.delivery.deliver import deliver_company
from workers.schedule import Periodic, ticking
from workers.settlements import explain_payments
from workers.sync import Turn, sync_company


@contextmanager
def held(world: World, name: str) -> Iterator[None]:
    """Let another process hold this lease."""
    with world.another_process().leases.hold(name) as mine:
        assert mine
        yield


def test_a_company_is_read_by_one(world: World) -> None:
    world.webhook(an_event("Invoice", "1", "updated"))
    with held(world, f"sync:{world.connection_id}"):
        before = world.calls()
        world.sync_at_once()
        assert world.calls() == before


def test_who_works_on_a_company_asks_again_for_what_came_meanwhile(world: World) -> None:
    world.webhook(an_event("Invoice", "1", "updated"))
    other = world.another_process()
    with world.services.leases.join(f"sync:{world.connection_id}") as lease:
        turn = Turn(world.services, world.connection_id, lease)
        claimed = turn.begin()
        assert claimed is not None
        world.webhook(an_event("Invoice", "2", "updated"))
        sync_company(other, world.connection_id)  # it leaves that to the turn
        with world.services.database.write() as session, turn.ending(session):
            inbox.finish(session, [notice.id for notice in claimed.notices], "read", now())
    assert world.delayed() == [("sync_company", world.connection_id)]


@pytest.mark.postgresql("SQLite lets in one writer at a time")
def test_a_nudge_that_comes_as_a_turn_ends_waits_for_its_end_and_asks_again(
    world: World,
) -> None:
    """The turn has looked for the last time what is due, and is not committed yet."""
    world.webhook(an_event("Invoice", "1", "updated"))
    other = world.another_process()
    with (
        ThreadPoolExecutor(1) as pool,
        world.services.leases.join(f"sync:{world.connection_id}") as lease,
    ):
        turn = Turn(world.services, world.connection_id, lease)
        claimed = turn.begin()
        assert claimed is not None
        with world.services.database.write() as session:
            with turn.ending(session):
                inbox.finish(session, [notice.id for notice in claimed.notices], "read", now())
            world.webhook(an_event("Invoice", "2", "updated"))
            nudged = pool.submit(sync_company, other, world.connection_id)
            wait_until(
                lambda: nudged.done() or is_waited_for(world.services.database),
                what="a lock to wait for",
            )
        nudged.result()
    assert asked_for(other.jobs.broker, delayed=True) == [("sync_company", world.connection_id)]


def test_a_run_is_advanced_by_one(world: World) -> None:
    run_id = world.begin_backfill()
    with held(world, f"run:{run_id}"):
        before = world.calls()
        assert not world.advance(run_id)
        assert world.calls() == before


def test_a_company_is_judged_by_one(world: World) -> None:
    def turn() -> int | None:
        with world.services.database.read() as session:
            return session.scalars(select(Connection.judging_turn)).one()

    before = turn()
    with held(world, f"judge:{world.connection_id}"):
        world.judge()
    assert turn() == before


def test_a_company_is_delivered_by_one(delivering: Delivering) -> None:
    world = delivering.world
    world.arrive(an_invoice())
    with held(world, f"deliver:{world.connection_id}"):
        deliver_company(world.services, world.connection_id)
    assert delivering.document() is None


def test_payments_are_read_by_one(delivering: Delivering) -> None:
    world = delivering.world
    delivering.approved("1")
    world.pay("1")
    world.hear("Invoice", "1", "updated")
    with held(world, f"settlements:{world.connection_id}"):
        before = world.calls()
        explain_payments(world.services, world.connection_id)
        assert world.calls() == before


def test_a_periodic_job_is_done_by_one(world: World) -> None:
    done: list[str] = []
    jobs = [Periodic(name, 0.01, lambda _, name=name: done.append(name)) for name in ("a", "b")]
    with held(world, "clock:a"), ticking(world.services, jobs):
        wait_until(lambda: done.count("b") > 1, 20, "the other job")
    assert "a" not in done
