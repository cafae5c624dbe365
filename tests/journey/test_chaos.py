"""The chaos test: a storm over everything, and afterwards nothing lost, doubled or mixed up."""

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Set
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from dramatiq.brokers.stub import StubBroker
from pymongo.database import Database
from sqlalchemy import case, func, or_, select, update

from service.config.loading import settings_from
from service.database.tables import (
    Breaker,
    Connection,
    DeliveryState,
    Document,
    Invoice,
    Notice,
    Receipt,
    Run,
)
from service.domain import RunCause
from service.infactor.mapping import invoice_id
from service.kit.clock import now
from service.operations import actions
from service.services import Services, build_services
from service.store import approvals, inbox
from service.store.runs import MAY_PASS, create_or_join
from tests.journey.books import BUYERS, a_book, realm
from tests.journey.deployment import deployed
from tests.journey.storm import Storm
from tests.journey.vigil import Key, NoAnswer, Vigil
from tests.servers import wait_until
from tests.workers.delivering import infactor_settings
from tests.workers.world import World
from workers.runs.reconcile import begin_due

# What waits for a person is told within this time, whatever happens at that moment.
SILENT_SECONDS = 60.0
INVOICES = 12
# What is told of while something waits for a person: none of these at the end. Refused keys are
# told of until a token is renewed, which can take an hour.
FOR_SOMEBODY = {
    *("connection.dead", "connection.barred", "run.failing", "reconcile.red"),
    *("withdrawals.stopped", "webhooks.failed", "webhooks.stuck", "deliveries.refused"),
    *("database.refuses", "queue.refuses", "queue.away", "infactor.away"),
}


@pytest.fixture
def storm(
    request: pytest.FixtureRequest,
    postgres_database: str,
    redis_database: str,
    infactors: Database[dict[str, Any]],
    tmp_path: Path,
) -> Iterator[Storm]:
    """Two receivers and two workers, with companies whose ids and numbers are all the same."""
    companies = 12 if is_short(request) else 24
    book = a_book(companies, INVOICES)
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
        storm = Storm(made, seed, companies, INVOICES, *places)
        yield storm
        storm.close()


def is_short(request: pytest.FixtureRequest) -> bool:
    """Return whether to make half as many changes, over half as many companies."""
    config = request.config
    return not config.getoption("--long") and config.getoption("--chaos-minutes") is None


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
    if is_short(request):
        events //= 2
    print(f"\nchaos: seed {storm.seed}, {events} changes in {seconds:.0f} s")
    connections = storm.connections = connect(storm, services)
    told, waiting = partial(conditions, storm), partial(waits_for_somebody, services)
    with Vigil(waiting, told, is_told) as vigil:
        storm.rage(events, seconds)
        calm_down(storm, services)
    storm.counted.update({f"looks that met {cause}": n for cause, n in vigil.causes.items()})
    storm.counted["looks"] = vigil.looks
    assert vigil.looks > seconds / 20
    assert vigil.longer_than(SILENT_SECONDS) == {}
    believe_quickbooks(storm, services)
    reconcile_daily(storm, services)

    assert unexplained(services) == []
    for number, connection_id in connections.items():
        assert differences(storm, services, number, connection_id) == []
    assert unlike_infactor(storm, services) == []
    assert of_nobody(services) == {"9349999999999999"}
    green = storm.deployment.rows("reconcile", "--all")
    assert [row["error"] for row in green] == [None] * storm.companies
    assert {cause for cause, _ in conditions(storm)} & FOR_SOMEBODY == set()
    print(json.dumps({"answered": storm.answered, **figures(storm, services)}, indent=2))
    if minutes is not None and minutes >= 3:
        assert storm.never_met == []


def connect(storm: Storm, services: Services) -> dict[int, str]:
    """Connect every company, each to a supplier of its own, and begin its first import.

    Half of the companies are imported before the storm. Return the connections.
    """
    with httpx.Client(timeout=30) as http:
        world = World(services, storm.deployment.simulator, None, http)  # type: ignore[arg-type]
        made = {
            number: world.connect(realm(number), f"supplier{number}@example.com")
            for number in range(storm.companies)
        }
    early = [made[number] for number in storm.imported]
    begin_imports(services, early)
    wait_until(lambda: not importing(services, early), 600, "the first imports", every=0.2)
    begin_imports(services, set(made.values()) - set(early))
    return made


def begin_imports(services: Services, connection_ids: Iterable[str]) -> None:
    with services.database.write() as session:
        for connection_id in connection_ids:
            create_or_join(session, connection_id, RunCause.CONNECT, None, now())


def importing(services: Services, connection_ids: Collection[str]) -> bool:
    active = select(Run.id).where(Run.connection_id.in_(connection_ids), Run.state == "active")
    with services.database.read() as session:
        return session.scalars(active).first() is not None


def is_told(waiting: Key, told: Set[Key]) -> bool:
    """Return whether `status` tells of what waits: some conditions are about all companies."""
    if waiting[0] in ("webhooks.failed", "keys.refused"):
        return waiting[0] in {cause for cause, _ in told}
    return waiting in told


def conditions(storm: Storm) -> set[Key]:
    """Return (cause, subject) of everything that `status` tells."""
    answer = storm.deployment.try_command("status", "--json")
    if not answer:
        raise NoAnswer
    (told,) = answer
    return {(condition["cause"], condition["subject"]) for condition in told["wrong"]}


def waits_for_somebody(services: Services) -> set[Key]:
    """Return (the cause by which it has to be told, connection) of all that waits for a person."""
    found: set[Key] = set()
    with services.database.read() as session:
        companies = {one.id: one for one in session.scalars(select(Connection))}
        runs_of = session.scalars(select(Run).order_by(Run.id)).all()
        failed = set(session.scalars(select(Notice.connection_id).where(inbox.is_open())))
    for id_, company in companies.items():
        if company.state == "disconnected":
            found.add(("connection.dead", id_))
            continue
        if company.keys_refused_since is not None:
            found.add(("keys.refused", id_))
        if company.barred_since is not None:
            found.add(("connection.barred", id_))
        if id_ in failed:
            found.add(("webhooks.failed", id_))
    newest = {(run.connection_id, run.kind): run for run in runs_of}
    for (id_, kind), run in newest.items():
        company = companies[id_]
        if run.state == "active" and run.halted_at is not None:
            found.add(("withdrawals.stopped", id_))
        explained = (
            company.state == "disconnected"
            or company.barred_since
            or company.outage_since
            or company.keys_refused_since
        )
        fails = run.state == "active" and run.halted_at is None and run.failing_since is not None
        # One without an error is to be tried again at once: it waits for a worker.
        if fails and run.error is not None and not explained and run.error_class not in MAY_PASS:
            found.add(("run.failing", id_))
        if run.state == "failed" and run.halted_at is None:
            found.add(("reconcile.red" if kind == "reconcile" else "run.failing", id_))
    return found


def believe_quickbooks(storm: Storm, services: Services) -> None:
    """Do what an operator would where QuickBooks has said what was not so.

    That may stop in its turn, for what is withdrawn in truth.
    """
    for number in sorted(storm.lied_to | listed_whole(storm, services)):
        chosen = ("--connection", storm.connections[number])
        storm.deployment.try_command("reconcile", *chosen, "--fix", "--overrule", "--json")
    wait_until(lambda: worked_off(services), 900, "what was overruled", every=0.5)


def listed_whole(storm: Storm, services: Services) -> set[int]:
    """Return the companies of which everything was read again during the storm.

    Where all is asked for, nothing tells a stranger's invoice from theirs.
    """
    with services.database.read() as session:
        whole = {
            run.connection_id for run in session.scalars(select(Run)) if run.tally.get("there")
        }
    return {number for number, id_ in storm.connections.items() if id_ in whole}


def operate(storm: Storm, services: Services) -> None:
    """Drop what a lie would withdraw, and try again whoever is shut out, as an operator does."""
    lied_to = {storm.connections[number] for number in storm.lied_to}
    with services.database.read() as session:
        shut_out = session.scalars(
            select(Connection.id).where(
                or_(
                    Connection.state == "disconnected",
                    Connection.barred_since.is_not(None),
                    Connection.keys_refused_since.is_not(None),
                )
            )
        ).all()
        stopped = list(approvals.waiting(session, lied_to).values())
    for run in stopped:
        storm.deployment.command("confirm", "--run", str(run.id), "--drop")
        storm.counted["dropped by an operator"] += 1
    for connection_id in shut_out:
        actions.retry(services, connection_id, "operator")


def calm_down(storm: Storm, services: Services) -> None:
    """Wait until QuickBooks has delivered everything, and everything is worked off."""
    sender = storm.deployment.simulator.simulator.sender
    wait_until(sender.idle, 900, "QuickBooks' deliveries")
    operate(storm, services)
    wait_until(lambda: worked_off(services), 900, "the notices, runs and deliveries", every=0.5)


LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
# What makes each kind of work wait for its time, and what ends the wait.
WAITING = (
    (Connection.paused_until, Connection.id, None),
    # What is failed without a time is not tried again by itself.
    (Notice.due_at, Notice.id, case((Notice.status == "failed", LONG_AGO), else_=None)),
    (Run.due_at, Run.id, None),
    (DeliveryState.due_at, DeliveryState.invoice_id, None),
)


def worked_off(services: Services) -> bool:
    """Return whether nothing is left to do; pauses are over, as they would be after a while.

    Where so much would be withdrawn that an operator has to confirm it, one does.
    """
    with services.database.write() as session:
        waiting_runs = select(Run).where(Run.state == "active", Run.halted_at.is_not(None))
        for run in session.scalars(waiting_runs.with_for_update(skip_locked=True)):
            approvals.approve(session, run)
        for until, key, over in WAITING:
            # What a worker holds has its turn next time: it may be waiting for one of ours.
            free = select(key).where(until.is_not(None)).with_for_update(skip_locked=True)
            session.execute(update(key.class_).where(key.in_(free)).values({until: over}))
        session.execute(update(Breaker).values(open_until=0.0))
        notices = select(func.count()).where(
            Notice.status.in_(("pending", "failed")), Notice.connection_id.is_not(None)
        )
        active = select(func.count()).where(Run.state == "active")
        outgoing = select(func.count()).where(
            DeliveryState.delivered_revision < DeliveryState.revision
        )
        return not any(session.execute(query).scalar_one() for query in (notices, active, outgoing))


def reconcile_daily(storm: Storm, services: Services) -> None:
    """Let a day have passed for every company: what webhooks lost is found."""
    with services.database.write() as session:
        session.execute(update(Connection).values(reconcile_due_at=now()))
    begin_due(services)
    wait_until(lambda: worked_off(services), 900, "the reconciles", every=0.5)


def unexplained(services: Services) -> list[Any]:
    """Return every notice that has no end; what was given up in the storm came back by itself."""
    with services.database.read() as session:
        notices = session.scalars(select(Notice)).all()
    return [
        (n.id, n.entity, n.entity_id, n.operation, n.status, n.error_class, n.error_message)
        for n in notices
        if n.connection_id is not None and n.status not in ("done", "ignored")
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
        "companies": storm.companies,
        "invoices": invoices,
        "notices": dict(statuses),
        "repetitions": repeated,
        "fixed by reconciles": sum(run.tally["read"] for run in runs),
        "reads": storm.sim("GET", "calls")["total"],
        "deliveries": dict(receipts),
    }
