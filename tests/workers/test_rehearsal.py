"""A dry run: what a backfill would do, with nothing changed."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text

from service.database.tables import Base
from tests.workers.world import World, a_customer, an_invoice
from workers.company import CompanyContext
from workers.reading.by_id import CustomerReads, read_invoices
from workers.recording.record import Rehearsed, rehearse
from workers.runs.backfill import estimate, rehearse_backfill

# What any call at all leaves behind: its place in the schedule, its count, its token, its number.
MOVED_BY_CALLS = {"paces", "reads", "leases"}
COUNTED = ("read", "created", "refreshed", "unchanged", "withdrawn", "restored", "held", "failed")


def everything(world: World) -> dict[str, list[Any]]:
    """Return the content of every table that a dry run has no business with."""
    found: dict[str, list[Any]] = {}
    with world.services.database.read() as session:
        for table in Base.metadata.sorted_tables:
            if table.name not in MOVED_BY_CALLS:
                rows = session.execute(text(f"SELECT * FROM {table.name}")).mappings()
                found[table.name] = [{**row, "fetch_number": None} for row in rows]
    return found


def rehearsed(world: World, since: datetime | None = None) -> dict[str, Any]:
    company = CompanyContext.of(world.services, world.connection_id)
    return rehearse_backfill(company, since, lambda *_: None)


def believable(world: World) -> None:
    """Give the company something of everything that a tally counts."""
    world.put("Customer", a_customer("8", PrimaryEmailAddr={"Address": "eight@example.com"}))
    world.put("Invoice", an_invoice("1"), an_invoice("2"), an_invoice("3"), an_invoice("4"))
    world.backfill()
    world.void("4")
    world.put(
        "Invoice",
        an_invoice("2", TotalAmt=50.0, Balance=50.0),
        an_invoice("5", CustomerRef={"value": "8", "name": "Eight"}),
        an_invoice("6", Balance=0),
        an_invoice("7", TotalAmt="a lot"),
    )


@pytest.mark.both_databases("the statements are its own")
def test_a_dry_run_writes_nothing(world: World) -> None:
    believable(world)
    before = everything(world)
    rehearsed(world)
    assert everything(world) == before


@pytest.mark.both_databases("the statements are its own")
def test_a_dry_run_counts_as_the_real_run_does(world: World) -> None:
    believable(world)
    dry = rehearsed(world)
    real = world.backfill()
    assert {name: dry[name] for name in COUNTED} == {name: real[name] for name in COUNTED}
    assert {name: dry[name] for name in COUNTED} == {
        "read": 7,
        "created": 1,
        "refreshed": 1,
        "unchanged": 2,
        "withdrawn": 1,
        "restored": 0,
        "held": {"paid": 1},
        "failed": 1,
    }
    assert dry["failures"] == real["failures"]


def test_a_dry_run_names_each_rule_that_comes_to_hold_or_signal_an_invoice(world: World) -> None:
    believable(world)
    pages: list[Rehearsed] = []
    company = CompanyContext.of(world.services, world.connection_id)
    rehearse_backfill(company, None, lambda _, page: pages.append(page))
    (page,) = pages
    reasons = [one for one in page.reasons if one.code in ("paid", "void")]
    told = {
        (page.named[one.invoice_id].quickbooks_id, one.code, one.before, one.after, one.held)
        for one in reasons
    }
    assert told == {("4", "void", "off", "hold", False), ("6", "paid", "off", "hold", False)}
    assert all(one.would_be_held for one in reasons)


@pytest.mark.usefixtures("small_pages")
def test_a_dry_run_of_several_pages_reads_each_invoice_once(world: World) -> None:
    company = world.simulator.simulator.companies["9341455000000001"]
    company.load(
        "Invoice", [an_invoice(str(n)) for n in range(1, 111)], datetime.now().astimezone()
    )
    tally = rehearsed(world)
    assert (tally["read"], tally["created"]) == (110, 110)


@pytest.mark.usefixtures("small_pages")
def test_an_estimate_names_at_least_what_the_run_costs(world: World) -> None:
    company = world.simulator.simulator.companies["9341455000000001"]
    company.load(
        "Invoice", [an_invoice(str(n)) for n in range(1, 111)], datetime.now().astimezone()
    )
    cost = estimate(CompanyContext.of(world.services, world.connection_id), None)
    assert (cost.invoices, cost.reads) == (110, 5)
    world.forget_calls()
    world.backfill()
    assert world.calls() <= cost.reads


@pytest.mark.parametrize("kind", ["created", "gone"])
def test_a_single_invoice_can_be_rehearsed(world: World, kind: str) -> None:
    if kind == "created":
        world.put("Invoice", an_invoice("1"))
    before = everything(world)
    company = CompanyContext.of(world.services, world.connection_id)
    reads = CustomerReads(company).complete(read_invoices(company, ["1"]))
    recorded, _, _ = rehearse(company, reads)
    words = {"created": "created", "gone": "held: deleted"}
    assert [(one.quickbooks_id, str(one)) for one in recorded] == [("1", words[kind])]
    assert everything(world) == before
