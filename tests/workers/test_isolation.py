"""Two suppliers with the same ids and numbers: nothing is written across."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from service.database.tables import Connection, Customer, Document, Invoice, Notice, Supplier
from service.errors import Disconnected
from service.infactor.mapping import invoice_id
from service.kit.clock import now
from service.store import runs
from tests.workers.delivering import Delivering
from tests.workers.world import World, a_customer, an_event, an_invoice
from workers.company import CompanyContext
from workers.runs.run import advance
from workers.sync import sync_company

REALMS = {"9341455000000011": "first", "9341455000000012": "second"}
ROUNDS = 12
IDS = [str(n) for n in range(1, 9)]


@pytest.mark.both_databases("locks work differently")
def test_a_soak_of_two_companies_with_the_same_ids_writes_nothing_across(world: World) -> None:
    """Notices, backfills and faults of both, worked on by several threads of two processes."""
    connections = {realm: connect(world, realm, whose) for realm, whose in REALMS.items()}
    processes = [world.services, world.another_process()]
    chance = random.Random(7)
    with ThreadPoolExecutor(8) as pool:
        for number in range(ROUNDS):
            for realm in REALMS:
                people_work(world, realm, number, chance)
            world.faults({"preset": chance.choice(["5xx", "truncated", "401"]), "count": 1})
            world.let_time_pass()
            work = [
                pool.submit(function, services, argument)
                for services in processes
                for function, argument in asked_for(world, connections)
            ]
            for done in work:
                done.result()
    settle(world, connections)
    for realm, whose in REALMS.items():
        belongs_to(world, realm, connections[realm], whose)


def connect(world: World, realm: str, whose: str) -> str:
    world.simulator.simulator.company(realm)
    world.put("Customer", customer_of(whose, 0), realm=realm)
    return world.connect(realm, f"{whose}@example.com")


def customer_of(whose: str, version: int) -> dict:
    return a_customer(PrimaryEmailAddr={"Address": f"buyer{version}@{whose}.example.com"})


def people_work(world: World, realm: str, number: int, chance: random.Random) -> None:
    """Change invoices of the same ids in both companies, to amounts that tell them apart."""
    whose = REALMS[realm]
    cents = {"first": 0.25, "second": 0.5}[whose]
    changed = chance.sample(IDS, 4)
    amounts = {i: int(i) * 100 + number + cents for i in changed}
    world.put(
        "Invoice",
        *(an_invoice(i, TotalAmt=amounts[i], Balance=amounts[i]) for i in changed),
        realm=realm,
    )
    world.put("Customer", customer_of(whose, number), realm=realm)
    events = [an_event("Invoice", i, "updated", intuitaccountid=realm) for i in changed]
    customer = an_event("Customer", "7", "updated", intuitaccountid=realm)
    assert world.webhook(*events, customer).status_code == 200


def asked_for(world: World, connections: dict[str, str]) -> list:
    """Return the work for both companies: their notices, and a backfill under way."""
    work: list = [(sync_company, connection_id) for connection_id in connections.values()]
    for connection_id in connections.values():
        with world.services.database.write() as session:
            run_id = runs.create_or_join(session, connection_id, "command", None, now())
        work.append((advance, run_id))
    return work


def settle(world: World, connections: dict[str, str]) -> None:
    """Work until nothing waits; what failed is tried again."""
    world.no_faults()
    for _ in range(10):
        world.let_time_pass()
        for function, argument in asked_for(world, connections):
            function(world.services, argument)
        with world.services.database.read() as session:
            if not session.scalars(select(Notice).where(Notice.status == "pending")).all():
                return
    raise AssertionError([n for n in world.notice_rows() if n.status == "pending"])


def belongs_to(world: World, realm: str, connection_id: str, whose: str) -> None:
    """Fail unless everything of the connection is this company's, and all that it has is there."""
    cents = {"first": "25", "second": "50"}[whose]
    with world.services.database.read() as session:
        owner = session.get_one(Supplier, session.get_one(Connection, connection_id).supplier_id)
        rows = session.execute(
            select(Invoice, Document)
            .join(Document, Document.invoice_id == Invoice.id)
            .where(Invoice.connection_id == connection_id)
        ).all()
        customers = session.scalars(
            select(Customer).where(Customer.connection_id == connection_id)
        ).all()
    assert owner.email == f"{whose}@example.com"
    assert {i.id for i, _ in rows} == {invoice_id(realm, i) for i in IDS}
    for invoice, document in rows:
        assert f"{invoice.total:.2f}".endswith(f".{cents}")
        assert document.document["supplierEmail"] == f"{whose}@example.com"
        assert document.document["buyerEmail"] == f"buyer{ROUNDS - 1}@{whose}.example.com"
        assert f"{document.document['invoiceAmount']:.2f}".endswith(f".{cents}")
    assert [c.source["PrimaryEmailAddr"]["Address"] for c in customers] == [
        f"buyer{ROUNDS - 1}@{whose}.example.com"
    ]


def test_a_company_of_another_environment_is_neither_called_nor_delivered(
    delivering: Delivering,
) -> None:
    world = delivering.world
    world.arrive(an_invoice("1"))
    with world.services.database.write() as session:
        session.execute(update(Connection).values(environment="production"))
    world.forget_calls()
    with pytest.raises(Disconnected, match="in another QuickBooks environment"):
        CompanyContext.of(world.services, world.connection_id)
    delivering.deliver()
    assert world.calls() == 0
    assert list(delivering.infactors.invoices.find()) == []
    with world.services.database.write() as session:
        session.execute(update(Connection).values(environment="simulator"))
    delivering.deliver()
    assert len(list(delivering.infactors.invoices.find())) == 1
