"""A company that another supplier has connected, or its own one again, and what Infactor has."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete

from service.database.tables import (
    DeliveryState,
    Document,
    Invoice,
    InvoiceToJudge,
    Receipt,
    Revision,
)
from service.kit.clock import now
from service.operations.disconnect import disconnect
from service.operations.forget import forget_company, forget_supplier
from service.store import connection_lifecycle, connections
from tests.workers.delivering import Delivering
from tests.workers.reconciling import reconcile
from tests.workers.world import World, a_customer, an_invoice

FIRST, SECOND = "supplier@example.com", "second@example.com"


def leave(world: World) -> None:
    assert disconnect(world.services, world.connection_id, "cli:me", force=False) is None
    with world.services.database.write() as session:
        connection_lifecycle.release(session, world.connection_id, now())


def hand_over(world: World) -> None:
    """Let another supplier connect the company."""
    with world.services.database.write() as session:
        second = connections.upsert_supplier(session, SECOND, "Second", "", now())
        connection_lifecycle.hand_over(session, world.connection_id, second, now())
    world.reconnect()


def work(delivering: Delivering) -> None:
    """Import the past, and bring it into Infactor."""
    delivering.world.backfill()
    for _ in range(2):
        delivering.world.judge()
        delivering.deliver()
        delivering.deliver()
        delivering.poll()


def offered_by(delivering: Delivering, quickbooks_id: str = "1") -> tuple[Any, ...]:
    """Return the state of Infactor's document, and in whose name it is."""
    document = delivering.document(quickbooks_id) or {}
    return tuple(document.get(name) for name in ("state", "supplierEmail", "supplierName"))


@pytest.mark.both_databases("the statements are its own")
def test_what_is_offered_again_after_a_hand_over_is_in_the_new_suppliers_name(
    delivering: Delivering,
) -> None:
    """It was delivered before, while nothing had proved the company yet."""
    world = delivering.world
    delivering.arrive(an_invoice())
    leave(world)
    world.judge()
    delivering.deliver()
    assert offered_by(delivering)[:2] == ("invoice_rejected", FIRST)
    hand_over(world)
    run_id = world.begin_backfill()
    assert world.advance(run_id)
    delivering.deliver()
    assert offered_by(delivering)[:2] == ("invoice_rejected", SECOND)
    seen = delivering.last_seen()
    assert (seen.supplier_id, seen.document["supplierEmail"]) == (
        world.connection().supplier_id,
        SECOND,
    )
    work(delivering)
    assert offered_by(delivering) == ("invoice_created", SECOND, "Second")


@pytest.mark.both_databases("the statements are its own")
def test_what_was_offered_at_the_hand_over_is_withdrawn_until_it_is_read_anew(
    delivering: Delivering,
) -> None:
    """It was handed over before anybody had judged it, and the import waits."""
    world = delivering.world
    delivering.arrive(an_invoice())
    leave(world)
    hand_over(world)
    world.judge()
    delivering.deliver()
    assert delivering.record().hold == "unproven"
    assert offered_by(delivering)[:2] == ("invoice_rejected", FIRST)
    work(delivering)
    assert offered_by(delivering) == ("invoice_created", SECOND, "Second")


def test_an_approval_of_what_is_not_read_anew_yet_is_known(delivering: Delivering) -> None:
    """From then on payments are read, and the invoice is kept longer."""
    world = delivering.world
    delivering.arrive(an_invoice())
    leave(world)
    hand_over(world)
    delivering.decide(state="invoice_accepted")
    world.judge()
    delivering.deliver()
    assert delivering.last_seen().state == "invoice_accepted"
    work(delivering)
    assert delivering.record().approved_at is not None


def test_what_a_forgotten_supplier_left_behind_is_offered_in_the_next_ones_name(
    delivering: Delivering,
) -> None:
    world = delivering.world
    delivering.arrive(an_invoice())
    forget_company(world.services, world.connection_id, "cli:me")
    forget_supplier(world.services, world.connection().supplier_id, "cli:me")
    assert offered_by(delivering)[:2] == ("invoice_created", FIRST)
    hand_over(world)
    work(delivering)
    assert offered_by(delivering) == ("invoice_created", SECOND, "Second")


def test_what_was_handed_over_while_infactors_database_was_not_configured_is_in_the_new_name(
    delivering: Delivering,
) -> None:
    """The service's own table had it in that name already."""
    world = delivering.world
    delivering.arrive(an_invoice())
    configured = world.services
    nowhere = configured.settings.model_copy(update={"infactor_mongodb_url": None})
    world.services = replace(configured, settings=nowhere, infactor=None)
    leave(world)
    world.judge()
    hand_over(world)
    world.backfill()
    assert delivering.last_seen().document["supplierEmail"] == SECOND
    world.services = configured
    work(delivering)
    assert offered_by(delivering) == ("invoice_created", SECOND, "Second")


@pytest.mark.both_databases("the statements are its own")
def test_what_was_deleted_before_the_hand_over_is_withdrawn_in_its_old_name(
    delivering: Delivering,
) -> None:
    """Nothing is recorded any more with which its document could be written anew."""
    world = delivering.world
    delivering.arrive(an_invoice("1"))
    delivering.arrive(an_invoice("2"))
    leave(world)
    world.delete("Invoice", "1")
    hand_over(world)
    work(delivering)
    assert delivering.record("1").mapped is None
    assert offered_by(delivering, "1")[:2] == ("invoice_rejected", FIRST)
    assert offered_by(delivering, "2")[:2] == ("invoice_created", SECOND)
    assert delivering.receipts() == [
        (1, "created", "invoice_created"),
        (2, "withdrawn", "invoice_rejected"),
    ]
    assert delivering.last_seen("1").supplier_id != delivering.last_seen("2").supplier_id


def test_the_services_own_table_withdraws_what_was_deleted_before_the_hand_over(
    world: World,
) -> None:
    world.put("Invoice", an_invoice("1"), an_invoice("2"))
    world.backfill()
    leave(world)
    world.delete("Invoice", "1")
    hand_over(world)
    assert world.backfill()["withdrawn"] == 1
    with world.services.database.read() as session:
        states = {d.document["qbkInvoiceId"]: d.state for d in session.query(Document)}
    assert states["1"] == "invoice_rejected"


@pytest.mark.parametrize("way", ["handed over", "forgotten"])
def test_a_lender_is_told_that_an_approved_invoice_was_deleted_before_it_was_read_anew(
    delivering: Delivering, way: str
) -> None:
    world = delivering.world
    delivering.approved("1")
    delivering.arrive(an_invoice("2"))
    if way == "forgotten":
        forget_company(world.services, world.connection_id, "cli:me")
    else:
        leave(world)
    world.delete("Invoice", "1")
    if way == "forgotten":
        world.reconnect()
    else:
        hand_over(world)
    work(delivering)
    assert delivering.findings() == [("invoice", "critical", "open", "deleted")]
    assert offered_by(delivering)[:2] == ("invoice_accepted", FIRST)


def test_what_is_not_read_anew_yet_is_withdrawn_and_not_restored(delivering: Delivering) -> None:
    """It was held before the hand-over, while Infactor was away."""
    world = delivering.world
    delivering.arrive(an_invoice())
    leave(world)
    world.judge()
    hand_over(world)
    delivering.deliver()
    assert offered_by(delivering)[:2] == ("invoice_rejected", FIRST)
    delivering.change(Invoice, hold=None, holds=[], revision=3)
    delivering.change(DeliveryState, revision=3)
    delivering.deliver()
    assert offered_by(delivering)[:2] == ("invoice_rejected", FIRST)
    assert delivering.receipts()[-1] == (3, "unchanged", "invoice_rejected")
    work(delivering)
    assert offered_by(delivering)[:2] == ("invoice_created", SECOND)


def test_a_deletion_that_the_record_knows_nothing_else_of_withdraws_the_document(
    delivering: Delivering,
) -> None:
    """Our database was restored from a backup of before the invoice."""
    delivering.arrive(an_invoice())
    with delivering.world.services.database.write() as session:
        for table in (Revision, Receipt, DeliveryState, Document, Invoice):
            session.execute(delete(table))
    delivering.world.delete("Invoice", "1")
    delivering.world.hear("Invoice", "1", "deleted")
    delivering.deliver()
    delivering.deliver()
    assert delivering.record().mapped is None
    assert delivering.state() == (
        "invoice_rejected",
        "Automatic, from QuickBooks: deleted, not a decision of your buyer",
    )


@pytest.mark.both_databases("the statements are its own")
@pytest.mark.parametrize("state", ["invoice_created", "ifactor_prepaid"])
def test_what_was_deleted_while_its_company_was_forgotten_is_withdrawn_when_it_comes_back(
    delivering: Delivering, state: str
) -> None:
    """QuickBooks lists it no more. Where it was approved meanwhile, that is a finding."""
    world = delivering.world
    delivering.arrive(an_invoice("1"))
    delivering.arrive(an_invoice("2"))
    forget_company(world.services, world.connection_id, "cli:me")
    delivering.decide("1", state=state)
    world.delete("Invoice", "1")
    world.reconnect()
    world.backfill()
    world.sync()
    work(delivering)
    withdrawn = state == "invoice_created"
    assert offered_by(delivering, "1")[0] == ("invoice_rejected" if withdrawn else state)
    assert offered_by(delivering, "2")[0] == "invoice_created"
    assert delivering.findings() == (
        [] if withdrawn else [("invoice", "critical", "open", "deleted")]
    )


@pytest.mark.parametrize("state", ["completed", "invoice_rejected"])
def test_what_is_over_in_infactor_is_not_asked_for_when_its_company_comes_back(
    delivering: Delivering, state: str
) -> None:
    world = delivering.world
    delivering.arrive(an_invoice())
    forget_company(world.services, world.connection_id, "cli:me")
    delivering.decide("1", state=state)
    world.delete("Invoice", "1")
    world.reconnect()
    world.backfill()
    assert world.notice_rows() == []


def test_a_document_that_a_restored_database_does_not_know_is_named_and_withdrawn(
    delivering: Delivering,
) -> None:
    """Another company of the supplier has one of the same Id, which is not this one's."""
    world = delivering.world
    first = world.connection_id
    delivering.arrive(an_invoice("1"))
    world.connect("9341455000000002")
    world.put("Customer", a_customer(), realm="9341455000000002")
    world.put("Invoice", an_invoice("1"), realm="9341455000000002")
    world.backfill()
    world.judge()
    delivering.deliver()
    with world.services.database.write() as session:
        for table in (Revision, Receipt, DeliveryState, Document, InvoiceToJudge, Invoice):
            session.execute(delete(table))
    world.delete("Invoice", "1")
    world.connection_id = first
    unknown = {
        "id": "1",
        "number": "101",
        "kind": "not recorded here",
        "there": "Approval Awaited",
        "here": "not recorded",
    }
    assert reconcile(world, full=True, fix=False)["infactor"] == [unknown]
    assert reconcile(world, full=True, fix=True)["infactor_fixed"] == [unknown]
    world.sync()
    delivering.deliver()
    delivering.deliver()
    assert delivering.state()[0] == "invoice_rejected"
    assert reconcile(world, full=True, fix=False)["infactor"] == []
