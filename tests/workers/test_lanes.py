"""Room for every company: whoever is answered slowly does not keep the others waiting."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from service.database.tables import Notice
from tests.servers import wait_until
from tests.workers.world import World, a_customer, an_event, an_invoice
from workers.lanes import Lanes
from workers.process import working

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


def test_as_many_slow_companies_as_threads_do_not_keep_the_others_waiting(
    world: World,
) -> None:
    """Neither when they get slow, all at once, nor from then on."""
    slow, healthy = connect(world, SLOW), connect(world, HEALTHY)
    world.faults(*({"kind": "query", "company": r, "delay": 60} for r in SLOW))
    with working(world.services, threads=4, patience=0.3):
        change(world, SLOW)
        begun = [("pending", 1)]
        wait_until(lambda: [notices(world)[c] for c in slow] == [begun] * 4, what="the slow")
        change(world, HEALTHY)
        done = [("done", 1)]
        wait_until(lambda: [notices(world)[c] for c in healthy] == [done], what="the healthy")
        assert [notices(world)[c] for c in slow] == [begun] * 4
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


def test_half_of_the_threads_are_for_those_that_were_slow_the_last_time(
    gate: threading.Event,
) -> None:
    lanes, work = Lanes(4, patience=0.02), Work(gate)
    slow_once(lanes, "a", "b", "c")
    for company in ("a", "b", "c"):
        work.slow(lanes, company)
    work.quick(lanes, "d")
    assert work.begun == ["a", "b", "d"]  # the third is asked for again
    gate.set()
    lanes.drain(5)
    work.quick(lanes, "c")
    assert work.begun == ["a", "b", "d", "c"]


def test_who_was_quick_again_is_no_longer_kept_apart(gate: threading.Event) -> None:
    lanes, work = Lanes(2, patience=0.02), Work(gate)
    slow_once(lanes, "a", "b")
    work.quick(lanes, "a")
    work.slow(lanes, "b")
    work.quick(lanes, "a")
    assert work.begun == ["a", "b", "a"]


def test_what_is_waited_for_raises_what_went_wrong() -> None:
    def fail() -> None:
        raise RuntimeError("of the work")

    with pytest.raises(RuntimeError, match="of the work"):
        Lanes(2).take("a", fail)


def test_the_end_of_a_process_waits_for_slow_turns(gate: threading.Event) -> None:
    lanes, work, ended = Lanes(2, patience=0.02), Work(gate), threading.Event()
    work.slow(lanes, "a")

    def drain() -> None:
        lanes.drain(30)
        ended.set()

    threading.Thread(target=drain, daemon=True).start()
    assert not ended.wait(0.1)
    gate.set()
    assert ended.wait(10)
