"""Companies whose invoices are paid or gone all at once, and what becomes of their runs."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from service.kit.clock import now
from service.monitoring.checks import wrong_now
from service.monitoring.facts import Facts
from service.store import approvals, runs
from tests.workers.reconciling import finish
from tests.workers.world import REALM, World, an_invoice

START = datetime(2026, 1, 1, tzinfo=UTC)
ANOTHER = "9341455000000002"
LET = "invoice_created"
TAKEN = "invoice_rejected"


def books(world: World, count: int, *paid: int, realm: str = REALM) -> None:
    """Give the company so many invoices, a second apart; the paid ones have no balance.

    Said again, it changes balances alone: neither versions nor the order of changes.
    """
    invoices = []
    for n in range(1, count + 1):
        at = (START + timedelta(seconds=n)).isoformat()
        meta = {"CreateTime": at, "LastUpdatedTime": at}
        balance = 0.0 if n in paid else 100.0
        invoices.append(an_invoice(str(n), MetaData=meta, Balance=balance))
    world.simulator.simulator.companies[realm].load("Invoice", invoices, START)


def offered(world: World, count: int, *, realm: str = REALM) -> None:
    """Let so many invoices be in Infactor."""
    world.signal_nothing()
    books(world, count, realm=realm)
    assert world.backfill()["created"] == count


def paid_now(world: World, count: int) -> None:
    """Pay the first so many in QuickBooks, of which no notice tells."""
    world.put("Invoice", *(an_invoice(str(n), Balance=0) for n in range(1, count + 1)))


def states(world: World) -> dict[str, int]:
    """Return how many documents are in each state."""
    return dict(Counter(document["state"] for document in world.documents().values()))


def begin_reconcile(world: World, *, full: bool = False) -> int:
    order = {"full": full, "fix": True}
    with world.services.database.write() as session:
        return runs.begin_reconcile(session, world.connection_id, "daily", order, now())


def begin(world: World, kind: str) -> int:
    """Begin a backfill, or a reconcile of the changes or of the whole listing."""
    if kind == "backfill":
        return world.begin_backfill()
    return begin_reconcile(world, full=kind == "listing")


def approve(world: World, run_id: int) -> None:
    with world.services.database.write() as session:
        run = approvals.lock(session, run_id)
        assert run is not None
        approvals.approve(session, run)


def reject(world: World, run_id: int) -> None:
    with world.services.database.write() as session:
        run = approvals.lock(session, run_id)
        assert run is not None
        approvals.reject(session, run, now())


def stops(world: World) -> list[tuple[str, str]]:
    """Return (connection, command) of each run that somebody is told of."""
    with world.services.database.read() as session:
        found = wrong_now(Facts(session, world.services.settings, now()))
    return [(c.subject, c.command) for c in found if c.cause == "withdrawals.stopped"]


def change_settings(world: World, **values: Any) -> None:
    settings = world.services.settings.model_copy(update=values)
    world.services = replace(world.services, settings=settings)


def a_waiting_backfill(world: World) -> int:
    """Return a backfill that waits, because all ten of its invoices are paid."""
    offered(world, 10)
    paid_now(world, 10)
    run_id = world.begin_backfill()
    assert finish(world, run_id)["state"] == "active"
    assert world.run(run_id).halted_at is not None
    return run_id
