"""Answers that hold what nobody asked for: that is dropped and told, and the rest is done."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from service.kit.clock import now
from service.monitoring.conditions import wrong_now
from service.monitoring.facts import Facts
from tests.workers.reconciling import reconcile
from tests.workers.test_poison import START, fill, pages
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
def test_a_strangers_invoice_is_never_recorded(small_world: World, seen: str) -> None:
    adds = {"adds": {"Invoice": [STRANGERS]}, "entity": "Invoice", "kind": seen, "count": 1}
    empty = {"preset": "empty", "kind": "query", "entity": "Invoice", "count": 1}
    small_world.put("Invoice", an_invoice("1"))
    small_world.faults(*([empty] if seen == "read" else []), adds)
    small_world.hear("Invoice", "1", "created")
    small_world.sync()
    assert small_world.holds() == {"1": None}
    sent = "QuickBooks sent 1 record that nobody had asked for"
    assert told(small_world) == [("answers.unasked", sent)]


def test_a_strangers_customer_is_never_kept(small_world: World) -> None:
    other = a_customer("7", PrimaryEmailAddr={"Address": "stranger@example.com"})
    small_world.faults(
        {"adds": {"Customer": [{**other, "Id": "8"}]}, "entity": "Customer", "count": 1}
    )
    small_world.arrive(an_invoice("1"))
    assert small_world.documents()["1"]["buyerEmail"] == "buyer@example.com"
    assert len(told(small_world)) == 1


@pytest.mark.parametrize(
    "adds", [{"Invoice": [STRANGERS]}, {"Bill": [STRANGERS]}, {"Customer": [a_customer("8")]}]
)
def test_what_changed_before_the_watermark_is_not_recorded(
    small_world: World, adds: dict[str, list[dict[str, Any]]]
) -> None:
    adds = {
        name: [{**one, "SyncToken": "0", "MetaData": META} for one in adds[name]] for name in adds
    }
    small_world.put("Invoice", an_invoice("1"))
    small_world.faults({"adds": adds, "kind": "cdc", "count": 1})
    assert reconcile(small_world)["state"] == "done"
    assert small_world.holds() == {"1": None}
    assert len(told(small_world)) == 1


def test_a_page_of_changes_drops_what_is_older(small_world: World) -> None:
    small_world.put("Invoice", an_invoice("1"))
    small_world.faults(
        {"adds": {"Invoice": [STRANGERS]}, "kind": "query", "entity": "Invoice", "count": 1}
    )
    small_world.hear("Payment", "900", "created")
    assert small_world.holds() == {"1": None}
    assert len(told(small_world)) == 1


def test_rows_beyond_a_page_are_left_to_the_next_one(small_world: World) -> None:
    """A page with one row too many is full all the same: nothing is skipped, nothing twice."""
    fill(small_world, list(range(1002)))
    late = {"CreateTime": "2030-01-01T00:00:00Z", "LastUpdatedTime": "2030-01-01T00:00:00Z"}
    more = [an_invoice("5000", SyncToken="0", MetaData=late)]
    small_world.faults({"adds": {"Invoice": more}, "kind": "query", "count": 1})
    found, _ = pages(small_world)
    assert found == [str(n) for n in range(1, 1003)]


def test_a_full_page_of_which_something_was_dropped_is_not_the_last_one(
    small_world: World,
) -> None:
    fill(small_world, [0, 1, 2])
    first = small_world.simulator.simulator.companies[REALM].shelves["Invoice"].get("1")
    assert first is not None
    older = an_invoice("901", SyncToken="0", MetaData={"LastUpdatedTime": "2025-01-01T00:00:00Z"})
    body = {"QueryResponse": {"Invoice": [older, first.data], "startPosition": 1}}
    small_world.faults({"body": body, "kind": "query", "count": 1})
    company = CompanyContext.of(small_world.services, small_world.connection_id)
    page = read_page(company, Cursor(START, size=2))
    assert [read.raw["Id"] for read in page.reads.found] == ["1"]
    assert page.cursor.done is False
    page = read_page(company, page.cursor)
    assert [read.raw["Id"] for read in page.reads.found] == ["2", "3"]


def test_the_condition_counts_and_ends_after_a_day(small_world: World) -> None:
    rule = {"adds": {"Invoice": [STRANGERS]}, "entity": "Invoice", "kind": "query", "count": 2}
    small_world.faults(rule)
    for _ in range(2):
        small_world.arrive(an_invoice("1"))
    assert told(small_world)[0][1] == "QuickBooks sent 2 records that nobody had asked for"
    assert told(small_world, now() + timedelta(days=1)) == []
