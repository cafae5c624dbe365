"""The chaos test: a storm over everything, and afterwards nothing lost, doubled or mixed up."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from dramatiq.brokers.stub import StubBroker
from pymongo.database import Database
from sqlalchemy import func, select, update

from service.config.loading import settings_from
from service.database.tables import Breaker, Connection, Document, Invoice, Notice, Receipt, Run
from service.infactor.mapping import invoice_id
from service.kit.clock import now
from service.services import Services, build_services
from service.store import approvals
from tests.journey.books import BUYERS, a_book, realm
from tests.journey.deployment import deployed
from tests.journey.storm import Storm
from tests.servers import wait_until
from tests.workers.delivering import infactor_settings
from tests.workers.world import World
from workers.runs.reconcile import begin_due

COMPANIES = 24
INVOICES = 12
# Why the storm lets a notice be given up: QuickBooks called a record bad.
EXPLAINED = {"Poisoned", "TooLarge"}


@pytest.fixture
def storm(
    request: pytest.FixtureRequest,
    postgres_database: str,
    redis_database: str,
    infactors: Database[dict[str, Any]],
    tmp_path: Path,
) -> Iterator[Storm]:
    """Two receivers and two workers, with companies whose ids and numbers are all the same."""
    book = a_book(COMPANIES, INVOICES)
    seed = request.config.getoption("--chaos-seed") or int(time.time())
    with deployed(
        tmp_path,
        book,
        postgres_database,
        redis_url=redis_database,
        receivers=2,
        workers=2,
        settings=infactor_settings(infactors),
    ) as made:
        places = (postgres_database, redis_database, infactors)
        storm = Storm(made, seed, COMPANIES, INVOICES, *places)
        yield storm
        storm.close()


@pytest.fixture
def services(storm: Storm) -> Iterator[Services]:
    """The same service once more, to look at its database; its messages go nowhere."""
    made = build_services(settings_from(storm.deployment.environment), StubBroker())
    yield made
    made.close()


@pytest.mark.timeout(6 * 3600)
def test_chaos(request: pytest.FixtureRequest, storm: Storm, services: Services) -> None:
    minutes = request.config.getoption("--chaos-minutes")
    events, seconds = (1200, 30.0) if minutes is None else (int(minutes * 1500), minutes * 60.0)
    print(f"\nchaos: seed {storm.seed}, {events} changes in {seconds:.0f} s")
    connections = connect(storm, services)
    storm.rage(events, seconds)
    calm_down(storm, services)
    reconcile_daily(storm, services)

    assert unexplained(services) == []
    for number, connection_id in connections.items():
        assert differences(storm, services, number, connection_id) == []
    assert unlike_infactor(storm, services) == []
    assert of_nobody(services) == {"9349999999999999"}
    green = storm.deployment.rows("reconcile", "--all")
    assert [row["error"] for row in green] == [None] * COMPANIES
    print(json.dumps(figures(storm, services), indent=2))


def connect(storm: Storm, services: Services) -> dict[int, str]:
    """Connect every company, each to a supplier of its own; return the connections."""
    with httpx.Client(timeout=30) as http:
        world = World(services, storm.deployment.simulator, None, http)  # type: ignore[arg-type]
        return {
            number: world.connect(realm(number), f"supplier{number}@example.com")
            for number in range(COMPANIES)
        }


def calm_down(storm: Storm, services: Services) -> None:
    """Wait until QuickBooks has delivered everything, and everything is worked off."""
    sender = storm.deployment.simulator.simulator.sender
    wait_until(sender.idle, 240, "QuickBooks' deliveries")
    wait_until(lambda: worked_off(services), 300, "the notices, runs and deliveries", every=0.5)


# What makes each kind of work wait for its time.
WAITING = (
    (Connection.paused_until, Connection.id),
    (Notice.due_at, Notice.id),
    (Run.due_at, Run.id),
    (Invoice.delivery_due_at, Invoice.id),
)


def worked_off(services: Services) -> bool:
    """Return whether nothing is left to do; pauses are over, as they would be after a while.

    Where so much would be withdrawn that an operator has to confirm it, one does.
    """
    with services.database.write() as session:
        waiting_runs = select(Run).where(Run.state == "active", Run.halted_at.is_not(None))
        for run in session.scalars(waiting_runs.with_for_update(skip_locked=True)):
            approvals.approve(session, run)
        for until, key in WAITING:
            # What a worker holds has its turn next time: it may be waiting for one of ours.
            free = select(key).where(until.is_not(None)).with_for_update(skip_locked=True)
            session.execute(update(key.class_).where(key.in_(free)).values({until: None}))
        session.execute(update(Breaker).values(open_until=0.0))
        notices = select(func.count()).where(
            Notice.status == "pending", Notice.connection_id.is_not(None)
        )
        active = select(func.count()).where(Run.state == "active")
        outgoing = select(func.count()).where(Invoice.delivered_revision < Invoice.revision)
        return not any(session.execute(query).scalar_one() for query in (notices, active, outgoing))


def reconcile_daily(storm: Storm, services: Services) -> None:
    """Let a day have passed for every company: what webhooks lost is found."""
    with services.database.write() as session:
        session.execute(update(Connection).values(reconcile_due_at=now()))
    begin_due(services)
    wait_until(lambda: worked_off(services), 300, "the reconciles", every=0.5)


def unexplained(services: Services) -> list[Any]:
    """Return every notice that has no end, or one that the storm does not explain."""
    with services.database.read() as session:
        notices = session.scalars(select(Notice)).all()
    return [
        (n.id, n.entity, n.entity_id, n.operation, n.status, n.error_class, n.error_message)
        for n in notices
        if n.connection_id is not None
        and n.status not in ("done", "ignored")
        and not (n.status == "parked" and n.error_class in EXPLAINED)
    ]


def differences(storm: Storm, services: Services, number: int, connection_id: str) -> list[Any]:
    """Compare QuickBooks' own books with the record and with Infactor's documents."""
    company = storm.deployment.simulator.simulator.companies[realm(number)]
    there, buyers = (
        {found["Id"]: found for r in company.shelves[entity].by_id() if (found := r.data)}
        for entity in ("Invoice", "Customer")
    )
    with services.database.read() as session:
        rows = session.execute(
            select(Invoice, Document)
            .join(Document, Document.invoice_id == Invoice.id, isouter=True)
            .where(Invoice.connection_id == connection_id)
        ).all()
    here = {invoice.quickbooks_id: (invoice, document) for invoice, document in rows}
    assert len(rows) == len(here)  # no invoice twice
    found: list[Any] = []
    for id_ in there.keys() | here.keys():
        invoice, document = here.get(id_, (None, None))
        wrong = wrong_with(there.get(id_), invoice, document, number, buyers)
        if wrong:
            found.append((number, id_, wrong, evidence(services, connection_id, id_)))
    return found


def wrong_with(
    raw: Any, invoice: Invoice | None, document: Document | None, number: int, buyers: Any
) -> str | None:
    """Say what of an invoice is not as QuickBooks and the rules have it."""
    if raw is None or invoice is None or invoice.deleted:
        here = invoice is not None and not invoice.deleted
        return None if here is (raw is not None) else f"here: {here}"
    record = (str(invoice.sync_token), invoice.total, invoice.balance, invoice.id)
    amounts = Decimal(str(raw["TotalAmt"])), Decimal(str(raw["Balance"]))
    wanted = (raw["SyncToken"], *amounts, invoice_id(realm(number), raw["Id"]))
    if record != wanted:
        return f"record: {record}, not {wanted}"
    if document is not None and document.state == "invoice_accepted":
        return None  # whatever it says now, it was approved as it stands
    offered = document is not None and document.state == "invoice_created"
    if document is None or not offered or not 0 < amounts[0] == amounts[1]:
        return None if offered is (0 < amounts[0] == amounts[1]) else f"offered: {offered}"
    buyer = buyers[str(int(raw["Id"]) % BUYERS + 1)]["PrimaryEmailAddr"]["Address"]
    expected = (amounts[0], buyer, f"supplier{number}@example.com")
    found = tuple(document.document[n] for n in ("invoiceAmount", "buyerEmail", "supplierEmail"))
    return None if found == expected else f"document: {found}, not {expected}"


def unlike_infactor(storm: Storm, services: Services) -> list[Any]:
    """Compare Infactor's own documents with what was last seen of them, and with what was approved.

    What somebody approved must be there to the letter, whatever QuickBooks did afterwards.
    """
    there = {document["_id"]: document for document in storm.infactors.invoices.find()}
    with services.database.read() as session:
        here = {document.invoice_id: document for document in session.scalars(select(Document))}
    found: list[Any] = [(key, "known to one of the two") for key in there.keys() ^ here.keys()]
    for key in there.keys() & here.keys():
        seen, document = here[key], there[key]
        if key in storm.approved:
            if document != storm.approved[key]:
                found.append((key, "changed after it was approved"))
        elif (seen.state, *seen_in(seen.document)) != (document["state"], *seen_in(document)):
            found.append((key, "not as it was seen", seen.state, document["state"]))
    return found


def seen_in(document: Any) -> tuple[Any, ...]:
    """Return what matters to lenders of a document, in whatever kind of numbers."""
    amount = round(float(document["invoiceAmount"]), 2)
    return amount, document["buyerEmail"], document["supplierEmail"], document["payableDate"]


def evidence(services: Services, connection_id: str, id_: str) -> list[Any]:
    """Return the notices about an invoice, for whoever has to find out."""
    with services.database.read() as session:
        notices = session.scalars(
            select(Notice).where(Notice.connection_id == connection_id, Notice.entity_id == id_)
        ).all()
    return [(n.operation, n.status, n.reason, n.error_message, n.handled_at) for n in notices]


def of_nobody(services: Services) -> set[str]:
    """Return the realm ids of the notices that belong to no company."""
    with services.database.read() as session:
        notices = session.scalars(
            select(Notice).where(Notice.connection_id.is_(None), Notice.realm_sealed.is_not(None))
        ).all()
    return {services.vault.open(n.realm_sealed or "", n.realm_digest or "") for n in notices}


def figures(storm: Storm, services: Services) -> dict[str, Any]:
    """Return what the storm was, for the README."""
    with services.database.read() as session:
        statuses = Counter(session.scalars(select(Notice.status)))
        repeated = session.execute(select(func.sum(Notice.duplicates))).scalar_one()
        runs = session.scalars(
            select(Run).where(Run.kind == "reconcile", Run.cause != "command")
        ).all()
        invoices = session.execute(select(func.count()).select_from(Invoice)).scalar_one()
        receipts = Counter(session.scalars(select(Receipt.outcome)))
    return {
        **storm.counted,
        "companies": COMPANIES,
        "invoices": invoices,
        "notices": dict(statuses),
        "repetitions": repeated,
        "mended by reconciles": sum(run.tally["read"] for run in runs),
        "reads": storm.sim("GET", "calls")["total"],
        "deliveries": dict(receipts),
    }
