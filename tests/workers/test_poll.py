"""Polling Infactor: what people decided there, what is gone, and which buyers have signed up."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from service.database.tables import Connection, DeliveryState, Document, Invoice
from service.kit.clock import now
from service.store import connections
from tests.databases import is_waited_for
from tests.servers import wait_until
from tests.store.delivery_rows import DeliveryRows
from tests.workers.delivering import Delivering
from tests.workers.world import World, a_customer, an_invoice, with_settings
from workers.delivery import poll
from workers.delivery.circuit import reaching_infactor
from workers.delivery.poll import note_changes, poll_buyers, poll_documents, read_page


def test_a_decision_is_noted_and_what_was_approved_is_compared(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="invoice_accepted", buyerInvoiceRemark="Fine")
    before = delivering.last_seen().seen_at or now()
    delivering.poll()
    seen = delivering.last_seen()
    assert (seen.state, seen.document["state"]) == ("invoice_accepted", "invoice_accepted")
    assert seen.document["buyerInvoiceRemark"] == "Fine"
    assert seen.document["invoiceAmount"] == 100
    assert (seen.seen_at or before) > before
    assert delivering.record().delivered_revision == 0
    delivering.deliver()
    assert delivering.receipts()[-1] == (1, "frozen", "invoice_accepted")
    assert delivering.findings() == []


@pytest.mark.both_databases("the statements are its own")
def test_what_changed_before_the_decision_was_delivered_is_told_after_it(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="ifactor_request")
    delivering.arrive(an_invoice(TotalAmt=90.0, Balance=90.0))
    assert ("invoiceAmount", "critical", "100", "90") in delivering.findings()
    delivering.decide(state="completed")
    delivering.poll()
    delivering.deliver()
    assert ("invoiceAmount", "info", "100", "90") in delivering.findings()


def test_where_nothing_is_news_nothing_is_written(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="invoice_accepted")
    delivering.poll()
    delivering.deliver()
    seen = delivering.last_seen().seen_at
    delivering.poll()
    assert delivering.last_seen().seen_at == seen
    assert delivering.record().delivered_revision == 1


@pytest.mark.parametrize("state", ["completed", "ifactor_rejected", "ifactor_proposal_rejected"])
def test_what_is_over_is_not_looked_at(delivering: Delivering, state: str) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state=state)
    delivering.poll()
    delivering.infactors.invoices.drop()
    delivering.poll()
    assert delivering.last_seen().state == state
    assert delivering.found("missing") == []


def test_of_rejected_invoices_only_ours_are_looked_at(delivering: Delivering) -> None:
    for number in ("1", "2"):
        delivering.arrive(an_invoice(number))
    delivering.arrive(an_invoice("1", Balance=0.0))  # withdrawn by us
    delivering.decide("2", state="invoice_rejected", buyerInvoiceRemark="Not mine")
    delivering.poll()
    for number in ("1", "2"):
        delivering.decide(number, state="invoice_accepted")
    delivering.poll()
    assert delivering.last_seen("1").state == "invoice_accepted"
    assert delivering.last_seen("2").state == "invoice_rejected"


def test_our_withdrawal_is_looked_at_by_its_marker_alone(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(Balance=0.0))
    delivering.decide(buyerInvoiceRemark="Agreed by phone")
    delivering.arrive(an_invoice())  # no hold any more, but the remark is not ours
    assert delivering.record().hold is None
    delivering.decide(state="ifactor_request")
    delivering.poll()
    assert delivering.found("moved_on") == [
        ("state", "critical", "ifactor_request", "withdrawn: paid", "ifactor_request", True)
    ]


def test_a_withdrawal_whose_remark_somebody_edited_is_not_ours_any_more(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(Balance=0.0))
    seen = delivering.last_seen()
    assert (seen.withdrawn, seen.marked) == (True, True)
    delivering.decide(buyerInvoiceRemark="Agreed by phone")
    delivering.poll()
    seen = delivering.last_seen()
    assert (seen.withdrawn, seen.marked) == (False, True)


def test_an_invoice_offered_again_by_hand_is_withdrawn_again(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(Balance=0.0))
    delivering.decide(state="invoice_created")
    delivering.poll()
    delivering.deliver()
    assert delivering.state()[0] == "invoice_rejected"
    assert delivering.found("moved_on") == []


def test_a_document_that_is_gone_is_critical_until_it_is_back(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    kept = delivering.document() or {}
    delivering.infactors.invoices.delete_one({})
    for _ in range(2):
        delivering.poll()
    assert delivering.found("missing") == [
        ("document", "critical", "invoice_created", "there", "gone", True)
    ]
    delivering.infactors.invoices.insert_one(kept)
    delivering.poll()
    assert [row[5] for row in delivering.found("missing")] == [False]


@pytest.mark.parametrize("revision", [1, 7, "x"], ids=["older", "newer", "rubbish"])
def test_an_undecided_document_at_another_revision_is_delivered_again(
    delivering: Delivering, revision: Any
) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
    delivering.decide(qbkRevision=revision, invoiceAmount=100.0)
    delivering.poll()
    for _ in range(2):
        delivering.deliver()
    document = delivering.document() or {}
    assert document["invoiceAmount"] == 110.0
    assert document["qbkRevision"] == delivering.record().revision
    assert delivering.receipts()[-1][1] == "refreshed"


def test_the_revision_of_what_was_decided_about_stays_behind(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="invoice_accepted")
    delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
    delivering.poll()
    assert delivering.record().delivered_revision == 2


def test_what_is_delivered_while_we_look_is_left_to_the_delivery(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    services = delivering.world.services
    page = read_page(services, "")
    delivering.decide(state="invoice_accepted")
    with reaching_infactor(services) as infactor:
        states = infactor.invoices.states([page[0][0].id])
    delivering.decide(state="invoice_created")
    delivering.arrive(an_invoice(DocNumber="9"))
    note_changes(services, page, states)
    assert delivering.last_seen().state == "invoice_created"
    assert delivering.record().delivered_revision == 2


@pytest.mark.postgresql("a lock of a row is its own")
def test_a_company_that_is_busy_keeps_no_other_waiting(delivering: Delivering) -> None:
    world, database = delivering.world, delivering.world.services.database
    companies = [world.connection_id, world.connect("9341455000000002", "second@example.com")]
    first, last = sorted(companies)
    for company in (first, last):
        rows = DeliveryRows(database, company)
        rows.invoice()
        rows.document()  # and Infactor has none, which is news
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            connections.lock(session, last)
            polling = pool.submit(delivering.poll)
            wait_until(lambda: is_waited_for(database), what="the poll to wait")
            of_first = select(Connection.id).where(Connection.id == first)
            assert session.scalars(of_first.with_for_update(nowait=True)).one() == first
        polling.result()
    assert len(delivering.finding_rows()) == 2


def test_page_by_page(delivering: Delivering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "_PAGE", 2)
    delivering.world.put("Invoice", *(an_invoice(str(n)) for n in range(1, 6)))
    delivering.world.backfill()
    delivering.deliver()
    delivering.infactors.invoices.update_many({}, {"$set": {"state": "invoice_accepted"}})
    delivering.poll()
    with delivering.world.services.database.read() as session:
        states = session.scalars(select(Document.state)).all()
    assert states == ["invoice_accepted"] * 5


@pytest.mark.both_databases("columns hold different values")
def test_a_state_of_any_length_or_kind_is_kept(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="x\x00" * 100)
    delivering.poll()
    delivering.deliver()
    assert delivering.last_seen().state == "x" * 32
    assert delivering.receipts()[-1] == (1, "frozen", "x" * 32)


def test_without_infactors_database_there_is_nothing_to_look_at(world: World) -> None:
    world.arrive(an_invoice())
    before = world.documents()
    poll_documents(world.services)
    assert world.documents() == before


def test_a_buyer_who_registers_later_sees_the_invoice_then(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    assert delivering.addressed()[2] == ["buyer_not_registered"]
    poll_buyers(delivering.world.services)
    delivering.deliver()
    assert delivering.addressed()[2] == ["buyer_not_registered"]
    delivering.register("BUYER@example.com")
    poll_buyers(delivering.world.services)
    delivering.deliver()
    assert delivering.addressed() == ("BUYER@example.com", "BUYER@example.com", [])
    record = delivering.record()
    assert [one["code"] for one in record.fixed] == ["buyer_not_registered"]
    assert record.fixed_at is not None


def test_nobody_has_registered_where_the_address_was_removed(delivering: Delivering) -> None:
    delivering.world.put("Customer", a_customer(PrimaryEmailAddr={"Address": ""}))
    delivering.arrive(an_invoice(BillEmail={"Address": "buyer@example.com"}))
    assert delivering.addressed()[2] == ["buyer_not_registered"]
    delivering.arrive(an_invoice(BillEmail={"Address": ""}))
    assert delivering.addressed() == ("", "", [])
    assert delivering.record().fixed == []


def test_a_buyer_who_decided_is_not_said_to_have_been_fixed(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="invoice_accepted")
    delivering.arrive(an_invoice(DocNumber="5"))
    assert delivering.addressed()[2] == []
    assert delivering.record().fixed_at is None


def test_what_was_approved_keeps_its_address_whoever_registers(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="invoice_accepted")
    delivering.arrive(an_invoice(DocNumber="5"))
    assert delivering.addressed()[2] == []
    delivering.register("BUYER@example.com")
    poll_buyers(delivering.world.services)
    delivering.deliver()
    assert (delivering.document() or {})["buyerEmail"] == "buyer@example.com"


@pytest.mark.both_databases("the statements are its own")
def test_switching_withdrawals_on_withdraws_no_more_an_hour_than_needs_no_approval(
    delivering: Delivering,
) -> None:
    """Else a glitch of QuickBooks that was recorded meanwhile would reject a portfolio."""
    world, numbers = delivering.world, [str(number) for number in range(1, 7)]
    amounts = {number: 10.0 * int(number) for number in numbers}
    for number, amount in amounts.items():
        delivering.arrive(an_invoice(number, TotalAmt=amount, Balance=amount))
    with_settings(world, infactor_withdraw=False)
    for number, amount in amounts.items():
        delivering.arrive(an_invoice(number, TotalAmt=amount, Balance=0.0))
    with_settings(world, infactor_withdraw=True)

    def rejected_after_polls() -> list[str]:
        for _ in range(2):
            delivering.poll()
            delivering.deliver()
        return [n for n in numbers if delivering.state(n)[0] == "invoice_rejected"]

    # Half of the four that need none, so that what is paid now needs none either.
    assert rejected_after_polls() == ["5", "6"]
    delivering.arrive(an_invoice("7"))
    delivering.arrive(an_invoice("7", Balance=0.0))
    assert delivering.state("7")[0] == "invoice_rejected"
    delivering.change(Invoice, withdrawn_at=Invoice.withdrawn_at - 3_700)
    assert rejected_after_polls() == ["3", "4", "5", "6"]


def test_a_document_astray_is_withdrawn_within_the_limit_too(delivering: Delivering) -> None:
    """It is at another revision than the one delivered, which is a reason of its own."""
    world, numbers = delivering.world, ["1", "2", "3"]
    for number in numbers:
        delivering.arrive(an_invoice(number))
    with_settings(world, infactor_withdraw=False)
    for number in numbers:
        delivering.arrive(an_invoice(number, Balance=0.0))
        delivering.decide(number, qbkRevision=0)
    with_settings(world, infactor_withdraw=True)
    delivering.poll()
    delivering.deliver()
    states = [delivering.state(number)[0] for number in numbers]
    assert sorted(states) == ["invoice_created", "invoice_rejected", "invoice_rejected"]


def test_a_refused_delivery_is_no_new_revision_because_its_buyer_has_registered(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.change(DeliveryState, delivered_revision=0, attempts=3)
    delivering.register("buyer@example.com")
    poll_buyers(delivering.world.services)
    record = delivering.record()
    assert (record.revision, record.delivery.attempts) == (1, 3)


@pytest.mark.both_databases("the statements are its own")
def test_what_was_paid_while_withdrawals_were_off_is_withdrawn_once_they_are_on(
    delivering: Delivering,
) -> None:
    """And what was withdrawn before is offered again, if its payment was undone since."""
    world = delivering.world
    delivering.arrive(an_invoice("1"))
    delivering.arrive(an_invoice("2"))
    delivering.arrive(an_invoice("2", Balance=0.0))
    with_settings(world, infactor_withdraw=False)
    delivering.arrive(an_invoice("1", Balance=0.0))
    delivering.arrive(an_invoice("2"))
    delivering.poll()
    delivering.deliver()
    assert [delivering.state(number)[0] for number in ("1", "2")] == [
        "invoice_created",
        "invoice_rejected",
    ]
    with_settings(world, infactor_withdraw=True)
    for _ in range(2):
        delivering.poll()
        delivering.deliver()
    assert [delivering.state(number)[0] for number in ("1", "2")] == [
        "invoice_rejected",
        "invoice_created",
    ]
    assert [outcome for _, outcome, _ in delivering.receipts("1")] == [
        "created",
        "unchanged",
        "withdrawn",
    ]
