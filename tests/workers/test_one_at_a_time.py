"""What one process has begun no other begins; each has a lease, which the test's process holds."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, Lease
from service.domain import OwnNotice
from service.errors import ConfigurationError
from service.kit.clock import now
from service.store import connections, inbox, own_notices
from tests.databases import is_waited_for
from tests.servers import wait_until
from tests.workers.delivering import Delivering
from tests.workers.reconciling import set_connection
from tests.workers.world import World, an_event, an_invoice, asked_for
from workers.delivery.deliver import deliver_company
from workers.schedule import Periodic, ticking
from workers.settlements import explain_payments
from workers.sync import Turn, sync_company

T = TypeVar("T")


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


def test_a_turn_that_adds_notices_asks_for_the_next_one(world: World) -> None:
    world.webhook(an_event("Invoice", "1", "updated"))
    with world.services.leases.join(f"sync:{world.connection_id}") as lease:
        turn = Turn(world.services, world.connection_id, lease)
        claimed = turn.begin()
        assert claimed is not None
        with world.services.database.write() as session, turn.ending(session):
            inbox.finish(session, [notice.id for notice in claimed.notices], "read", now())
            why = OwnNotice.UNRECORDED
            own_notices.ask_for_invoices(session, world.connection_id, ["2"], why, now())
    assert world.delayed() == [("sync_company", world.connection_id)]


@pytest.mark.postgresql("SQLite lets in one writer at a time")
class TestAsATurnEnds:
    """The turn has looked for the last time what is due, and is not committed yet."""

    @contextmanager
    def ending(self, world: World, *, seconds_ago: float = 0.0) -> Iterator[Session]:
        """Give the transaction that ends a turn, which began so long ago; its notice is done."""
        world.webhook(an_event("Invoice", "1", "updated"))
        with world.services.leases.join(f"sync:{world.connection_id}") as lease:
            turn = Turn(world.services, world.connection_id, lease)
            claimed = turn.begin()
            assert claimed is not None
            with world.services.database.write() as session:
                session.execute(update(Lease).values(taken_at=Lease.taken_at - seconds_ago))
            with world.services.database.write() as session:
                with turn.ending(session):
                    inbox.finish(session, [one.id for one in claimed.notices], "read", now())
                yield session

    def waiting(self, world: World, call: Callable[[], T]) -> Future[T]:
        """Return the call, made by a thread that waits for the turn's end by now."""
        made = self.threads.submit(call)
        database = world.services.database
        wait_until(lambda: made.done() or is_waited_for(database), what="a lock to wait for")
        return made

    @pytest.fixture(autouse=True)
    def _thread(self) -> Iterator[None]:
        with ThreadPoolExecutor(1) as self.threads:
            yield

    @pytest.mark.parametrize("same_process", [False, True])
    def test_a_nudge_waits_for_its_end_and_asks_again(
        self, world: World, same_process: bool
    ) -> None:
        nudged = world.services if same_process else world.another_process()
        with self.ending(world):
            world.webhook(an_event("Invoice", "2", "updated"))
            synced = self.waiting(world, lambda: sync_company(nudged, world.connection_id))
        synced.result()
        asked = asked_for(nudged.jobs.broker, delayed=True)
        assert asked == [("sync_company", world.connection_id)]

    def test_who_waits_sees_that_it_has_paused_the_company(self, world: World) -> None:
        other, before = world.another_process(), world.calls()
        with self.ending(world, seconds_ago=60) as session:
            later = now() + timedelta(minutes=1)
            connections.throttle(session, world.connection_id, later, "too many", now())
            world.webhook(an_event("Invoice", "2", "updated"))
            synced = self.waiting(world, lambda: sync_company(other, world.connection_id))
        synced.result()
        assert world.calls() == before
        assert world.notices() == [("done", "read"), ("pending", None)]

    def test_who_waits_and_finds_nothing_to_do_gives_the_lease_back(self, world: World) -> None:
        """At once: a nudge that found it held meanwhile would have asked nobody."""
        other = world.another_process()
        with other.leases.join(f"sync:{world.connection_id}") as lease:
            turn = Turn(other, world.connection_id, lease)
            with self.ending(world, seconds_ago=60):
                begun = self.waiting(world, turn.begin)
            assert begun.result() is None
            assert not lease.is_held

    def test_who_has_to_wait_keeps_nothing_that_the_end_needs(self, world: World) -> None:
        """The end locks the company before the lease: else each would wait for the other."""
        other = world.another_process()
        name, database = f"sync:{world.connection_id}", world.services.database
        with other.leases.hold(name):
            pass
        world.webhook(an_event("Invoice", "1", "updated"))
        with other.leases.join(name, spacing=600) as lease, database.write() as session:
            connections.lock(session, world.connection_id)
            turn = Turn(other, world.connection_id, lease)
            begun = self.waiting(world, turn.begin)
            session.execute(update(Lease).where(Lease.name == name).values(owner=""))
        assert begun.result() is None
        asked = asked_for(other.jobs.broker, delayed=True)
        assert asked == [("sync_company", world.connection_id)]


def test_nothing_is_claimed_of_a_company_whose_row_cannot_be_opened(world: World) -> None:
    """As where one worker lacks the newest key: what others can do must not count as lost."""
    world.webhook(an_event("Invoice", "1", "updated"))
    set_connection(world, realm_sealed="sealed by a key that is not here")
    for _ in range(3):
        with pytest.raises(ConfigurationError):
            sync_company(world.services, world.connection_id)
    (notice,) = world.notice_rows()
    assert (notice.status, notice.attempts, notice.losses) == ("pending", 0, 0)


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
