"""The daily reconcile: what notices did not tell is found by other channels."""

from datetime import timedelta
from typing import Any

import pytest

from service.kit.clock import now
from service.store import watermarks
from tests.workers.reconciling import (
    cannot_show,
    due,
    finish,
    reconcile,
    reconciled_long_ago,
    set_connection,
    watermark,
)
from tests.workers.world import DOCUMENTS, REALM, World, a_customer, an_event, an_invoice


def test_an_idle_company_costs_one_read_a_day(world: World) -> None:
    world.arrive(an_invoice("1"))
    reconcile(world)
    world.pass_time_in_quickbooks(hours=1)
    reconcile(world)
    world.forget_calls()
    ended = reconcile(world)
    assert (ended["state"], ended["error"]) == ("done", None)
    assert world.calls() == 1
    assert world.calls("cdc") == 1


@pytest.mark.both_databases("the statements are its own")
def test_lost_notices_end_complete(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.arrive(an_invoice("2"))
    world.pass_time_in_quickbooks(minutes=1)
    world.put("Invoice", an_invoice("1", TotalAmt=70.0, Balance=70.0), an_invoice("3"))
    world.delete("Invoice", "2")
    world.put("Customer", a_customer(PrimaryEmailAddr={"Address": "fixed@example.com"}))
    ended = reconcile(world)
    assert (ended["state"], ended["error"]) == ("done", None)
    documents = world.documents()
    assert documents["1"]["invoiceAmount"] == 70.0
    assert documents["2"]["state"] == "invoice_rejected"
    assert documents["3"]["state"] == "invoice_created"
    assert {documents[i]["buyerEmail"] for i in ("1", "3")} == {"fixed@example.com"}
    assert {cause for number, cause in world.revisions() if number > 1} == {"reconcile"}


@pytest.mark.both_databases("a failed transaction ends differently")
def test_the_watermark_moves_to_quickbooks_time_with_the_results(world: World) -> None:
    before = watermark(world)
    world.put("Invoice", an_invoice("1"))
    world.pass_time_in_quickbooks(minutes=9)
    with world.refusing(DOCUMENTS):
        reconcile(world)
    assert watermark(world) == before
    assert world.documents() == {}
    world.lose_leases()
    world.let_time_pass()
    reconcile(world)
    assert list(world.documents()) == ["1"]
    assert watermark(world) - now() > timedelta(minutes=8)


def test_a_deletion_is_believed_only_after_a_read_of_its_own(world: World) -> None:
    """Change data capture has called just-updated records deleted."""
    world.arrive(an_invoice("1"))
    at = now().isoformat(timespec="milliseconds")
    stub = {
        "status": "Deleted",
        "domain": "QBO",
        "Id": "1",
        "MetaData": {"LastUpdatedTime": at},
    }
    body = {"CDCResponse": [{"QueryResponse": [{"Invoice": [stub]}, {}]}], "time": at}
    world.faults({"kind": "cdc", "status": 200, "body": body, "count": 1})
    reconcile(world)
    assert world.documents()["1"]["state"] == "invoice_created"
    assert world.calls("read") == 1


def test_what_is_known_as_deleted_is_not_read_again(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.delete("Invoice", "1")
    world.put("Invoice", an_invoice("2"))
    world.delete("Invoice", "2")
    reconcile(world)
    world.forget_calls()
    reconcile(world)
    assert (world.calls(), world.calls("cdc")) == (1, 1)


def fill(world: World, count: int, **fields: Any) -> None:
    """Give the company so many invoices, changed a minute ago, one each second before."""
    at = now() - timedelta(minutes=1)
    times = [(at - timedelta(seconds=n)).isoformat() for n in range(count)]
    world.simulator.simulator.companies[REALM].load(
        "Invoice",
        [
            an_invoice(
                str(n + 1),
                MetaData={"CreateTime": t, "LastUpdatedTime": t},
                Balance=100.0,
                **fields,
            )
            for n, t in enumerate(times)
        ],
        at,
    )


def test_full_change_lists_are_split_by_entity(world: World) -> None:
    """999 invoices and the customer fill one answer together, but not each its own."""
    reconciled_long_ago(world, days=1)
    fill(world, 999)
    world.forget_calls()
    ended = reconcile(world)
    assert (ended["error"], len(world.documents())) == (None, 999)
    assert world.calls("cdc") == 3
    assert world.calls("query") == 0


def test_more_changes_than_one_answer_holds_end_complete(world: World) -> None:
    world.arrive(an_invoice("5000"))
    reconciled_long_ago(world, days=1)
    fill(world, 1001)
    world.delete("Invoice", "5000")
    ended = reconcile(world)
    assert (ended["state"], ended["error"]) == ("done", None)
    states = [d["state"] for d in world.documents().values()]
    assert (states.count("invoice_created"), states.count("invoice_rejected")) == (1001, 1)
    assert watermark(world) > now() - timedelta(minutes=5)


def test_a_gap_of_fifty_days_ends_complete(world: World) -> None:
    """Change data capture goes back 30 days; its refusal is not even asked for."""
    world.arrive(an_invoice("1"))
    world.arrive(an_invoice("2"))
    reconciled_long_ago(world, days=50)
    world.delete("Invoice", "1")
    world.put("Invoice", an_invoice("2", TotalAmt=55.0, Balance=55.0), an_invoice("3"))
    world.put("Customer", a_customer(PrimaryEmailAddr={"Address": "fixed@example.com"}))
    world.forget_calls()
    ended = reconcile(world)
    assert (ended["state"], ended["error"], ended["differences"]) == ("done", None, [])
    documents = world.documents()
    assert documents["1"]["state"] == "invoice_rejected"
    assert documents["2"]["invoiceAmount"] == 55.0
    assert documents["3"]["buyerEmail"] == "fixed@example.com"
    assert world.calls("cdc") == 0
    assert watermark(world) > now() - timedelta(minutes=5)


@pytest.mark.parametrize(("days", "by_list"), [(28, 1), (29, 0)])
def test_change_lists_are_used_for_less_than_29_days(world: World, days: int, by_list: int) -> None:
    reconciled_long_ago(world, days=days)
    world.forget_calls()
    assert reconcile(world)["error"] is None
    assert world.calls("cdc") == by_list


def test_changes_that_no_notice_announced_are_counted(world: World) -> None:
    """Not those whose notice waits, nor those so fresh that it may be on its way."""
    world.arrive(an_invoice("1"))
    world.put("Invoice", an_invoice("1", Balance=90.0), an_invoice("2"), an_invoice("3"))
    world.webhook(an_event("Invoice", "3", "created"))
    world.pass_time_in_quickbooks(minutes=20)
    world.put("Invoice", an_invoice("4"))
    assert reconcile(world)["unannounced"] == 2
    assert sorted(world.documents()) == ["1", "2", "3", "4"]


def test_unannounced_deletions_are_counted(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.delete("Invoice", "1")
    world.pass_time_in_quickbooks(minutes=20)
    assert reconcile(world)["unannounced"] == 1


def test_after_downtime_nothing_counts_as_unannounced(world: World) -> None:
    """QuickBooks tries its notices for hours, and they are still on their way."""
    world.put("Invoice", an_invoice("1"))
    world.pass_time_in_quickbooks(minutes=20)
    assert reconcile(world, cause="downtime")["unannounced"] == 0


def test_what_was_committed_in_the_moment_of_the_last_answer_is_found(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    set_connection(world, reconciled_until=now() + timedelta(minutes=4))
    reconcile(world)
    assert list(world.documents()) == ["1"]


@pytest.mark.parametrize("fault", ["4002", "10000"])
def test_one_bad_invoice_does_not_hide_the_other_changes(world: World, fault: str) -> None:
    world.put("Invoice", *(an_invoice(str(n)) for n in range(1, 8)))
    cannot_show(world, "4", fault=fault)
    ended = reconcile(world)
    assert sorted(world.documents()) == ["1", "2", "3", "5", "6", "7"]
    place = "the first invoice after 105 (Id 5) in the order of changes"
    assert ended["error"] == f"QuickBooks cannot show 1 invoice: {place}"
    failed = [row for row in world.notice_rows() if row.status == "failed"]
    assert [(row.operation, row.error_class) for row in failed] == [("unreadable", "Poisoned")]


def test_an_invoice_that_cannot_be_mapped_is_named_and_failed(world: World) -> None:
    world.put("Invoice", an_invoice("1"), an_invoice("2", TotalAmt="a lot"))
    ended = reconcile(world)
    assert ended["error"] == "1 changed invoice could not be recorded: Id 2"
    assert list(world.documents()) == ["1"]
    world.sync()
    row = next(row for row in world.notice_rows() if row.entity_id == "2")
    assert (row.status, row.error_class, row.operation) == ("failed", "Unmappable", "unrecorded")
    reconcile(world)
    assert [row.entity_id for row in world.notice_rows()] == ["2"]  # it is asked for once


@pytest.mark.both_databases("the statements are its own")
def test_it_is_due_once_a_day(world: World) -> None:
    assert due(world) == []
    a_day_ago = now() - timedelta(days=1)
    set_connection(world, reconcile_due_at=now(), connected_at=a_day_ago)
    (run,) = due(world)
    assert run.cause == "daily"
    assert [r.id for r in due(world)] == [run.id]
    finish(world, run.id)
    assert due(world) == []
    connection = world.connection()
    assert connection.reconciled_at is not None
    assert connection.reconcile_due_at - connection.reconciled_at == timedelta(days=1)


@pytest.mark.parametrize(
    ("last_ago", "due_ago", "cause"),
    [
        (timedelta(hours=24), timedelta(0), "daily"),
        (timedelta(hours=24, minutes=50), timedelta(minutes=50), "daily"),
        (timedelta(hours=23, minutes=55), timedelta(0), "downtime"),  # moved forward
        (timedelta(minutes=5), timedelta(0), "downtime"),
        (timedelta(days=3), timedelta(days=2), "downtime"),  # nobody was there to begin it
    ],
)
def test_sooner_or_later_than_a_day_means_that_the_service_was_down(
    world: World, last_ago: timedelta, due_ago: timedelta, cause: str
) -> None:
    at = now()
    set_connection(world, reconciled_at=at - last_ago, reconcile_due_at=at - due_ago)
    assert [run.cause for run in due(world)] == [cause]


@pytest.mark.both_databases("the statements are its own")
def test_it_waits_for_a_backfill_and_while_the_company_may_not_be_called(world: World) -> None:
    set_connection(world, reconcile_due_at=now())
    run_id = world.begin_backfill()
    assert due(world) == []
    finish(world, run_id)
    set_connection(world, suspended_at=now())
    assert due(world) == []
    set_connection(world, suspended_at=None, paused_until=now() + timedelta(minutes=1))
    assert due(world) == []
    set_connection(world, paused_until=None, state="disconnected")
    assert due(world) == []
    set_connection(world, state="connected", environment="production")
    assert due(world) == []
    set_connection(world, environment="simulator")
    assert len(due(world)) == 1


def test_the_watermark_never_moves_back(world: World) -> None:
    late = now() + timedelta(minutes=9)
    set_connection(world, reconciled_until=late)
    with world.services.database.write() as session:
        watermarks.reconciled(session, world.connection_id, now(), now())
    assert watermark(world) == late


def test_the_sweep_and_the_clock_find_what_is_due(world: World) -> None:
    set_connection(world, reconcile_due_at=now())
    (run,) = due(world)
    assert world.sweep() == [("work_on_run", run.id)]
