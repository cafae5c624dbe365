"""Room for every company: whoever is answered slowly does not keep the others waiting."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from sqlalchemy import select

from service.database.tables import Notice, Run
from service.jobs import DELIVER, JUDGE, RUN, SETTLE, Job
from tests.servers import wait_until
from tests.workers.world import World, a_customer, an_event, an_invoice
from workers.lanes import Lanes
from workers.process import lanes_for, working

SLOW = [f"93414550000001{n:02}" for n in range(4)]
HEALTHY = ["9341455000000200"]


def connect(world: World, realms: list[str]) -> dict[str, str]:
    """Connect these companies; return whose connection each is."""
    found = {}
    for realm in realms:
        found[world.connect(realm, f"{realm}@example.com")] = realm
        world.put("Customer", a_customer(), realm=realm)
        world.put("Invoice", an_invoice("1"), realm=realm)
    return found


def change(world: World, realms: list[str]) -> None:
    """Let an invoice of each company change."""
    world.webhook(*(an_event("Invoice", "1", "updated", intuitaccountid=r) for r in realms))


def notices(world: World) -> dict[str, list[tuple[str, int]]]:
    """Return status and attempts of each notice, by company."""
    found: dict[str, list[tuple[str, int]]] = {}
    with world.services.database.read() as session:
        for notice in session.scalars(select(Notice).order_by(Notice.id)):
            found.setdefault(notice.connection_id or "", []).append(
                (notice.status, notice.attempts)
            )
    return found


def begun(world: World) -> int:
    """Return how many runs somebody works on."""
    with world.services.database.read() as session:
        return len(session.scalars(select(Run.id).where(Run.claimed_by.is_not(None))).all())


def test_as_many_slow_companies_as_threads_do_not_keep_the_others_waiting(
    world: World,
) -> None:
    """Neither when they get slow, all at once, nor from then on."""
    slow, healthy = connect(world, SLOW), connect(world, HEALTHY)
    world.faults(*({"kind": "query", "company": r, "delay": 60} for r in SLOW))
    with working(world.services, threads=4, patience=0.3):
        change(world, SLOW)
        started = [("pending", 1)]
        wait_until(lambda: [notices(world)[c] for c in slow] == [started] * 4, what="the slow")
        change(world, HEALTHY)
        done = [("done", 1)]
        wait_until(lambda: [notices(world)[c] for c in healthy] == [done], what="the healthy")
        assert [notices(world)[c] for c in slow] == [started] * 4
        world.no_faults()
        wait_until(lambda: [notices(world)[c] for c in slow] == [done] * 4, what="the end")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What slow work waits for."""
    made = threading.Event()
    yield made
    made.set()


class Work:
    """Work of companies, of which some waits at a gate; tells what has begun, in order."""

    def __init__(self, gate: threading.Event) -> None:
        self.begun: list[str] = []
        self._gate = gate

    def slow(self, lanes: Lanes, company: str) -> None:
        def work() -> None:
            self.begun.append(company)
            self._gate.wait(30)

        lanes.take(company, work)

    def quick(self, lanes: Lanes, company: str) -> None:
        lanes.take(company, lambda: self.begun.append(company))


def slow_once(lanes: Lanes, *companies: str) -> None:
    """Let the last turn of each of these companies have been slow."""
    gate = threading.Event()
    for company in companies:
        Work(gate).slow(lanes, company)
    gate.set()
    lanes.drain(5)


def at_side(
    take: Callable[[Lanes, str], None], lanes: Lanes, *companies: str
) -> list[threading.Thread]:
    """Take the turns of these companies from a thread each, as Dramatiq does."""
    threads = [threading.Thread(target=take, args=(lanes, c), daemon=True) for c in companies]
    for thread in threads:
        thread.start()
    return threads


def some_lanes() -> Lanes:
    """Lanes of which slow turns leave the threads, and two may be slow at a time."""
    return Lanes(4, slow_places=2, patience=0.02, handed_off=32)


def test_so_many_places_are_for_those_that_were_slow_the_last_time(
    gate: threading.Event,
) -> None:
    lanes, work = some_lanes(), Work(gate)
    slow_once(lanes, "a", "b", "c")
    for company in ("a", "b", "c"):
        work.slow(lanes, company)
    work.quick(lanes, "d")
    assert sorted(work.begun) == ["a", "b", "d"]  # the third stands in line
    gate.set()
    wait_until(lambda: work.begun[3:] == ["c"], what="the third")


def test_the_slow_ones_have_their_turns_one_after_another() -> None:
    """Each asks for its next turn at the end of each, as a step of an import does."""
    lanes, begun = Lanes(4, slow_places=1, patience=0.01, handed_off=32), list[str]()
    everyone = threading.Event()

    def work(company: str) -> None:
        begun.append(company)
        everyone.wait(5)
        time.sleep(0.02)  # which makes it slow
        if len(begun) < 12:
            lanes.take(company, partial(work, company))

    for company in ("a", "b", "c"):
        lanes.take(company, partial(work, company))
    everyone.set()
    wait_until(lambda: len(begun) >= 12, what="twelve turns")
    lanes.close()
    lanes.drain(5)
    assert sorted(begun[-3:]) == sorted(begun[-6:-3]) == ["a", "b", "c"]


def test_a_company_that_is_asked_for_again_during_its_slow_turn_stays_slow(
    gate: threading.Event,
) -> None:
    """A second turn beside it would find nothing to do, and look quick."""
    lanes, work = some_lanes(), Work(gate)
    slow_once(lanes, "a")
    work.slow(lanes, "a")
    wait_until(lambda: work.begun == ["a"], what="the first")
    work.quick(lanes, "a")
    work.quick(lanes, "b")
    assert work.begun == ["a", "b"]
    gate.set()
    wait_until(lambda: work.begun == ["a", "b", "a"], what="the second")


@pytest.mark.parametrize("job", [JUDGE, DELIVER, RUN, SETTLE], ids=lambda job: job.name)
def test_a_third_at_once_however_long_they_take(gate: threading.Event, job: Job) -> None:
    lanes, work = lanes_for(4, patience=0.002)[job], Work(gate)
    threads = at_side(work.slow, lanes, "a", "b", "c")
    wait_until(lambda: [t.is_alive() for t in threads].count(False) == 1, what="one in line")
    assert len(work.begun) == 2
    gate.set()
    wait_until(lambda: sorted(work.begun) == ["a", "b", "c"], what="the third")


def test_who_was_quick_again_is_no_longer_kept_apart(gate: threading.Event) -> None:
    lanes, work = Lanes(4, slow_places=1, patience=0.02, handed_off=32), Work(gate)
    slow_once(lanes, "a", "b")
    work.quick(lanes, "a")
    lanes.drain(5)
    work.slow(lanes, "b")
    work.quick(lanes, "a")
    wait_until(lambda: work.begun == ["a", "b", "a"], what="the turns")


def test_what_is_waited_for_raises_what_went_wrong() -> None:
    def fail() -> None:
        raise RuntimeError("of the work")

    with pytest.raises(RuntimeError, match="of the work"):
        Lanes(2).take("a", fail)


def test_the_end_of_a_process_waits_for_slow_turns(gate: threading.Event) -> None:
    lanes, work, ended = some_lanes(), Work(gate), threading.Event()
    work.slow(lanes, "a")

    def drain() -> None:
        lanes.drain(30)
        ended.set()

    threading.Thread(target=drain, daemon=True).start()
    assert not ended.wait(0.1)
    gate.set()
    assert ended.wait(10)


def test_a_process_that_ends_begins_nothing_more(gate: threading.Event) -> None:
    lanes, work = Lanes(1), Work(gate)
    at_side(work.slow, lanes, "a")
    wait_until(lambda: work.begun == ["a"], what="the first")
    work.quick(lanes, "b")
    lanes.close()
    gate.set()
    lanes.drain(5)
    work.quick(lanes, "c")
    assert work.begun == ["a"]


def test_imports_that_hang_leave_notices_their_threads(world: World) -> None:
    """In one process without Redis, too, and with more imports than threads."""
    slow, healthy = connect(world, SLOW), connect(world, HEALTHY)
    world.faults(*({"kind": "query", "company": r, "delay": 60} for r in SLOW))
    with working(world.services, threads=2):
        for world.connection_id in slow:
            world.services.jobs.run(world.begin_backfill())
        wait_until(lambda: begun(world) == 1, what="an import that hangs")
        change(world, HEALTHY)
        done = [("done", 1)]
        wait_until(lambda: [notices(world)[c] for c in healthy] == [done], 7, "the healthy")
        assert begun(world) == 1
        world.no_faults()
