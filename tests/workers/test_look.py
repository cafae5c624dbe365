"""Looking at Infactor again: what people decided there, what is gone, and what that means."""

from typing import Any

import pytest
from sqlalchemy import select

from service.database.tables import Document
from service.kit.clock import now
from tests.workers.delivering import Delivering
from tests.workers.looking import found, look_at, mirrored
from tests.workers.world import World, an_invoice
from workers.delivery.poll import note_changes, poll_documents, read_page
from workers.delivery.turn import infactor_turn


def test_a_decision_is_noted_and_what_was_approved_is_compared(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="invoice_accepted", buyerInvoiceRemark="Fine")
    before = mirrored(delivering).seen_at or now()
    look_at(delivering)
    seen = mirrored(delivering)
    assert (seen.state, seen.document["state"]) == ("invoice_accepted", "invoice_accepted")
    assert seen.document["buyerInvoiceRemark"] == "Fine"
    assert seen.document["invoiceAmount"] == 100
    assert (seen.seen_at or before) > before
    assert delivering.record().delivered_revision == 0
    delivering.deliver()
    assert delivering.receipts()[-1] == (1, "frozen", "invoice_accepted")
    assert delivering.findings() == []


def test_what_changed_before_the_decision_was_delivered_is_told_after_it(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="ifactor_request")
    delivering.arrive(an_invoice(TotalAmt=90.0, Balance=90.0))
    assert ("invoiceAmount", "critical", "100", "90") in delivering.findings()
    delivering.decide(state="completed")
    look_at(delivering)
    delivering.deliver()
    assert ("invoiceAmount", "info", "100", "90") in delivering.findings()


def test_where_nothing_is_news_nothing_is_written(small_delivering: Delivering) -> None:
    small_delivering.arrive(an_invoice())
    small_delivering.decide(state="invoice_accepted")
    look_at(small_delivering)
    small_delivering.deliver()
    seen = mirrored(small_delivering).seen_at
    look_at(small_delivering)
    assert mirrored(small_delivering).seen_at == seen
    assert small_delivering.record().delivered_revision == 1


@pytest.mark.parametrize("state", ["completed", "ifactor_rejected", "ifactor_proposal_rejected"])
def test_what_is_over_is_not_looked_at(small_delivering: Delivering, state: str) -> None:
    small_delivering.arrive(an_invoice())
    small_delivering.decide(state=state)
    look_at(small_delivering)
    small_delivering.infactors.invoices.drop()
    look_at(small_delivering)
    assert mirrored(small_delivering).state == state
    assert found(small_delivering, "missing") == []


def test_of_rejected_invoices_only_ours_are_looked_at(small_delivering: Delivering) -> None:
    for number in ("1", "2"):
        small_delivering.arrive(an_invoice(number))
    small_delivering.arrive(an_invoice("1", Balance=0.0))  # withdrawn by us
    small_delivering.decide("2", state="invoice_rejected", buyerInvoiceRemark="Not mine")
    look_at(small_delivering)
    for number in ("1", "2"):
        small_delivering.decide(number, state="invoice_accepted")
    look_at(small_delivering)
    assert mirrored(small_delivering, "1").state == "invoice_accepted"
    assert mirrored(small_delivering, "2").state == "invoice_rejected"


def test_our_withdrawal_is_looked_at_by_its_marker_alone(small_delivering: Delivering) -> None:
    small_delivering.arrive(an_invoice())
    small_delivering.arrive(an_invoice(Balance=0.0))
    small_delivering.decide(buyerInvoiceRemark="Agreed by phone")
    small_delivering.arrive(an_invoice())  # no hold any more, but the remark is not ours
    assert small_delivering.record().hold is None
    small_delivering.decide(state="ifactor_request")
    look_at(small_delivering)
    assert found(small_delivering, "moved_on") == [
        ("state", "critical", "ifactor_request", "withdrawn: paid", "ifactor_request", True)
    ]


def test_a_withdrawn_invoice_that_moves_on_is_critical_until_it_is_back(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(Balance=0.0))
    look_at(delivering)
    assert found(delivering, "moved_on") == []
    delivering.decide(state="invoice_accepted")
    for _ in range(2):
        look_at(delivering)
        delivering.deliver()
    assert found(delivering, "moved_on") == [
        ("state", "critical", "invoice_accepted", "withdrawn: paid", "invoice_accepted", True)
    ]
    delivering.decide(state="ifactor_request")
    look_at(delivering)
    assert found(delivering, "moved_on") == [
        ("state", "critical", "ifactor_request", "withdrawn: paid", "ifactor_request", True)
    ]
    delivering.decide(state="invoice_rejected")
    look_at(delivering)
    assert [row[5] for row in found(delivering, "moved_on")] == [False]


def test_a_delivery_that_sees_it_first_tells_it_too(small_delivering: Delivering) -> None:
    small_delivering.arrive(an_invoice())
    small_delivering.arrive(an_invoice(Balance=0.0))
    small_delivering.decide(state="invoice_accepted")
    small_delivering.arrive(an_invoice(Balance=0.0, DocNumber="9"))
    assert [row[:3] for row in found(small_delivering, "moved_on")] == [
        ("state", "critical", "invoice_accepted")
    ]


def test_an_invoice_held_back_before_its_withdrawal_could_be_delivered(
    small_delivering: Delivering,
) -> None:
    small_delivering.arrive(an_invoice())
    small_delivering.decide(state="invoice_accepted")
    small_delivering.world.arrive(an_invoice(Balance=0.0))  # not delivered yet
    look_at(small_delivering)
    assert found(small_delivering, "moved_on") == [
        ("state", "critical", "invoice_accepted", "held back: paid", "invoice_accepted", True)
    ]
    small_delivering.arrive(an_invoice())  # the payment is undone
    assert [row[5] for row in found(small_delivering, "moved_on")] == [False]


def test_an_invoice_paid_after_its_approval_was_never_held_back(
    small_delivering: Delivering,
) -> None:
    small_delivering.arrive(an_invoice())
    small_delivering.decide(state="ifactor_prepaid")
    look_at(small_delivering)
    small_delivering.arrive(an_invoice(Balance=0.0))
    small_delivering.decide(state="invoice_paid")
    look_at(small_delivering)
    assert found(small_delivering, "moved_on") == []


def test_an_invoice_put_back_by_hand_is_withdrawn_again(small_delivering: Delivering) -> None:
    small_delivering.arrive(an_invoice())
    small_delivering.arrive(an_invoice(Balance=0.0))
    small_delivering.decide(state="invoice_created")
    look_at(small_delivering)
    small_delivering.deliver()
    assert small_delivering.state()[0] == "invoice_rejected"
    assert found(small_delivering, "moved_on") == []


def test_a_document_that_is_gone_is_critical_until_it_is_back(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    kept = delivering.document() or {}
    delivering.infactors.invoices.delete_one({})
    for _ in range(2):
        look_at(delivering)
    assert found(delivering, "missing") == [
        ("document", "critical", "invoice_created", "there", "gone", True)
    ]
    delivering.infactors.invoices.insert_one(kept)
    look_at(delivering)
    assert [row[5] for row in found(delivering, "missing")] == [False]


@pytest.mark.parametrize("revision", [1, 7, "x"], ids=["older", "newer", "rubbish"])
def test_an_undecided_document_at_another_revision_is_delivered_again(
    small_delivering: Delivering, revision: Any
) -> None:
    small_delivering.arrive(an_invoice())
    small_delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
    small_delivering.decide(qbkRevision=revision, invoiceAmount=100.0)
    look_at(small_delivering)
    for _ in range(2):
        small_delivering.deliver()
    document = small_delivering.document() or {}
    assert document["invoiceAmount"] == 110.0
    assert document["qbkRevision"] == small_delivering.record().revision
    assert small_delivering.receipts()[-1][1] == "refreshed"


def test_the_revision_of_what_was_decided_about_stays_behind(small_delivering: Delivering) -> None:
    small_delivering.arrive(an_invoice())
    small_delivering.decide(state="invoice_accepted")
    small_delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
    look_at(small_delivering)
    assert small_delivering.record().delivered_revision == 2


def test_what_is_delivered_while_we_look_is_left_to_the_delivery(
    small_delivering: Delivering,
) -> None:
    small_delivering.arrive(an_invoice())
    services = small_delivering.world.services
    page = read_page(services, "")
    small_delivering.decide(state="invoice_accepted")
    with infactor_turn(services) as infactor:
        states = infactor.invoices.states([page[0][0].id])
    small_delivering.decide(state="invoice_created")
    small_delivering.arrive(an_invoice(DocNumber="9"))
    note_changes(services, page, states)
    assert mirrored(small_delivering).state == "invoice_created"
    assert small_delivering.record().delivered_revision == 2


def test_page_by_page(small_delivering: Delivering) -> None:
    small_delivering.world.put("Invoice", *(an_invoice(str(n)) for n in range(1, 1203)))
    small_delivering.world.backfill()
    for _ in range(2):
        small_delivering.deliver()
    small_delivering.infactors.invoices.update_many({}, {"$set": {"state": "invoice_accepted"}})
    look_at(small_delivering)
    with small_delivering.world.services.database.read() as session:
        states = session.scalars(select(Document.state)).all()
    assert states == ["invoice_accepted"] * 1202


def test_a_state_of_any_length_or_kind_is_kept(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="x\x00" * 100)
    look_at(delivering)
    delivering.deliver()
    assert mirrored(delivering).state == "x" * 32
    assert delivering.receipts()[-1] == (1, "frozen", "x" * 32)


def test_without_infactors_database_there_is_nothing_to_look_at(small_world: World) -> None:
    small_world.arrive(an_invoice())
    poll_documents(small_world.services)
