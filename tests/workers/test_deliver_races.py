"""Deliveries against people who decide at the same moment, and against workers that are late."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import delete, select

from service.database.tables import DeliveryState, Document, Invoice, Receipt, Revision
from service.infactor.collection import DeliveryRefusal, DeliveryResult, InvoiceCollection
from service.infactor.mongo import InfactorDatabase
from service.kit import exact_json
from service.kit.clock import now
from service.operations.forget import forget_company
from service.store import connections, infactor_outbox
from tests.databases import is_waited_for, statements
from tests.servers import wait_until
from tests.workers.delivering import Delivering, order
from tests.workers.world import an_invoice
from workers.delivery.deliver import Delivery, DeliveryResults, order_for


def database_of(delivering: Delivering) -> InfactorDatabase:
    """Return the service's own client of Infactor's database."""
    infactor = delivering.world.services.infactor
    assert infactor is not None
    return infactor


def at_once(*works: Callable[[], object]) -> None:
    """Do these at the same moment, each in a thread of its own."""
    gate = threading.Barrier(len(works))
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        gate.wait()
        try:
            work()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_buyers_approval_and_a_refresh_never_mix(delivering: Delivering, rounds: int) -> None:
    """Many times: what was approved is the old document whole, or the new one whole."""
    collection = InvoiceCollection(database_of(delivering), withdraw=True)
    approvals = delivering.infactors.invoices
    ways = {"before": 0, "after": 0}
    for number in range(20 * rounds):
        if number >= rounds and min(ways.values()) > 0:
            break
        key = f"qbk-{number}"
        collection.deliver([order(key, 1, 100.0)])
        outcomes: list[Any] = []

        def refresh(key: str = key, outcomes: list[Any] = outcomes) -> None:
            outcomes.append(collection.deliver([order(key, 2, 80.0)])[key])

        def approve(key: str = key) -> None:
            approvals.update_one({"_id": key}, {"$set": {"state": "invoice_accepted"}})

        at_once(refresh, approve)
        document = approvals.find_one({"_id": key}) or {}
        seen = {document[n] for n in ("invoiceAmount", "purchaseAmount", "taxAmount")}
        refreshed = str(outcomes[0].action) == "refresh"
        assert document["state"] == "invoice_accepted"
        assert seen == ({80.0} if refreshed else {100.0})
        assert document["invoiceNo"] == ("80.0" if refreshed else "100.0")
        assert document["qbkRevision"] == (2 if refreshed else 1)
        ways["before" if refreshed else "after"] += 1
    assert min(ways.values()) > 0, ways  # both happened, or nothing was proved


def test_an_older_revision_never_replaces_a_newer_one(delivering: Delivering) -> None:
    infactor = database_of(delivering)
    collections = [InvoiceCollection(infactor, withdraw=True) for _ in range(4)]
    for number in range(50):
        key = f"qbk-{number}"
        at_once(
            *(
                lambda collection=collection, revision=revision, key=key: collection.deliver(
                    [order(key, revision, float(revision))]
                )
                for revision, collection in enumerate(collections, start=1)
            )
        )
        document = delivering.infactors.invoices.find_one({"_id": key}) or {}
        assert document["qbkRevision"] == document["invoiceAmount"]
        collections[0].deliver([order(key, 1, 1.0)])
        after = delivering.infactors.invoices.find_one({"_id": key}) or {}
        assert after == document


def test_equal_content_at_a_later_revision_keeps_an_older_worker_out(
    delivering: Delivering,
) -> None:
    """100, then 80, then 100 again: who still holds the 80 must not write it."""
    collection = InvoiceCollection(database_of(delivering), withdraw=True)
    collection.deliver([order("qbk-a", 1, 100.0)])
    collection.deliver([order("qbk-a", 3, 100.0)])
    late = collection.deliver([order("qbk-a", 2, 80.0)])["qbk-a"]
    document = delivering.infactors.invoices.find_one({"_id": "qbk-a"}) or {}
    assert (document["invoiceAmount"], document["qbkRevision"]) == (100.0, 3)
    assert getattr(late, "newer", None) == 3


def test_a_late_creation_of_what_is_held_by_now_is_taken_back(
    delivering: Delivering,
) -> None:
    """The worker with the first revision writes only after the second one was found to be held."""
    world, infactor = delivering.world, database_of(delivering)
    world.arrive(an_invoice())
    with world.services.database.read() as session:
        (first,) = infactor_outbox.due(session, world.connection_id, now(), 1)
    world.arrive(an_invoice(Balance=0.0))
    delivering.deliver()
    assert delivering.receipts() == [(2, "held", None)]
    late = order_for(first, None, world.connection(), {}, None)
    made = InvoiceCollection(infactor, withdraw=True).deliver([late])
    delivery = Delivery(first, None, late, made[first.id])
    results = DeliveryResults(world.services.settings, world.connection(), [delivery])
    results.save(world.services.database)
    delivering.deliver()
    assert delivering.state()[0] == "invoice_rejected"


def deliver_and_save_later(delivering: Delivering, meanwhile: Callable[[], object]) -> None:
    """Create what is outgoing in Infactor, and save that only after something else."""
    world, infactor = delivering.world, database_of(delivering)
    company = world.connection()
    with world.services.database.read() as session:
        waiting = infactor_outbox.due(session, world.connection_id, now(), 10)
    orders = [order_for(one, None, company, {}, None) for one in waiting]
    made = InvoiceCollection(infactor, withdraw=True).deliver(orders)
    meanwhile()
    deliveries = [
        Delivery(one, None, o, made[one.id]) for one, o in zip(waiting, orders, strict=True)
    ]
    DeliveryResults(world.services.settings, company, deliveries).save(world.services.database)


@pytest.mark.both_databases("the copy in the database is its own")
def test_what_was_created_is_seen_as_it_was_sent_though_it_is_recorded_anew_by_then(
    delivering: Delivering,
) -> None:
    def seen(number: str) -> tuple[Any, ...]:
        last = delivering.last_seen(number)
        return last.document["invoiceAmount"], last.total, last.balance, last.revision

    world = delivering.world
    world.arrive(an_invoice("1"))
    world.arrive(an_invoice("2"))
    deliver_and_save_later(
        delivering, lambda: world.arrive(an_invoice("1", TotalAmt=80.0, Balance=80.0))
    )
    assert [seen("1"), seen("2")] == [(100, 100, 100, 1), (100, 100, 100, 1)]
    delivering.deliver()
    assert [seen("1"), seen("2")] == [(80, 80, 80, 2), (100, 100, 100, 1)]


@pytest.mark.both_databases("the copy in the database is its own")
def test_what_was_created_is_seen_as_it_was_sent_though_the_company_is_handed_over_by_then(
    delivering: Delivering,
) -> None:
    """What was mapped for the former supplier is gone from the record then."""
    delivering.world.arrive(an_invoice())
    deliver_and_save_later(delivering, lambda: delivering.change(Invoice, mapped=None))
    seen = delivering.last_seen()
    assert (seen.document["invoiceAmount"], seen.revision, seen.state) == (
        *(100, 1),
        "invoice_created",
    )


@pytest.mark.both_databases("the copy in the database is its own")
def test_a_delivery_says_nothing_of_a_company_that_was_forgotten_and_imported_anew_by_then(
    delivering: Delivering,
) -> None:
    """Its invoices are at their first revision again, and are paid."""
    world = delivering.world
    world.arrive(an_invoice())

    def forget_and_return() -> None:
        forget_company(world.services, world.connection_id, "cli:me")
        world.reconnect()
        world.arrive(an_invoice(Balance=0.0))

    deliver_and_save_later(delivering, forget_and_return)
    assert delivering.receipts() == []
    assert delivering.state()[0] == "invoice_created"
    delivering.deliver()
    delivering.deliver()
    assert delivering.state()[0] == "invoice_rejected"
    assert delivering.receipts() == [(2, "withdrawn", "invoice_rejected")]


def test_a_refusal_that_comes_late_lets_the_newer_revision_wait_for_nothing(
    delivering: Delivering,
) -> None:
    world = delivering.world
    world.arrive(an_invoice())
    with world.services.database.read() as session:
        (first,) = infactor_outbox.due(session, world.connection_id, now(), 1)
    world.arrive(an_invoice(Balance=0.0))
    refused = Delivery(
        first,
        None,
        order_for(first, None, world.connection(), {}, None),
        DeliveryRefusal("too large"),
    )
    results = DeliveryResults(world.services.settings, world.connection(), [refused])
    results.save(world.services.database)
    state = delivering.record().delivery
    assert (state.revision, state.attempts, state.due_at, state.error) == (2, 0, None, None)


@pytest.mark.both_databases("the copy in the database is its own")
def test_what_was_created_as_recorded_is_seen_without_being_sent_to_the_database_again(
    delivering: Delivering,
) -> None:
    delivering.world.arrive(an_invoice())
    with statements(delivering.world.services.database) as sent:
        delivering.deliver()
    assert not any("qbkInvoiceId" in str(one.parameters) for one in sent)
    seen, recorded = delivering.last_seen(), delivering.record()
    assert seen.document == recorded.mapped
    assert exact_json.encode(seen.document) == exact_json.encode(recorded.mapped)
    assert (seen.state, seen.withdrawn, seen.marked, seen.revision) == (
        *("invoice_created", False, False),
        1,
    )
    assert (seen.total, seen.balance, seen.currency, seen.customer_id) == (
        *(recorded.total, recorded.balance, recorded.currency),
        recorded.customer_id,
    )
    assert seen.supplier_id == delivering.world.connection().supplier_id
    assert seen.written_at == seen.seen_at


@pytest.mark.both_databases("the copy in the database is its own")
def test_an_address_in_its_accounts_spelling_is_seen_as_it_was_written(
    delivering: Delivering,
) -> None:
    invoice = an_invoice()
    invoice["BillEmail"] = {"Address": "Ann@Example.com"}
    delivering.register("ann@example.com")
    delivering.arrive(invoice)
    recorded = delivering.record().mapped or {}
    assert recorded["buyerEmail"] == "Ann@Example.com"
    assert delivering.last_seen().document["buyerEmail"] == "ann@example.com"


def test_a_record_that_is_behind_infactor_goes_on_counting_from_there(
    delivering: Delivering,
) -> None:
    """Our database was restored from a backup; Infactor has later revisions than it knows of."""
    delivering.arrive(an_invoice())
    delivering.decide(qbkRevision=9, invoiceAmount=70.0)
    delivering.arrive(an_invoice(TotalAmt=60.0, Balance=60.0))
    delivering.deliver()
    document = delivering.document() or {}
    assert (document["invoiceAmount"], document["qbkRevision"]) == (60.0, 10)


@pytest.mark.parametrize(
    ("amount", "hold", "newer"), [(80.0, None, 1), (100.0, "paid", 1), (100.0, None, None)]
)
def test_an_undecided_document_of_the_same_revision_is_our_own_only_if_nothing_is_to_do_about_it(
    delivering: Delivering, amount: float, hold: str | None, newer: int | None
) -> None:
    collection = InvoiceCollection(database_of(delivering), withdraw=True)
    collection.deliver([order("qbk-a", 1, 100.0)])
    again = collection.deliver([order("qbk-a", 1, amount, hold)])["qbk-a"]
    assert isinstance(again, DeliveryResult)
    assert (again.newer, again.repeated) == (newer, newer is None)


def test_what_was_paid_while_its_company_was_forgotten_is_withdrawn_when_it_comes_back(
    delivering: Delivering,
) -> None:
    """Its invoice is recorded as its first revision again, which its document has already."""
    world = delivering.world
    delivering.arrive(an_invoice())
    forget_company(world.services, world.connection_id, "cli:me")
    assert delivering.state()[0] == "invoice_created"
    world.reconnect()
    world.arrive(an_invoice(Balance=0.0))
    delivering.deliver()
    delivering.deliver()
    assert delivering.state()[0] == "invoice_rejected"
    assert delivering.receipts() == [(2, "withdrawn", "invoice_rejected")]


def test_an_approved_document_of_the_same_revision_is_not_our_own_where_the_invoice_is_held(
    delivering: Delivering,
) -> None:
    """Our record was restored from a backup of before the invoice, which is paid by now."""
    delivering.arrive(an_invoice())
    delivering.decide(state="invoice_accepted")
    with delivering.world.services.database.write() as session:
        for table in (Revision, Receipt, DeliveryState, Document, Invoice):
            session.execute(delete(table))
    delivering.arrive(an_invoice(Balance=0.0))
    assert delivering.findings() == [("invoice", "critical", None, "paid")]
    assert delivering.receipts() == [(1, "frozen", "invoice_accepted")]


def test_an_approved_document_of_the_same_revision_is_not_taken_for_our_own(
    delivering: Delivering,
) -> None:
    """Our database was restored from a backup, and the invoice is recorded as its first revision
    again, with another amount. What the buyer approved stays known as what was approved.
    """
    delivering.arrive(an_invoice())
    delivering.decide(state="invoice_accepted")
    delivering.change(DeliveryState, delivered_revision=0)
    delivering.change(Invoice, total=80, balance=80)
    with delivering.world.services.database.write() as session:
        session.execute(delete(Document))
        invoice = session.scalars(select(Invoice)).one()
        invoice.mapped = {**(invoice.mapped or {}), "invoiceAmount": 80}
    delivering.deliver()
    assert (delivering.document() or {})["invoiceAmount"] == 100.0
    assert delivering.last_seen().document["invoiceAmount"] == 100
    assert delivering.receipts()[-1] == (1, "frozen", "invoice_accepted")
    assert ("invoiceAmount", "critical", "100", "80") in delivering.findings()


def test_what_was_written_is_known_though_the_worker_died_and_only_a_signal_has_changed(
    delivering: Delivering,
) -> None:
    """It died after the write, before it could say so; the next revision has the same content."""
    delivering.arrive(an_invoice())
    old = dict(delivering.last_seen().document)
    delivering.arrive(an_invoice(TotalAmt=80.0, Balance=80.0))
    delivering.change(Document, document=old, revision=1)
    delivering.change(DeliveryState, delivered_revision=1, revision=3)
    delivering.change(Invoice, revision=3)
    delivering.deliver()
    assert delivering.receipts()[-1] == (3, "unchanged", "invoice_created")
    assert delivering.last_seen().document["invoiceAmount"] == 80


@pytest.mark.postgresql("a lock of a row is its own")
def test_what_a_delivery_did_is_saved_while_nobody_else_has_the_company(
    delivering: Delivering,
) -> None:
    """Else a recording of the same invoice, and the findings of both, could cross it."""
    world = delivering.world
    database = world.services.database
    delivering.arrive(an_invoice())
    world.arrive(an_invoice(TotalAmt=80.0, Balance=80.0))
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            connections.lock(session, world.connection_id)
            delivered = pool.submit(delivering.deliver)
            wait_until(lambda: is_waited_for(database), what="a lock to wait for")
            assert (delivering.document() or {})["invoiceAmount"] == 80.0
            assert len(delivering.receipts()) == 1
        delivered.result(60)
    assert delivering.receipts()[1:] == [(2, "refreshed", "invoice_created")]


@pytest.mark.both_databases("the statements are its own")
def test_a_delivery_is_at_the_revision_of_its_invoice_however_that_came(
    delivering: Delivering,
) -> None:
    def revisions() -> list[tuple[int, int, bool]]:
        same_time = DeliveryState.recorded_at == Invoice.recorded_at
        both = select(Invoice.revision, DeliveryState.revision, same_time)
        query = both.join(DeliveryState, DeliveryState.invoice_id == Invoice.id)
        with delivering.world.services.database.read() as session:
            return [tuple(row) for row in session.execute(query)]

    delivering.arrive(an_invoice())
    assert revisions() == [(1, 1, True)]
    delivering.arrive(an_invoice(TotalAmt=80.0, Balance=80.0))
    assert revisions() == [(2, 2, True)]
    delivering.decide(state="draft")
    delivering.poll()
    delivering.decide(state="invoice_created")
    delivering.poll()
    assert revisions() == [(3, 3, True)]
    delivering.decide(qbkRevision=9)
    delivering.deliver()
    assert revisions() == [(10, 10, True)]
