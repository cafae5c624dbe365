"""Everything periodic is done by a process that is started as it is, on time, and by one of all."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from service.database.tables import (
    Alert,
    Connection,
    Counter,
    FeedEvent,
    Heartbeat,
    Lease,
    Notice,
    Process,
    Run,
    Sample,
    SettlementRow,
)
from service.database.types import database_now
from service.infactor.mapping import invoice_id
from service.kit.clock import now
from service.operations import actions
from service.simulator.app import RunningSimulator
from service.store import own_notices
from tests.servers import wait_until
from tests.workers.conftest import connected
from tests.workers.delivering import Delivering, seen_once
from tests.workers.reconciling import set_connection
from tests.workers.world import REALM, World, an_invoice, count
from workers.process import working
from workers.schedule import PERIODIC, Clocks, Periodic

# So many seconds after it was done last, each is done again.
SECONDS = {
    "requeue": 2,
    "events": 2,
    "heartbeat": 10,
    "presence": 10,
    "alerts": 15,
    "reconcile": 15,
    "judging": 15,
    "settlements": 15,
    "sample": 60,
    "count": 60,
    "keys": 60,
    "poll": 300,
    "keep-alive": 3600,
    "revive": 3600,
    "prune": 3600,
    "habits": 21600,
}


def let_time_pass(world: World, seconds: dict[str, int]) -> None:
    """Let each periodic job have been done so many seconds ago."""
    with world.services.database.write() as session:
        at = session.execute(select(database_now())).scalar_one()
        for name, ago in seconds.items():
            session.add(Lease(name=f"clock:{name}", owner="", taken_at=at - ago, until=0.0))


def work_for_each(delivering: Delivering) -> dict[str, Callable[[], bool]]:
    """Leave something to do to each periodic job; return how to see that it was done, by name."""
    world = delivering.world
    at, busy = now(), world.connection_id
    delivering.arrive(an_invoice("3"))
    delivering.decide("3", state="invoice_accepted")
    delivering.poll()
    world.pay("3")
    world.hear("Invoice", "3", "updated")
    delivering.arrive(an_invoice("1"))
    delivering.decide("1", state="invoice_accepted")
    delivering.arrive(an_invoice("2"))
    delivering.register("buyer@example.com")
    idle = world.connect("9341455000000002", "idle@example.com")
    set_connection(world, access_expires_at=at - timedelta(days=8))
    refused = world.connect("9341455000000005", "refused@example.com")
    set_connection(world, access_expires_at=at, keys_refused_since=at)
    world.connect("9341455000000003", "dead@example.com")
    set_connection(world, state="disconnected", problem="invalid_grant", disconnected_at=at)
    dead = world.connect("9341455000000004", "revived@example.com")
    died_at = at - timedelta(days=2)
    set_connection(world, state="disconnected", problem="invalid_grant", disconnected_at=died_at)
    world.connection_id = busy
    set_connection(world, reconcile_due_at=at - timedelta(minutes=1))
    with world.services.database.write() as session:
        wanted = own_notices.ask_for_changes(session, busy, "sync", at)
        old = at - timedelta(days=91)
        session.add(Notice(format="own", status="done", received_at=old, handled_at=old))
        told = {"event_id": "one", "type": "connection.paused", "subject": busy, "data": {}}
        told["environment"] = "simulator"
        session.add(FeedEvent(connection_id=busy, at=at, waiting=False, **told))
        for hours in range(0, 480, 16):
            heard = {"connection_id": busy, "received_at": at - timedelta(hours=hours)}
            session.add(Notice(format="cloudevents", status="done", handled_at=at, **heard))
    is_done = (Notice.id == wanted) & (Notice.status == "done")
    is_alive = (Connection.id == idle) & (Connection.access_expires_at > at)
    is_accepted = (Connection.id == refused) & Connection.keys_refused_since.is_(None)
    is_revived = (Connection.id == dead) & (Connection.state == "connected")
    return {
        "requeue": lambda: count(world, Notice, is_done) == 1,
        "events": lambda: count(world, FeedEvent, FeedEvent.position == 1) == 1,
        "heartbeat": lambda: count(world, Heartbeat, Heartbeat.name == "clock") == 1,
        "presence": lambda: count(world, Process, Process.kind == "worker") == 1,
        "alerts": lambda: count(world, Alert, Alert.cause == "connection.dead") > 0,
        "reconcile": lambda: count(world, Run, Run.kind == "reconcile") == 1,
        "judging": lambda: count(world, Connection, Connection.judged_by != "") == 5,
        "settlements": lambda: count(world, SettlementRow) == 1,
        "sample": lambda: count(world, Sample) == 1,
        "count": lambda: count(world, Counter, Counter.total > 0) > 0,
        "poll": lambda: (
            delivering.last_seen("1").state == "invoice_accepted"
            and delivering.addressed("2")[2] == []
        ),
        "keys": lambda: count(world, Connection, is_accepted) == 1,
        "keep-alive": lambda: count(world, Connection, is_alive) == 1,
        "revive": lambda: count(world, Connection, is_revived) == 1,
        "prune": lambda: count(world, Notice, Notice.handled_at == old) == 0,
        "habits": lambda: count(world, Connection, Connection.silent_after.is_not(None)) == 1,
    }


@pytest.mark.both_databases("the statements are its own")
def test_a_worker_does_each_periodic_job_on_time(delivering: Delivering) -> None:
    done = work_for_each(delivering)
    assert done.keys() == SECONDS.keys()
    assert [name for name, is_done in done.items() if is_done()] == []
    let_time_pass(delivering.world, SECONDS)
    with working(delivering.world.services, threads=4):
        for name, is_done in done.items():
            wait_until(is_done, 20, f"the work of {name}")


def test_the_running_poll_finds_what_people_did_in_infactor(delivering: Delivering) -> None:
    world = delivering.world
    delivering.arrive(an_invoice("1"))
    delivering.arrive(an_invoice("1", TotalAmt=110.0, Balance=110.0))
    delivering.decide("1", state="invoice_accepted")  # of an amount just written over
    delivering.arrive(an_invoice("2"))
    delivering.arrive(an_invoice("2", Balance=0.0))
    delivering.decide("2", state="ifactor_request")  # though withdrawn
    delivering.arrive(an_invoice("3"))
    delivering.decide("3", state="invoice_accepted")
    delivering.arrive(an_invoice("3", DocNumber="9"))  # by which the approval is seen
    delivering.infactors.invoices.delete_one({"_id": invoice_id(REALM, "3")})
    delivering.arrive(an_invoice("4", BillEmail={"Address": "Later@Buyer.example"}))
    delivering.register("later@buyer.EXAMPLE")
    let_time_pass(world, {"poll": 300})

    def found() -> set[tuple[str, str, str | None]]:
        kinds = ("hurried", "moved_on", "missing")
        return {(kind, row[1], row[4]) for kind in kinds for row in delivering.found(kind)}

    with working(world.services, threads=4):
        wait_until(lambda: len(found()) == 3, 20, "the findings")
        wait_until(
            lambda: delivering.addressed("4") == (*["later@buyer.EXAMPLE"] * 2, []), 20, "the buyer"
        )
        with world.services.database.write() as session:
            run_id = actions.reconcile(session, world.connection_id, True, "cli:someone")
        wait_until(lambda: world.run(run_id).state == "done", 30, "the reconcile")
    assert found() == {
        ("hurried", "warning", "110"),
        ("moved_on", "critical", "ifactor_request"),
        ("missing", "critical", "gone"),
    }
    assert delivering.document("3") is None
    tally = world.run(run_id).tally
    assert [(one["id"], one["kind"]) for one in tally["infactor"]] == [("3", "deleted in Infactor")]


def is_polling(world: World) -> bool:
    return count(world, Lease, (Lease.name == "clock:poll") & (Lease.owner != "")) == 1


def test_no_other_work_waits_for_an_infactor_that_does_not_answer(
    simulator: RunningSimulator, sqlite_url: str, silent_port: int
) -> None:
    settings = {
        "INFACTOR_MONGODB_URL": f"mongodb://127.0.0.1:{silent_port}/?serverSelectionTimeoutMS=9000",
        "INFACTOR_MONGODB_DATABASE": "none",
    }
    with connected(simulator, sqlite_url, **settings) as world:
        seen_once(world)
        world.services.jobs.broker.flush_all()
        with working(world.services, threads=4):
            wait_until(lambda: is_polling(world), what="the poll")
            with world.services.database.write() as session:
                own_notices.ask_for_changes(session, world.connection_id, "sync", now())
            wait_until(lambda: {status for status, _ in world.notices()} == {"done"}, 7, "the sync")
            assert is_polling(world)


def test_clocks_that_hang_share_the_time_that_a_process_has_to_end(world: World) -> None:
    gate, begun = threading.Event(), list[str]()

    def hang(name: str) -> None:
        begun.append(name)
        gate.wait(60)

    jobs = [Periodic(n, 0.01, lambda _, n=n: hang(n), clock=n, everywhere=True) for n in "abcd"]
    clocks, joined = Clocks(world.services, jobs), threading.Event()
    clocks.start()
    wait_until(lambda: sorted(begun) == ["a", "b", "c", "d"], what="all to hang")

    def end() -> None:
        clocks.stop()
        clocks.join(1.0)
        joined.set()

    threading.Thread(target=end, daemon=True).start()
    assert joined.wait(3)  # not a second for each
    gate.set()
    clocks.join(10)


def test_the_table_is_what_is_seen_to_be_done() -> None:
    assert {job.name: job.seconds for job in PERIODIC} == SECONDS
