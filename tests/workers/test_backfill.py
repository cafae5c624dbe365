"""Backfill: every invoice once, one checkpointed page at a time."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.database.engine import after_commit
from service.domain import RevisionCause
from service.kit.clock import now
from tests.servers import wait_until
from tests.workers.reconciling import catch_up
from tests.workers.world import (
    CHECKPOINTS,
    DOCUMENTS,
    REALM,
    World,
    a_customer,
    an_event,
    an_invoice,
)
from workers.company import CompanyContext
from workers.reading.by_id import CustomerReads, read_invoices
from workers.recording.record import recording

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: int) -> dict[str, Any]:
    """Return the MetaData of a record that changed so many seconds after the start of the year."""
    time = (START + timedelta(seconds=seconds)).isoformat()
    return {"CreateTime": time, "LastUpdatedTime": time}


def fill(world: World, seconds: list[int], customers: int = 1) -> None:
    """Give the company an invoice for each of these times, spread over so many customers."""
    company = world.simulator.simulator.companies[REALM]
    buyers = [str(7 + n) for n in range(customers)]
    company.load("Customer", [a_customer(i, MetaData=at(0)) for i in buyers], START)
    books = [
        an_invoice(
            str(n + 1),
            MetaData=at(second),
            CustomerRef={"value": buyers[n % customers], "name": "Buyer"},
        )
        for n, second in enumerate(seconds)
    ]
    company.load("Invoice", books, START)


def test_a_backfill_brings_every_invoice(world: World) -> None:
    fill(world, [1, 2, 3])
    tally = world.backfill()
    assert sorted(world.documents()) == ["1", "2", "3"]
    assert (tally["read"], tally["created"], tally["failed"]) == (3, 3, 0)
    assert (tally["counted"], tally["recorded"], tally["error"]) == (3, 3, None)
    assert {cause for _, cause in world.revisions()} == {"backfill"}


def test_an_empty_company_ends_at_once(world: World) -> None:
    tally = world.backfill()
    assert (tally["read"], tally["counted"], tally["recorded"]) == (0, 0, 0)


def test_a_second_backfill_changes_nothing(world: World) -> None:
    fill(world, [1, 2, 3])
    world.backfill()
    before = world.revisions()
    tally = world.backfill()
    assert (tally["read"], tally["created"], tally["unchanged"]) == (3, 0, 3)
    assert world.revisions() == before


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(
    "seconds",
    [
        [n // 7 for n in range(230)],
        [1] * 3 + [5] * 120 + [9] * 3,
        [1] * 99 + [2] * 2,
        [5] * 100,
        [1] * 50 + [2] * 150 + [3] * 10,
    ],
    ids=[
        "230 with equal seconds",
        "120 in one second among others",
        "a page that ends inside a second",
        "exactly a page",
        "a second over three pages",
    ],
)
def test_each_invoice_is_read_exactly_once(world: World, seconds: list[int]) -> None:
    fill(world, seconds)
    tally = world.backfill()
    assert (tally["read"], tally["created"]) == (len(seconds), len(seconds))
    assert (tally["counted"], tally["recorded"], tally["error"]) == (
        len(seconds),
        len(seconds),
        None,
    )


@pytest.mark.usefixtures("small_pages")
def test_a_second_over_several_pages_costs_each_page_once(world: World) -> None:
    fill(world, [5] * 200)
    world.forget_calls()
    world.backfill()
    # Two counts, a page of customers, two pages of invoices, and one that is empty.
    assert world.calls() == 6


@pytest.mark.usefixtures("small_pages")
@pytest.mark.postgresql("the statements are its own")
def test_pages_work_on_postgresql_too(world: World) -> None:
    fill(world, [n // 7 for n in range(130)], customers=20)
    tally = world.backfill()
    assert (tally["read"], tally["created"], tally["recorded"]) == (130, 130, 130)


def test_a_backfill_costs_a_read_a_page_and_at_most_six_more(
    world: World, request: pytest.FixtureRequest
) -> None:
    """With --long, 10,000 invoices of 500 customers cost at most 16 reads."""
    invoices = 10_000 if request.config.getoption("--long") else 2_000
    fill(world, [n // 3 for n in range(invoices)], customers=500)
    world.forget_calls()
    tally = world.backfill()
    assert tally["created"] == invoices
    assert world.calls() <= invoices // 1000 + 6


@pytest.mark.usefixtures("small_pages")
def test_a_backfill_goes_on_from_its_checkpoint(world: World) -> None:
    fill(world, [n // 3 for n in range(250)])
    run_id = world.begin_backfill()
    assert world.advance(run_id)
    assert world.run(run_id).tally["read"] == 100
    world.forget_calls()
    while world.advance(run_id):
        pass
    assert world.calls() == 3  # two pages, and the count at the end
    run = world.run(run_id)
    assert (run.state, run.tally["read"], run.tally["created"]) == ("done", 250, 250)


@pytest.mark.both_databases("a failed transaction ends differently")
@pytest.mark.parametrize("step", [DOCUMENTS, CHECKPOINTS], ids=["page", "checkpoint"])
def test_a_page_is_kept_only_with_its_checkpoint(world: World, step: str) -> None:
    fill(world, [1, 2, 3])
    run_id = world.begin_backfill()
    with world.refusing(step):
        world.advance(run_id)
    assert (world.run(run_id).cursor, world.holds()) == (None, {})
    world.let_time_pass()
    while world.advance(run_id):
        pass
    assert world.run(run_id).tally["created"] == 3


@pytest.mark.both_databases("locks work differently")
def test_a_run_that_somebody_holds_is_left_to_them(world: World) -> None:
    fill(world, [1])
    run_id = world.begin_backfill()
    world.forget_calls()
    with world.another_process().leases.hold(f"run:{run_id}") as mine:
        assert mine
        assert world.advance(run_id) is False
    assert world.calls() == 0
    assert world.advance(run_id) is True


def test_two_backfills_of_a_company_are_one_run(world: World) -> None:
    first = world.begin_backfill()
    assert world.begin_backfill() == first
    assert world.begin_backfill(START) == first
    assert world.run(first).since is None


@pytest.mark.both_databases("the statements are its own")
def test_joining_with_an_earlier_date_starts_over(world: World) -> None:
    fill(world, [100, 200, 300])
    run_id = world.begin_backfill(START + timedelta(seconds=250))
    assert world.advance(run_id)
    assert sorted(world.documents()) == ["3"]
    assert world.begin_backfill(START + timedelta(seconds=150)) == run_id
    while world.advance(run_id):
        pass
    assert sorted(world.documents()) == ["2", "3"]
    run = world.run(run_id)
    assert (run.tally["read"], run.tally["counted"], run.expected) == (2, 2, 2)


def test_a_page_that_was_under_way_while_the_run_was_widened_does_not_count(
    world: World,
) -> None:
    fill(world, [100, 200])
    run_id = world.begin_backfill(START + timedelta(seconds=150))
    with world.during_a_page(world.begin_backfill):
        assert world.advance(run_id)
    run = world.run(run_id)
    assert (run.cursor, run.since, run.tally["read"]) == (None, None, 0)
    while world.advance(run_id):
        pass
    assert sorted(world.documents()) == ["1", "2"]


def test_since_means_the_time_of_the_last_change(world: World) -> None:
    fill(world, [100, 200, 300])
    tally = world.backfill(START + timedelta(seconds=200))
    assert sorted(world.documents()) == ["2", "3"]
    assert (tally["counted"], tally["recorded"]) == (2, 2)


def test_a_since_inside_a_second_counts_as_quickbooks_counts(world: World) -> None:
    fill(world, [100])
    world.forget_calls()
    tally = world.backfill(START + timedelta(seconds=100, milliseconds=500))
    assert (tally["counted"], tally["recorded"], tally["rounds"]) == (1, 1, 0)


@pytest.mark.usefixtures("small_pages")
def test_an_invoice_made_while_the_run_is_under_way_is_included(world: World) -> None:
    fill(world, [n // 3 for n in range(101)])
    run_id = world.begin_backfill()
    assert world.advance(run_id)
    assert world.advance(run_id)
    assert world.run(run_id).cursor["done"]
    world.put("Invoice", an_invoice("5000"))
    while world.advance(run_id):
        pass
    assert "5000" in world.documents()
    run = world.run(run_id)
    assert (run.tally["read"], run.tally["recorded"], run.error) == (102, 102, None)


def test_failed_invoices_are_counted_and_named(world: World) -> None:
    fill(world, [1, 2])
    world.put("Invoice", an_invoice("3", TotalAmt="a lot", MetaData=at(3)))
    tally = world.backfill()
    assert (tally["created"], tally["failed"], tally["recorded"]) == (2, 1, 2)
    assert tally["failures"] == [
        {"id": "3", "error": "Unmappable", "message": "TotalAmt: invalid decimal string"}
    ]
    assert tally["error"] is None


def test_held_invoices_are_counted_by_reason(world: World) -> None:
    fill(world, [1])
    world.put(
        "Invoice",
        an_invoice("2", Balance=0, MetaData=at(2)),
        an_invoice("3", Balance=0, MetaData=at(3)),
        an_invoice("4", CurrencyRef={"value": "EUR"}, MetaData=at(4)),
    )
    tally = world.backfill()
    assert (tally["created"], tally["held"]) == (1, {"paid": 2, "currency": 1})


def test_an_invoice_that_was_deleted_unnoticed_is_found_and_withdrawn(world: World) -> None:
    fill(world, [1, 2])
    world.backfill()
    world.delete("Invoice", "2")
    tally = world.backfill()
    assert (tally["withdrawn"], tally["counted"], tally["recorded"]) == (1, 1, 1)
    assert tally["error"] is None
    assert world.documents()["2"]["state"] == "invoice_rejected"


def test_a_run_over_a_part_of_the_past_finds_no_deletions(world: World) -> None:
    fill(world, [1, 2])
    world.backfill()
    world.delete("Invoice", "1")
    world.delete("Invoice", "2")
    world.backfill(since=datetime(2020, 1, 1, tzinfo=UTC))
    assert world.documents()["1"]["state"] == "invoice_created"


def test_a_throttled_run_waits_and_goes_on(world: World) -> None:
    fill(world, [1, 2])
    run_id = world.begin_backfill()
    world.faults({"preset": "429-json", "count": 1})
    assert world.advance(run_id) is False
    run = world.run(run_id)
    assert (run.state, run.attempts, run.losses) == ("active", 1, 0)
    assert (run.error or "").startswith("QuickBooks' request limit is reached")
    world.forget_calls()
    assert world.advance(run_id) is False
    assert world.calls() == 0
    world.let_time_pass()
    while world.advance(run_id):
        pass
    assert world.run(run_id).tally["created"] == 2


@pytest.mark.parametrize("preset", ["503-html", "5xx", "truncated"])
def test_a_run_survives_an_unwell_quickbooks(world: World, preset: str) -> None:
    fill(world, [1, 2])
    run_id = world.begin_backfill()
    world.faults({"preset": preset, "count": 4})
    for _ in range(4):
        assert world.advance(run_id) is False
        world.let_time_pass()
    while world.advance(run_id):
        pass
    assert world.run(run_id).state == "done"


def test_a_run_waits_for_a_disconnected_company(world: World) -> None:
    fill(world, [1, 2])
    run_id = world.begin_backfill()
    world.faults({"preset": "401", "count": 1}, {"preset": "invalid_grant", "count": 1})
    assert world.advance(run_id) is False
    assert (world.connection().state, world.run(run_id).state) == (
        "disconnected",
        "active",
    )
    assert world.sweep() == []
    world.reconnect()
    assert world.sweep() == [("work_on_run", run_id)]
    while world.advance(run_id):
        pass
    assert world.run(run_id).tally["held"] == {"unproven": 2}
    catch_up(world)  # the run began before the end, and so proves nothing
    assert sorted(world.documents()) == ["1", "2"]


def test_a_refused_run_keeps_what_was_said(world: World) -> None:
    fill(world, [1])
    run_id = world.begin_backfill()
    world.faults({"preset": "403-3100"})
    assert world.advance(run_id) is False
    run = world.run(run_id)
    assert run.state == "active"
    said = "QuickBooks does not let this app into the company (HTTP 403, code 3100) (intuit_tid "
    assert (run.error or "").startswith(said)


def test_customers_that_one_query_cannot_show_do_not_stop_the_run(world: World) -> None:
    fill(world, [1, 2], customers=2)
    rule = {"preset": "4002", "kind": "query", "entity": "Customer", "count": 1}
    world.faults(rule)
    tally = world.backfill()
    assert tally["created"] == 2
    assert {d["buyerEmail"] for d in world.documents().values()} == {"buyer@example.com"}


def test_the_watermark_ends_where_the_run_ended(world: World) -> None:
    fill(world, [1, 2])
    soon = int((now() - START).total_seconds()) + 300
    world.put("Invoice", an_invoice("3", MetaData=at(soon)))
    world.backfill()
    assert world.connection().changes_read_until == START + timedelta(seconds=soon)


def test_a_run_over_a_part_leaves_no_gap_below_the_watermark(world: World) -> None:
    before = world.connection().changes_read_until
    soon = int((now() - START).total_seconds()) + 300
    world.put("Invoice", an_invoice("3", MetaData=at(soon)))
    world.backfill(START + timedelta(seconds=soon - 5))
    assert world.connection().changes_read_until == before


def test_a_notice_and_a_backfill_of_one_invoice_lead_to_one_document(world: World) -> None:
    fill(world, [1])
    world.hear("Invoice", "1", "created")
    world.backfill()
    assert world.revisions() == [(1, "notice")]
    assert len(world.documents()) == 1


def test_a_run_asks_for_its_next_page(world: World) -> None:
    fill(world, [1])
    world.webhook(an_event("Estimate", "1", "created"))
    assert world.work_on_run(world.begin_backfill()) == ["work_on_run"]


def test_what_follows_a_page_keeps_no_other_page_from_being_written(world: World) -> None:
    """Two are written at a time; asking for their delivery may wait for Redis."""
    world.put("Invoice", an_invoice("1"))
    company = CompanyContext.of(world.services, world.connection_id)
    reads = CustomerReads(company).complete(read_invoices(company, ["1"]))
    run = world.run(world.begin_backfill())
    written: list[int] = []

    def write(left: int) -> None:
        with recording(company, reads, cause=RevisionCause.BACKFILL, run=run) as (session, _):
            if left:
                after_commit(session, write, left - 1)
        written.append(left)

    threading.Thread(target=write, args=(2,), daemon=True).start()
    wait_until(lambda: written == [0, 1, 2], 10, "the third page")
