"""Forgetting a company and its supplier: what goes, and what stays as a receipt."""

from dataclasses import replace
from typing import Any

import pytest
import structlog.testing
from sqlalchemy import func, select, update

from service.database.tables import (
    AuditEntry,
    Base,
    BrowserSession,
    Connection,
    Customer,
    FeedEvent,
    Invoice,
    Notice,
    OAuthState,
    Revision,
    Run,
    Supplier,
)
from service.errors import Disconnected
from service.infactor.mapping import invoice_id
from service.kit.clock import now
from service.operations.forget import Farewell, forget_company, forget_supplier, rehearse
from service.store import connections, sessions
from service.store.forgetting import Forgotten
from tests.workers.delivering import Delivering
from tests.workers.world import REALM, World, a_customer, an_event, an_invoice
from workers.company import CompanyContext
from workers.delivery.poll import poll_documents
from workers.reading.by_id import CustomerReads, read_invoices
from workers.recording.record import recording

EMPTY = Forgotten(customers=0, invoices=0, documents=0, notices=0, runs=0, receipts={})


def rows(world: World, table: type[Base]) -> int:
    with world.services.database.read() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


def supplier(world: World) -> Supplier:
    with world.services.database.read() as session:
        return session.get_one(Supplier, world.connection().supplier_id)


def everything(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the database but of leases and signs of life, which come and go."""
    with world.services.database.engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
            if table.name not in ("leases", "paces", "processes")
        }


def fill(world: World) -> None:
    """Leave an undecided, a decided, a held invoice, a customer, notices and a run."""
    world.put("Invoice", an_invoice("1"), an_invoice("2"), an_invoice("3", Balance=0))
    world.backfill()
    world.arrive(an_invoice("2", TotalAmt=110.0, Balance=110.0))
    world.decide("2", state="invoice_accepted")
    world.webhook(an_event("Invoice", "1", "updated"))
    with world.services.database.write() as session:
        session.add(  # of a moment in which the company was not connected yet
            Notice(
                realm_digest=session.get_one(Connection, world.connection_id).realm_digest,
                format="cloudevents",
                received_at=now(),
                status="pending",
            )
        )


def test_forgetting_keeps_receipts_of_invoices_past_invoice_created(world: World) -> None:
    fill(world)
    with world.services.database.write() as session:
        session.execute(update(Connection).values(country="US"))
        session.execute(update(Invoice).values(old_rows_held=True))
    receipt = world.documents()["2"]
    reads = world.reads()
    forgotten, problem = forget_company(world.services, world.connection_id, "cli:me")
    assert problem is None
    assert forgotten == Forgotten(
        customers=1,
        invoices=2,
        documents=1,
        notices=3,
        runs=1,
        receipts={"invoice_accepted": 1},
    )
    assert not world.is_granted()
    for table in (Customer, Notice, Run):
        assert rows(world, table) == 0, table
    with world.services.database.read() as session:
        [invoice] = session.scalars(select(Invoice)).all()
        revisions = session.scalars(select(Revision)).all()
    assert (invoice.quickbooks_id, invoice.source, invoice.mapped) == ("2", {"Id": "2"}, None)
    assert [revision.changes for revision in revisions] == [{}, {}]
    with world.services.database.engine.connect() as connection:
        kept = connection.execute(select(Base.metadata.tables["documents"])).one()
    assert (kept.state, kept.document) == ("invoice_accepted", receipt)
    assert world.reads() == reads
    row = world.connection()
    assert (row.state, row.problem) == ("disconnected", None)
    assert (row.company_name, row.country, invoice.old_rows_held) == ("", "", False)
    assert (row.access_sealed, row.refresh_sealed, row.released_at) == (None, None, None)
    assert world.services.access.realm_id(row)


@pytest.mark.both_databases("the statements are its own")
def test_what_was_delivered_and_found_goes_with_its_invoice_and_stays_with_it(
    delivering: Delivering,
) -> None:
    world = delivering.world
    for number in ("1", "2", "3"):
        delivering.arrive(an_invoice(number))
    delivering.decide("2", state="invoice_accepted")
    delivering.arrive(an_invoice("2", TotalAmt=90.0, Balance=90.0))
    delivering.infactors.invoices.delete_one({"qbkInvoiceId": "3"})
    poll_documents(world.services)
    assert sorted({f.invoice_id for f in delivering.finding_rows()}) == sorted(
        invoice_id(REALM, number) for number in ("2", "3")
    )
    before = list(delivering.infactors.invoices.find())
    foreseen, _ = rehearse(world.services, [world.connection_id], world.connection().supplier_id)
    forgotten, _ = forget_company(world.services, world.connection_id, "cli:me")
    assert foreseen == [forgotten]
    assert (forgotten.invoices, forgotten.receipts) == (2, {"invoice_accepted": 1})
    assert forgotten.left_undecided == 2
    assert {f.invoice_id for f in delivering.finding_rows()} == {invoice_id(REALM, "2")}
    assert [outcome for _, outcome, _ in delivering.receipts("2")] == ["created", "frozen"]
    assert (delivering.receipts("1"), delivering.receipts("3")) == ([], [])
    assert list(delivering.infactors.invoices.find()) == before
    delivering.decide("2", state="ifactor_request")
    poll_documents(world.services)  # nothing is known any more with which it could be compared
    assert delivering.receipts("2")[-1][2] == "invoice_accepted"


def test_the_audit_of_forgetting_names_nothing_that_was_forgotten(world: World) -> None:
    fill(world)
    forget_company(world.services, world.connection_id, "cli:me")
    forget_supplier(world.services, world.connection().supplier_id, "cli:me")
    with world.services.database.read() as session:
        company, whose = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert (company.actor, company.action) == ("cli:me", "forget")
    assert company.connection_id == world.connection_id
    assert company.details == {
        "customers": 1,
        "invoices": 2,
        "documents": 1,
        "notices": 3,
        "runs": 1,
        "receipts": {"invoice_accepted": 1},
        "left_undecided": 0,
        "revoked": True,
    }
    assert whose.details == {"supplier": 1, "anonymised": False}


@pytest.mark.both_databases("the statements are its own")
def test_a_rehearsal_counts_the_same_and_changes_nothing(world: World) -> None:
    fill(world)
    supplier_id = world.connection().supplier_id
    before = everything(world)
    foreseen, farewell = rehearse(world.services, [world.connection_id], supplier_id)
    assert everything(world) == before
    assert world.is_granted()
    forgotten, _ = forget_company(world.services, world.connection_id, "cli:me")
    assert foreseen == [forgotten]
    assert farewell == forget_supplier(world.services, supplier_id, "cli:me")


def test_only_what_is_forgotten_for_good_is_logged(world: World) -> None:
    fill(world)
    with structlog.testing.capture_logs() as lines:
        rehearse(world.services, [world.connection_id], world.connection().supplier_id)
        assert lines == []
        forget_company(world.services, world.connection_id, "cli:me")
    assert [line["event"] for line in lines] == ["company.forgotten"]


@pytest.mark.both_databases("the statements are its own")
def test_a_supplier_of_whom_nothing_stays_cannot_be_told_any_more(world: World) -> None:
    world.arrive(an_invoice("1"))
    supplier_id = world.connection().supplier_id
    with world.services.database.write() as session:
        cookie = sessions.SUPPLIERS.begin(session, now(), supplier_id=supplier_id)
        sessions.begin_consent(
            session,
            session_digest=sessions.digest(cookie),
            environment="simulator",
            supplier_id=supplier_id,
            link_id=None,
            another_company=False,
            now=now(),
        )
    forget_company(world.services, world.connection_id, "cli:me")
    assert forget_supplier(world.services, supplier_id, "cli:me") == Farewell()
    row = supplier(world)
    assert (row.email, row.name, row.address) == (f"forgotten-{supplier_id}", "", "")
    assert world.connection().released_at is not None
    assert (rows(world, BrowserSession), rows(world, OAuthState)) == (0, 0)


def test_a_supplier_in_whose_name_receipts_stand_keeps_the_name_and_the_company(
    world: World,
) -> None:
    fill(world)
    forget_company(world.services, world.connection_id, "cli:me")
    farewell = forget_supplier(world.services, world.connection().supplier_id, "cli:me")
    assert farewell == Farewell("receipts stand in this supplier's name")
    assert supplier(world).email == "supplier@example.com"
    assert world.connection().released_at is None


def test_a_supplier_with_another_company_stays(world: World) -> None:
    first = world.connection_id
    world.connect("9341455000000002")
    forget_company(world.services, first, "cli:me")
    supplier_id = world.connection().supplier_id
    farewell = forget_supplier(world.services, supplier_id, "cli:me")
    assert farewell == Farewell("another company of this supplier is not forgotten")
    assert supplier(world).email == "supplier@example.com"
    assert world.connection().state == "connected"


def test_another_company_loses_nothing(world: World) -> None:
    first = world.connection_id
    world.arrive(an_invoice("1"))
    world.connect("9341455000000002")
    world.put("Invoice", an_invoice("1"), realm="9341455000000002")
    world.put("Customer", a_customer(), realm="9341455000000002")
    world.backfill()
    assert sorted(world.documents()) == ["1"]
    with world.services.database.write() as session:
        mine = {"format": "cloudevents", "received_at": now(), "status": "pending"}
        session.add(Notice(connection_id=world.connection_id, **mine))
        session.add(Notice(realm_digest="of a company that is to come", **mine))
        told = {"environment": "simulator", "type": "invoice.recorded", "subject": "1", "data": {}}
        for company in (first, world.connection_id):
            session.add(
                FeedEvent(event_id=company, connection_id=company, at=now(), waiting=False, **told)
            )
    before, theirs = world.documents(), others(world, first)
    forget_company(world.services, first, "cli:me")
    assert world.documents() == before
    assert others(world, first) == theirs
    assert rows(world, FeedEvent) == 1
    assert (rows(world, Customer), rows(world, Run)) == (1, 1)


def others(world: World, connection_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return the notices, invoices and events that are not of this company."""
    tables = [Base.metadata.tables[name] for name in ("notices", "invoices", "events")]
    with world.services.database.engine.connect() as connection:
        return {
            table.name: [
                dict(row)
                for row in connection.execute(select(table)).mappings()
                if row["connection_id"] != connection_id
            ]
            for table in tables
        }


@pytest.mark.both_databases("the statements are its own")
def test_forgetting_twice_is_harmless(world: World) -> None:
    fill(world)
    forget_company(world.services, world.connection_id, "cli:me")
    again, problem = forget_company(world.services, world.connection_id, "cli:me")
    assert problem is None
    assert again == replace(EMPTY, receipts={"invoice_accepted": 1})


def test_a_company_is_forgotten_although_quickbooks_is_away(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.faults({"kind": "revoke", "status": 503, "count": 1})
    forgotten, problem = forget_company(world.services, world.connection_id, "cli:me")
    assert problem == "QuickBooks' token service is down (HTTP 503)"
    assert forgotten.invoices == 1
    assert world.connection().refresh_sealed is None


@pytest.mark.both_databases("locks work differently")
def test_a_worker_that_has_read_a_forgotten_company_brings_nothing_back(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    company = CompanyContext.of(world.services, world.connection_id)
    reads = CustomerReads(company).complete(read_invoices(company, ["1"]))
    forget_company(world.services, world.connection_id, "cli:me")
    with pytest.raises(Disconnected), recording(company, reads, cause="notice"):
        pytest.fail("there is nobody to record it for")
    assert (rows(world, Invoice), rows(world, Customer)) == (0, 0)


def test_a_forgotten_company_that_comes_back_meets_its_receipts(world: World) -> None:
    fill(world)
    receipt = world.documents()["2"]
    forget_company(world.services, world.connection_id, "cli:me")
    world.reconnect()
    world.backfill()
    world.judge()
    documents = world.documents()
    assert sorted(documents) == ["1", "2"]
    assert documents["2"] == receipt
    assert documents["1"]["state"] == "invoice_created"


def test_of_nobody_known_nothing_but_the_name_is_forgotten(world: World) -> None:
    with world.services.database.write() as session:
        newcomer = connections.ensure_supplier(session, "new@example.com", "New", "", now())
    assert forget_supplier(world.services, newcomer, "cli:me") == Farewell()
    with world.services.database.read() as session:
        assert connections.supplier_by_email(session, "new@example.com") is None
