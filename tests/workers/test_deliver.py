"""Deliveries into Infactor's own database: what is created, refreshed, withdrawn, left alone."""

from decimal import Decimal
from typing import Any

import pytest
from pymongo.database import Database
from sqlalchemy import text

from service.kit import tracing
from service.kit.clock import now
from service.simulator.app import RunningSimulator
from tests.traces import collecting
from tests.workers.conftest import connected
from tests.workers.delivering import Delivering, infactor_settings
from tests.workers.world import DOCUMENTS, an_event, an_invoice, asked_for
from workers.delivery.deliver import deliver_company

PAID = "Automatic, from QuickBooks: paid, not a decision of your buyer"
VOID = "Automatic, from QuickBooks: voided, not a decision of your buyer"
DELETED = "Automatic, from QuickBooks: deleted, not a decision of your buyer"


@pytest.mark.both_databases("columns hold different values")
def test_a_new_invoice_is_created_as_infactors_old_driver_reads_it(delivering: Delivering) -> None:
    delivering.arrive(an_invoice(TotalAmt=362.07, Balance=362.07))
    assert delivering.last_seen().total == Decimal("362.07")
    document = delivering.document() or {}
    assert document["_id"] == document["invoiceId"]
    assert document["_id"].startswith("qbk-")
    assert [type(document[name]) for name in ("invoiceAmount", "purchaseAmount", "taxAmount")] == [
        float,
        float,
        float,
    ]
    assert (document["invoiceAmount"], document["state"]) == (362.07, "invoice_created")
    assert isinstance(document["created"], float)
    assert document["payableDate"] == "2099-12-01"
    assert document["buyerEmail"] == "buyer@example.com"
    assert document["qbkRevision"] == 1
    assert delivering.receipts() == [(1, "created", "invoice_created")]


def test_a_company_with_many_invoices_lets_others_have_their_turn(delivering: Delivering) -> None:
    world = delivering.world
    world.put("Invoice", *(an_invoice(str(n)) for n in range(1, 12)))
    world.backfill()

    def deliver() -> tuple[int, int]:
        """Take a turn; return how many documents there are, and how often a turn was asked for."""
        deliver_company(world.services, world.connection_id, batch=2)
        asked = asked_for(world.services.jobs.broker)
        turns = asked.count(("deliver_company", world.connection_id))
        return delivering.infactors.invoices.count_documents({}), turns

    asked_before = asked_for(world.services.jobs.broker).count(
        ("deliver_company", world.connection_id)
    )
    assert deliver() == (10, asked_before + 1)
    assert deliver() == (11, asked_before + 1)


def test_a_delivery_does_without_the_webhooks_of_its_trace(delivering: Delivering) -> None:
    delivering.world.arrive(an_invoice())
    with delivering.world.services.database.write() as session:
        session.execute(text("ALTER TABLE notices RENAME TO gone"))
    with collecting() as collector, tracing.exporting(collector.url, "test"):
        delivering.deliver()
    assert delivering.receipts() == [(1, "created", "invoice_created")]
    assert [span.name for span in collector.spans] == ["company.deliver"]


def test_no_document_names_the_company_in_quickbooks(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    assert "9341455000000001" not in str(delivering.document())


def test_a_change_refreshes_what_quickbooks_owns_and_nothing_else(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(poDocs="/uploads/po.pdf", supplierName="Renamed In Infactor")
    delivering.arrive(an_invoice(TotalAmt=120.5, Balance=120.5, DocNumber="77"))
    document = delivering.document() or {}
    assert (document["invoiceAmount"], document["invoiceNo"]) == (120.5, "77")
    assert (document["poDocs"], document["supplierName"]) == (
        "/uploads/po.pdf",
        "Renamed In Infactor",
    )
    assert document["qbkRevision"] == 2
    assert delivering.receipts()[-1] == (2, "refreshed", "invoice_created")


def test_an_invoice_that_is_held_is_not_created_until_the_reason_is_gone(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice(Balance=0.0))
    assert delivering.document() is None
    assert delivering.receipts() == [(1, "held", None)]
    delivering.arrive(an_invoice())
    assert delivering.state() == ("invoice_created", None)
    assert delivering.receipts()[-1] == (2, "created", "invoice_created")


def test_a_payment_withdraws_and_its_undoing_restores(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(Balance=0.0))
    assert delivering.state() == ("invoice_rejected", PAID)
    assert (delivering.document() or {})["qbkWithdrawn"] == "paid"
    assert delivering.last_seen().withdrawn
    delivering.arrive(an_invoice(Balance=100.0, DocNumber="78"))
    document = delivering.document() or {}
    assert delivering.state() == ("invoice_created", None)
    assert "qbkWithdrawn" not in document
    assert not delivering.last_seen().withdrawn
    assert document["invoiceNo"] == "78"
    assert [outcome for _, outcome, _ in delivering.receipts()] == [
        "created",
        "withdrawn",
        "restored",
    ]


@pytest.mark.parametrize(
    "touched",
    [
        {"buyerInvoiceRemark": "No goods arrived"},
        {"buyerInvoiceRemark": None},
        {"qbkWithdrawn": "void"},
        {"state": "invoice_accepted"},
    ],
    ids=["remark", "no remark", "marker", "state"],
)
def test_what_somebody_touched_after_our_withdrawal_is_never_restored(
    delivering: Delivering, touched: dict[str, Any]
) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(Balance=0.0))
    delivering.decide(**touched)
    before = delivering.document()
    delivering.arrive(an_invoice(Balance=100.0))
    assert delivering.document() == before
    assert delivering.receipts()[-1][1] == "frozen"


def test_a_rejection_by_the_buyer_stays_theirs(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="invoice_rejected", buyerInvoiceRemark="Not ours")
    delivering.arrive(an_invoice(TotalAmt=90.0, Balance=90.0))
    assert delivering.state() == ("invoice_rejected", "Not ours")
    assert (delivering.document() or {})["invoiceAmount"] == 100.0


def test_a_deletion_is_withdrawn_only_after_quickbooks_said_that_it_is_gone(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.world.hear("Invoice", "1", "deleted")  # but it is still there
    delivering.deliver()
    assert delivering.state() == ("invoice_created", None)
    delivering.world.delete("Invoice", "1")
    delivering.world.hear("Invoice", "1", "deleted")
    delivering.deliver()
    assert delivering.state() == ("invoice_rejected", DELETED)


DECIDED = (
    "draft",
    "invoice_rejected",
    "invoice_accepted",
    "ifactor_request",
    "ifactor_rejected",
    "ifactor_proposed",
    "ifactor_proposal_accepted",
    "ifactor_proposal_rejected",
    "ifactor_prepaid",
    "invoice_paid",
    "completed",
)


# As many at once as are withdrawn without an operator's confirmation.
@pytest.mark.parametrize("states", [DECIDED[:4], DECIDED[4:8], DECIDED[8:]], ids="-".join)
@pytest.mark.parametrize("event", ["update", "void", "delete", "payment", "part payment"])
def test_once_somebody_has_decided_quickbooks_changes_nothing_in_infactor(
    delivering: Delivering, states: tuple[str, ...], event: str
) -> None:
    decided = dict(zip("1234", states, strict=False))
    delivering.world.put("Invoice", *map(an_invoice, decided))
    hear(delivering, "created", *decided)
    for number, state in decided.items():
        delivering.decide(number, state=state)
    before = {number: delivering.document(number) for number in decided}
    happen(delivering, event, *decided)
    assert {number: delivering.document(number) for number in decided} == before
    for number, state in decided.items():
        assert delivering.receipts(number)[-1][1:] == ("frozen", state)
    # The notice says so, too, though Infactor's state was not known when it was recorded.
    expected = {"update": "not refreshed: already decided in Infactor"}
    withdrawn = "not withdrawn: already decided in Infactor"
    if "payment" not in event:  # whose notices name no invoice
        ends = delivering.world.notices()[-len(states) :]
        assert ends == [("done", expected.get(event, withdrawn))] * len(states)


@pytest.mark.parametrize(
    ("event", "state", "remark", "amount"),
    [
        ("update", "invoice_created", None, 80.0),
        ("void", "invoice_rejected", VOID, 100.0),
        ("delete", "invoice_rejected", DELETED, 100.0),
        ("payment", "invoice_rejected", PAID, 100.0),
        (
            "part payment",
            "invoice_rejected",
            "Automatic, from QuickBooks: partly paid, not a decision of your buyer",
            100.0,
        ),
    ],
)
def test_while_nobody_has_decided_infactor_follows_quickbooks(
    delivering: Delivering, event: str, state: str, remark: str | None, amount: float
) -> None:
    delivering.arrive(an_invoice())
    happen(delivering, event, "1")
    assert delivering.state() == (state, remark)
    assert (delivering.document() or {})["invoiceAmount"] == amount


def happen(delivering: Delivering, event: str, *numbers: str) -> None:
    """Let this happen to these invoices in QuickBooks, and let Infactor hear of it at once."""
    world = delivering.world
    for number in numbers:
        if event == "update":
            world.put("Invoice", an_invoice(number, TotalAmt=80.0, Balance=80.0))
        elif event == "void":
            world.void(number)
        elif event == "delete":
            world.delete("Invoice", number)
        else:
            world.pay(number, None if event == "payment" else 40.0)
    hear(delivering, {"void": "void", "delete": "deleted"}.get(event, "updated"), *numbers)


def hear(delivering: Delivering, operation: str, *numbers: str) -> None:
    """Let notices of these invoices come in one webhook, and what they say go on to Infactor."""
    delivering.world.webhook(*[an_event("Invoice", number, operation) for number in numbers])
    delivering.world.sync()
    delivering.deliver()


@pytest.mark.parametrize("state", [None, 7, {"$ne": 1}, "", "invoice_voided"])
def test_a_state_that_infactor_does_not_know_is_nobodys_to_change(
    delivering: Delivering, state: Any
) -> None:
    delivering.arrive(an_invoice())
    if state is None:
        delivering.infactors.invoices.update_one({}, {"$unset": {"state": ""}})
    else:
        delivering.decide(state=state)
    before = delivering.document()
    delivering.arrive(an_invoice(TotalAmt=90.0, Balance=90.0))
    assert delivering.document() == before
    assert delivering.receipts()[-1][1] == "frozen"


def test_types_that_we_would_not_write_are_written_anew(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(invoiceAmount="100", items=None, qbkRevision="x")
    delivering.arrive(an_invoice(DocNumber="79"))
    document = delivering.document() or {}
    assert (document["invoiceAmount"], document["items"]) == (100.0, [])
    assert document["qbkRevision"] == 2


def test_two_suppliers_with_the_same_ids_have_a_document_each(
    delivering: Delivering,
) -> None:
    world = delivering.world
    delivering.arrive(an_invoice())
    first = delivering.document() or {}
    other = "9341455000000002"
    world.put("Customer", {"Id": "7", "DisplayName": "Another"}, realm=other)
    world.put("Invoice", an_invoice(TotalAmt=55.0, Balance=55.0), realm=other)
    world.connect(other, "other@example.com")
    world.hear("Invoice", "1", "updated", intuitaccountid=other)
    delivering.deliver()
    found = list(delivering.infactors.invoices.find({"qbkInvoiceId": "1"}))
    assert sorted((d["supplierEmail"], d["invoiceAmount"]) for d in found) == [
        ("other@example.com", 55.0),
        ("supplier@example.com", 100.0),
    ]
    assert delivering.document() == first


def test_what_was_recorded_before_infactors_database_was_configured_is_delivered_later(
    delivering: Delivering,
) -> None:
    world = delivering.world
    world.put("Invoice", *[an_invoice(str(number)) for number in range(1, 4)])
    world.backfill()
    assert delivering.infactors.invoices.count_documents({}) == 0
    assert ("deliver_company", delivering.world.connection_id) in world.sweep()
    delivering.deliver()
    assert delivering.infactors.invoices.count_documents({"state": "invoice_created"}) == 3
    assert ("deliver_company", delivering.world.connection_id) not in world.sweep()


def test_a_switch_in_quickbooks_back_before_anything_was_delivered_makes_one_write(
    delivering: Delivering,
) -> None:
    world = delivering.world
    world.arrive(an_invoice())
    world.arrive(an_invoice(TotalAmt=90.0, Balance=90.0))
    delivering.deliver()
    assert delivering.receipts() == [(2, "created", "invoice_created")]
    assert (delivering.document() or {})["invoiceAmount"] == 90.0


def test_infactors_refusal_of_one_document_stops_no_other(delivering: Delivering) -> None:
    delivering.infactors.drop_collection("invoices")
    delivering.infactors.create_collection("invoices", validator={"qbkInvoiceId": {"$ne": "2"}})
    world = delivering.world
    world.put("Invoice", an_invoice("1"), an_invoice("2"), an_invoice("3"))
    world.backfill()
    delivering.deliver()
    there = delivering.infactors.invoices.distinct("qbkInvoiceId")
    assert sorted(there) == ["1", "3"]
    refused = delivering.record("2")
    assert (refused.delivered_revision, refused.delivery.attempts) == (0, 1)
    assert refused.delivery.error == "Infactor's MongoDB refused it (error 121)"
    delivering.infactors.command("collMod", "invoices", validator={})
    delivering.deliver()
    assert delivering.record("2").delivery.error is None
    assert delivering.receipts("2") == [(1, "created", "invoice_created")]


def test_a_unique_index_of_infactors_own_refuses_one_document_and_names_itself(
    delivering: Delivering,
) -> None:
    """It is not taken for another worker that was faster: whose document is read again for ever."""
    delivering.infactors.invoices.create_index("invoiceNo", unique=True, name="one_number")
    delivering.arrive(an_invoice("1", DocNumber="7"))
    delivering.arrive(an_invoice("2", DocNumber="7"))
    refused = delivering.record("2")
    assert refused.delivery.error == (
        "Infactor's MongoDB refused it (error 11000: another document has the same values in its"
        " unique index one_number)"
    )
    delivering.arrive(an_invoice("2", DocNumber="9"))
    assert delivering.record("2").delivery.error is None
    # A change is refused as a creation is.
    delivering.arrive(an_invoice("2", DocNumber="7"))
    assert "one_number" in (delivering.record("2").delivery.error or "")
    assert (delivering.document("2") or {})["invoiceNo"] == "9"
    # The next revision's first refusal makes it wait as long as any first one.
    delivering.arrive(an_invoice("2", DocNumber="7", TotalAmt=90.0, Balance=90.0))
    assert "one_number" in (delivering.record("2").delivery.error or "")
    assert delivering.record("2").delivery.attempts == 1


@pytest.mark.both_databases("the statements are its own")
def test_a_withdrawal_does_not_wait_because_an_earlier_revision_was_refused(
    delivering: Delivering,
) -> None:
    world = delivering.world
    delivering.infactors.invoices.create_index("invoiceNo", unique=True, name="one_number")
    delivering.arrive(an_invoice("1", DocNumber="7"))
    delivering.arrive(an_invoice("2", DocNumber="8"))
    delivering.arrive(an_invoice("2", DocNumber="7"))
    refused = delivering.record("2").delivery
    assert refused.error is not None
    assert refused.due_at is not None
    assert refused.due_at > now()
    world.arrive(an_invoice("2", DocNumber="7", Balance=0.0))
    deliver_company(world.services, world.connection_id)
    assert delivering.state("2")[0] == "invoice_rejected"
    assert delivering.record("2").delivery.error is None


def test_with_withdraw_off_workflow_fields_are_left_alone(
    simulator: RunningSimulator, infactors: Database[dict[str, Any]], sqlite_url: str
) -> None:
    settings = infactor_settings(infactors) | {"INFACTOR_WITHDRAW": "off"}
    with connected(simulator, sqlite_url, **settings) as world:
        delivering = Delivering(world, infactors)
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(Balance=0.0))
        assert delivering.state() == ("invoice_created", None)
        # Of a delivery whose answer was lost, no receipt says that it withdrew either.
        with world.refusing(DOCUMENTS):
            delivering.arrive(an_invoice(Balance=0.0, DocNumber="7"))
        delivering.deliver()
        assert delivering.receipts()[-1] == (3, "refreshed", "invoice_created")


@pytest.mark.parametrize("gone", [True, False])
def test_a_document_deleted_by_hand_is_made_again_only_while_nobody_had_decided(
    delivering: Delivering, gone: bool
) -> None:
    delivering.arrive(an_invoice())
    if gone:
        delivering.decide(state="invoice_accepted")
        delivering.arrive(an_invoice(DocNumber="8"))
    delivering.infactors.invoices.delete_many({})
    delivering.arrive(an_invoice(DocNumber="9"))
    assert (delivering.document() is None) == gone
    found = [row for row in delivering.findings() if row[0] == "document"]
    assert found == ([("document", "critical", "there", "gone")] if gone else [])


def test_the_address_of_a_registered_buyer_is_written_in_their_own_spelling(
    delivering: Delivering,
) -> None:
    delivering.register("Buyer@Example.com")
    delivering.arrive(an_invoice(BillEmail={"Address": "other@example.com, BUYER@example.com"}))
    assert delivering.addressed() == ("Buyer@Example.com", "Buyer@Example.com", [])


def test_a_supplier_of_that_address_is_no_buyer(delivering: Delivering) -> None:
    delivering.register("buyer@example.com", "Supplier")
    delivering.arrive(an_invoice())
    assert delivering.addressed() == (
        "buyer@example.com",
        "buyer@example.com",
        ["buyer_not_registered"],
    )


def test_a_new_document_has_the_suppliers_name_and_address_in_infactor(
    delivering: Delivering,
) -> None:
    """They may have connected before Infactor's own database was configured."""
    account = {"firstName": "Ann", "lastName": "Baker", "address": "0x7f"}
    delivering.infactors.users.insert_one(
        {
            "email": "supplier@example.com",
            "type": "Supplier",
            "accountStatus": "verified",
            **account,
        }
    )
    delivering.arrive(an_invoice())
    document = delivering.document() or {}
    assert (document["supplierName"], document["supplierAddress"]) == ("Ann Baker", "0x7f")
    delivering.infactors.users.update_one({}, {"$set": {"lastName": "Cook"}})
    delivering.arrive(an_invoice(DocNumber="8"))
    assert (delivering.document() or {})["supplierName"] == "Ann Baker"  # as it was created


def test_of_an_invoice_that_was_deleted_before_it_was_read_nothing_is_said(
    delivering: Delivering,
) -> None:
    delivering.world.put("Invoice", an_invoice())
    delivering.world.delete("Invoice", "1")
    delivering.world.hear("Invoice", "1", "deleted")
    delivering.deliver()
    assert delivering.record().mapped is None
    assert delivering.document() is None
    assert delivering.receipts() == [(1, "held", None)]
