"""A service that runs does each thing when its time has come: its clock is moved."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from service.database.tables import Alert, BuyerAccount, Connection, Heartbeat, Lease, Notice, Reads
from service.database.types import database_now
from service.kit.clock import now
from tests.servers import wait_until
from tests.workers.database_clock import DatabaseClock
from tests.workers.delivering import Delivering
from tests.workers.world import World, an_invoice, count
from workers.process import working

OTHER_REALM = "9341455000000002"


def looks(world: World) -> dict[str, int]:
    """Return how often each company was asked for its changes."""
    with world.services.database.read() as session:
        rows = session.execute(
            select(Reads.connection_id, func.sum(Reads.count))
            .where(Reads.kind == "cdc")
            .group_by(Reads.connection_id)
        )
        return {connection_id: int(number) for connection_id, number in rows}


def days(world: World) -> set[str]:
    """Return the days by which companies were last judged."""
    with world.services.database.read() as session:
        return {key.split(" ")[1] for key in session.scalars(select(Connection.judged_by)) if key}


def has_looked_since(world: World) -> Callable[[], bool]:
    """Return what says whether the clock of the reconciles has gone round since now."""
    with world.services.database.read() as session:
        at = session.execute(select(database_now())).scalar_one()
    looked = (Lease.name == "clock:reconcile") & (Lease.taken_at > at)
    return lambda: count(world, Lease, looked) == 1


def test_a_running_service_does_each_thing_once_its_time_has_come(
    delivering: Delivering, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Of two companies nobody says anything; money may move on one invoice of the first."""
    caplog.set_level("INFO")
    world = delivering.world
    financed, at = world.connection_id, now()
    delivering.arrive(an_invoice("1"))
    delivering.decide("1", state="invoice_accepted")
    delivering.poll()
    with world.services.database.write() as session:
        for hours in range(0, 480, 16):
            heard = {"connection_id": financed, "received_at": at - timedelta(hours=hours)}
            session.add(Notice(format="cloudevents", status="done", handled_at=at, **heard))
    other = world.connect(OTHER_REALM, "other@example.com")
    world.pay("1")
    world.put("Invoice", an_invoice("2"), realm=OTHER_REALM)
    theirs = DatabaseClock(world.services.database)
    theirs.open()

    def on(hours: float, done: Callable[[], bool], what: str) -> None:
        """Let so much time pass, in which the receiver was alive, and wait for what follows."""
        seconds = timedelta(hours=hours).total_seconds()
        with world.services.database.write() as session:
            session.execute(update(Heartbeat).values(at=Heartbeat.at + seconds))
            theirs.set(seconds)
        wait_until(done, 60, what)

    silent = (Alert.cause == "company.silent") & (Alert.subject == financed)
    habitual = (Connection.id == financed) & Connection.silent_after.is_not(None)
    try:
        with working(world.services, threads=4):
            wait_until(lambda: len(days(world)) == 1, 60, "the day's judgement")
            (today,) = days(world)
            on(0.9, has_looked_since(world), "a look after fifty-four minutes")
            assert looks(world) == {}
            on(0.2, lambda: looks(world) == {financed: 1}, "the hourly look")
            on(0.02, lambda: delivering.found("settled") != [], "who paid")
            assert count(world, Alert, silent) == 0
            on(23.0, lambda: looks(world) == {financed: 2, other: 1}, "the daily look")
            on(0.02, lambda: count(world, BuyerAccount) == 1, "the account of the other's buyer")
            wait_until(lambda: today not in days(world) and len(days(world)) == 1, 60, "midnight")
            wait_until(lambda: count(world, Connection, habitual) == 1, 60, "its habit")
            on(72.0, lambda: count(world, Alert, silent) == 1, "its silence")
    finally:
        theirs.close()
    # Where an earlier test has set up the service's own log, the lines are there. The first day's
    # judgement tells each head, and a later day's does.
    lines = [*capsys.readouterr().out.splitlines(), *caplog.text.splitlines()]
    told = [line for line in lines if "chain.head" in line]
    for company in (financed, other):
        assert sum(company in line for line in told) >= 2
