"""What notices of invoices lead to."""

from decimal import Decimal
from typing import Any

import pytest

from service.simulator.app import RunningSimulator
from tests.workers.conftest import connected
from tests.workers.reconciling import set_connection
from tests.workers.world import World, an_event, an_invoice

VOID_REMARK = "Automatic, from QuickBooks: voided, not a decision of your buyer"


@pytest.mark.both_databases("the statements are its own")
def test_a_created_invoice_arrives_in_infactor(world: World) -> None:
    world.put("Invoice", an_invoice("1", TotalAmt=362.07, Balance=362.07))
    assert world.webhook(an_event("Invoice", "1", "created")).status_code == 200
    world.sync()
    document = world.documents()["1"]
    assert str(document["invoiceAmount"]) == "362.07"
    assert document["buyerEmail"] == "buyer@example.com"
    assert document["supplierEmail"] == "supplier@example.com"
    assert document["state"] == "invoice_created"
    assert world.notices() == [("done", "created")]


def test_an_updated_invoice_is_refreshed(world: World) -> None:
    world.arrive(an_invoice("1", TotalAmt=100.0))
    world.arrive(an_invoice("1", TotalAmt=250.5, Balance=250.5, DueDate="2026-12-24"))
    document = world.documents()["1"]
    assert document["invoiceAmount"] == Decimal("250.5")
    assert document["payableDate"] == "2026-12-24"
    assert world.notices() == [("done", "created"), ("done", "refreshed")]
    assert world.revisions() == [(1, "notice"), (2, "notice")]


def test_a_refresh_touches_only_what_belongs_to_quickbooks(world: World) -> None:
    world.arrive(an_invoice("1"))
    theirs = {"supplierRemark": "mine", "invoiceId": "x", "created": 1, "supplierName": "Changed"}
    world.decide("1", **theirs)
    world.arrive(an_invoice("1", TotalAmt=120.0, Balance=120.0))
    document = world.documents()["1"]
    assert document["invoiceAmount"] == Decimal("120.0")
    assert {name: document[name] for name in theirs} == theirs


def test_what_somebody_has_decided_about_is_never_written_again(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.decide("1", state="invoice_accepted")
    before = world.documents()["1"]
    world.arrive(an_invoice("1", TotalAmt=999.0, Balance=999.0))
    assert world.documents()["1"] == before
    text = "not refreshed: already decided in Infactor"
    assert world.notices()[-1] == ("done", text)
    assert world.revisions() == [(1, "notice"), (2, "notice")]


def test_an_unchanged_invoice_writes_nothing(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.hear("Invoice", "1", "updated")
    assert world.notices() == [("done", "created"), ("done", "unchanged")]
    assert world.revisions() == [(1, "notice")]


@pytest.mark.parametrize("operation", ["void", "voided"])
def test_a_void_withdraws_the_invoice(world: World, operation: str) -> None:
    world.arrive(an_invoice("1"))
    world.void("1")
    world.hear("Invoice", "1", operation)
    document = world.documents()["1"]
    assert document["state"] == "invoice_rejected"
    assert document["buyerInvoiceRemark"] == VOID_REMARK
    assert document["qbkWithdrawn"] == "void"
    assert world.holds() == {"1": "void"}
    assert world.notices()[-1] == ("done", "withdrawn: void")


def test_a_void_that_was_undone_restores_the_invoice(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.void("1")
    world.hear("Invoice", "1", "void")
    world.arrive(an_invoice("1", TotalAmt=80.0, Balance=80.0))
    document = world.documents()["1"]
    assert document["state"] == "invoice_created"
    assert document["invoiceAmount"] == Decimal("80.0")
    assert "buyerInvoiceRemark" not in document
    assert "qbkWithdrawn" not in document
    assert world.notices()[-1] == ("done", "restored")


def test_a_zero_invoice_is_void_when_only_the_notice_says_so(world: World) -> None:
    """QuickBooks does not always leave its note; the next read keeps what the notice said."""
    world.arrive(an_invoice("1"))
    world.put("Invoice", an_invoice("1", TotalAmt=0, Balance=0))
    world.hear("Invoice", "1", "void")
    assert world.holds() == {"1": "void"}
    world.arrive(an_invoice("1", TotalAmt=0, Balance=0, DocNumber="changed"))
    assert world.holds() == {"1": "void"}


def test_a_void_notice_for_an_invoice_that_has_an_amount_is_not_believed(
    world: World,
) -> None:
    world.arrive(an_invoice("1"))
    world.hear("Invoice", "1", "void")
    assert world.holds() == {"1": None}
    assert world.documents()["1"]["state"] == "invoice_created"


def test_an_invoice_that_was_void_before_it_arrived_is_held(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    world.void("1")
    world.hear("Invoice", "1", "created")
    assert world.documents() == {}
    assert world.holds() == {"1": "void"}
    assert world.notices() == [("done", "held: void")]


@pytest.mark.parametrize(
    ("country", "fields", "hold"),
    [
        ("US", {}, None),
        ("", {}, None),
        ("GB", {}, "currency"),
        ("US", {"BillAddr": {"Country": "Germany"}}, "currency"),
        ("US", {"CurrencyRef": {"name": "Euro"}}, "currency"),
        ("US", {"ExchangeRate": 1.25}, "currency"),
        ("GB", {"CurrencyRef": {"value": "USD"}, "ExchangeRate": 0.8}, None),
    ],
)
def test_a_currency_that_is_not_named_is_not_silently_infactors(
    world: World, country: str, fields: dict[str, Any], hold: str | None
) -> None:
    set_connection(world, country=country)
    world.arrive(an_invoice("1", **fields))
    assert world.holds() == {"1": hold}
    assert list(world.documents()) == ([] if hold else ["1"])


def test_a_residue_in_the_balance_is_no_payment(world: World) -> None:
    world.arrive(an_invoice("1", TotalAmt=362.07, Balance=362.06999999999994))
    assert world.holds() == {"1": None}
    assert world.documents()["1"]["invoiceAmount"] == Decimal("362.07")


def test_a_deletion_is_believed_after_a_read_of_its_own(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.delete("Invoice", "1")
    world.forget_calls()
    world.hear("Invoice", "1", "deleted")
    document = world.documents()["1"]
    assert document["state"] == "invoice_rejected"
    assert document["qbkWithdrawn"] == "deleted"
    assert world.holds() == {"1": "deleted"}
    assert world.notices()[-1] == ("done", "withdrawn: deleted")
    assert (world.calls("query"), world.calls("read")) == (1, 1)


def test_a_deleted_notice_for_an_invoice_that_exists_is_not_believed(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.hear("Invoice", "1", "deleted")
    assert world.documents()["1"]["state"] == "invoice_created"
    assert world.holds() == {"1": None}
    assert world.notices()[-1] == ("done", "unchanged")


@pytest.mark.both_databases("the statements are its own")
def test_an_invoice_that_was_deleted_before_it_was_ever_read_is_only_noted(world: World) -> None:
    world.hear("Invoice", "404", "created")
    assert world.documents() == {}
    assert world.notices() == [("done", "held: deleted")]


def test_an_invoice_that_is_missing_from_the_query_alone_is_not_deleted(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.faults({"preset": "empty", "kind": "query", "entity": "Invoice", "count": 1})
    world.hear("Invoice", "1", "updated")
    assert world.documents()["1"]["state"] == "invoice_created"
    assert world.notices()[-1] == ("done", "unchanged")


def test_what_comes_back_after_a_deletion_is_restored(world: World) -> None:
    world.arrive(an_invoice("1", SyncToken="4"))
    world.delete("Invoice", "1")
    world.hear("Invoice", "1", "deleted")
    world.arrive(an_invoice("1", SyncToken="0"))
    assert world.documents()["1"]["state"] == "invoice_created"
    assert world.holds() == {"1": None}


def test_with_withdraw_off_a_void_leaves_the_document_alone(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    with connected(simulator, sqlite_url, INFACTOR_WITHDRAW="off") as world:
        world.arrive(an_invoice("1"))
        world.void("1")
        world.hear("Invoice", "1", "void")
        assert world.documents()["1"]["state"] == "invoice_created"
        assert world.holds() == {"1": "void"}


def test_a_deleted_invoice_stays_held_for_what_it_was_where_deletions_are_not_held(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    with connected(simulator, sqlite_url, INFACTOR_RULES="deleted=off") as world:
        world.arrive(an_invoice("1", Balance=0))
        world.delete("Invoice", "1")
        world.hear("Invoice", "1", "deleted")
        assert world.documents() == {}
        assert world.holds() == {"1": "paid"}


def test_an_emailed_notice_reads_the_invoice_again(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.put("Invoice", an_invoice("1", BillEmail={"Address": "accounts@example.com"}))
    world.hear("Invoice", "1", "emailed")
    assert world.documents()["1"]["buyerEmail"] == "accounts@example.com"


def test_five_notices_of_one_invoice_are_one_read(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.forget_calls()
    world.webhook(*[an_event("Invoice", "1", "updated") for _ in range(5)])
    world.sync()
    assert world.calls() == 1
    assert world.notices()[1:] == [("done", "unchanged")] * 5


def test_a_batch_of_invoices_is_one_query_and_one_for_their_customers(world: World) -> None:
    world.put("Invoice", *[an_invoice(str(n)) for n in range(1, 21)])
    world.webhook(*[an_event("Invoice", str(n), "created") for n in range(1, 21)])
    world.sync()
    assert sorted(world.documents()) == sorted(str(n) for n in range(1, 21))
    assert (world.calls("query"), world.calls()) == (2, 2)


def test_a_known_customer_is_not_read_again(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.forget_calls()
    world.arrive(an_invoice("2"))
    assert world.calls() == 1


def test_nothing_due_costs_nothing(world: World) -> None:
    world.forget_calls()
    world.sync()
    assert world.calls() == 0


def test_a_second_sync_within_a_second_is_put_off_and_asked_for_once(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.forget_calls()
    world.webhook(an_event("Invoice", "1", "updated"))
    world.let_a_sync_have_begun_just_now()
    world.sync_at_once()
    world.sync_at_once()
    assert world.calls() == 0
    assert world.delayed() == [("sync_company", world.connection_id)]


def test_a_connection_of_another_environment_is_never_called(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))
    world.belong_to("sandbox")
    world.forget_calls()
    world.sync()
    assert world.calls() == 0
    assert world.sweep() == []
    world.belong_to("simulator")
    assert world.sweep() == [("sync_company", world.connection_id)]
    world.sync()
    assert world.notices() == [("done", "created")]
