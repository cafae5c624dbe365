"""Answers that hold what nobody asked for: that is dropped and told, and the rest is done."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from service.kit.clock import now
from service.monitoring.checks import wrong_now
from service.monitoring.facts import Facts
from tests.workers.paging import START, fill, pages
from tests.workers.reconciling import reconcile
from tests.workers.world import REALM, World, a_customer, an_invoice
from workers.company import CompanyContext
from workers.reading.by_change import Cursor, read_page

META = {"CreateTime": "2026-01-01T00:00:00Z", "LastUpdatedTime": "2026-01-01T00:00:00Z"}
STRANGERS = an_invoice("901", SyncToken="0", MetaData=META)


def told(world: World, at: datetime | None = None) -> list[tuple[str, str]]:
    """Return cause and first sentence of what is wrong with answers."""
    with world.services.database.read() as session:
        found = wrong_now(Facts(session, world.services.settings, at or now()))
    return [(c.cause, c.text.partition(".")[0]) for c in found if c.cause == "answers.unasked"]


@pytest.mark.parametrize("seen", ["query", "read"])
def test_a_strangers_invoice_is_never_recorded(world: World, seen: str) -> None:
    adds = {"adds": {"Invoice": [STRANGERS]}, "entity": "Invoice", "kind": seen, "count": 1}
    empty = {"preset": "empty", "kind": "query", "entity": "Invoice", "count": 1}
    world.put("Invoice", an_invoice("1"))
    world.faults(*([empty] if seen == "read" else []), adds)
    world.hear("Invoice", "1", "created")
    world.sync()
    assert world.holds() == {"1": None}
    sent = "QuickBooks sent 1 record that nobody had asked for"
    assert told(world) == [("answers.unasked", sent)]


def test_a_strangers_customer_is_never_kept(world: World) -> None:
    other = a_customer("7", PrimaryEmailAddr={"Address": "stranger@example.com"})
    world.faults({"adds": {"Customer": [{**other, "Id": "8"}]}, "entity": "Customer", "count": 1})
    world.arrive(an_invoice("1"))
    assert world.documents()["1"]["buyerEmail"] == "buyer@example.com"
    assert len(told(world)) == 1


@pytest.mark.parametrize(
    "adds", [{"Invoice": [STRANGERS]}, {"Bill": [STRANGERS]}, {"Customer": [a_customer("8")]}]
)
def test_what_changed_before_the_watermark_is_not_recorded(
    world: World, adds: dict[str, list[dict[str, Any]]]
) -> None:
    adds = {
        name: [{**one, "SyncToken": "0", "MetaData": META} for one in adds[name]] for name in adds
    }
    world.put("Invoice", an_invoice("1"))
    world.faults({"adds": adds, "kind": "cdc", "count": 1})
    assert reconcile(world)["state"] == "done"
    assert world.holds() == {"1": None}
    assert len(told(world)) == 1


def test_a_page_of_changes_drops_what_is_older(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    world.faults(
        {"adds": {"Invoice": [STRANGERS]}, "kind": "query", "entity": "Invoice", "count": 1}
    )
    world.hear("Payment", "900", "created")
    assert world.holds() == {"1": None}
    assert len(told(world)) == 1


@pytest.mark.usefixtures("small_pages")
def test_rows_beyond_a_page_are_left_to_the_next_one(world: World) -> None:
    """A page with one row too many is full all the same: nothing is skipped, nothing twice."""
    fill(world, list(range(102)))
    late = {"CreateTime": "2030-01-01T00:00:00Z", "LastUpdatedTime": "2030-01-01T00:00:00Z"}
    more = [an_invoice("5000", SyncToken="0", MetaData=late)]
    world.faults({"adds": {"Invoice": more}, "kind": "query", "count": 1})
    found, _ = pages(world)
    assert found == [str(n) for n in range(1, 103)]


def test_a_full_page_of_which_something_was_dropped_is_not_the_last_one(
    world: World,
) -> None:
    fill(world, [0, 1, 2])
    first = world.simulator.simulator.companies[REALM].shelves["Invoice"].get("1")
    assert first is not None
    older = an_invoice("901", SyncToken="0", MetaData={"LastUpdatedTime": "2025-01-01T00:00:00Z"})
    body = {"QueryResponse": {"Invoice": [older, first.data], "startPosition": 1}}
    world.faults({"body": body, "kind": "query", "count": 1})
    company = CompanyContext.of(world.services, world.connection_id)
    page = read_page(company, Cursor(START, size=2))
    assert [read.raw["Id"] for read in page.reads.found] == ["1"]
    assert page.cursor.done is False
    page = read_page(company, page.cursor)
    assert [read.raw["Id"] for read in page.reads.found] == ["2", "3"]


def test_the_condition_counts_and_ends_after_a_day(world: World) -> None:
    rule = {"adds": {"Invoice": [STRANGERS]}, "entity": "Invoice", "kind": "query", "count": 2}
    world.faults(rule)
    for _ in range(2):
        world.arrive(an_invoice("1"))
    assert told(world)[0][1] == "QuickBooks sent 2 records that nobody had asked for"
    assert told(world, now() + timedelta(days=1)) == []
