"""Invoices for one sale: in one company, in several of a supplier, and of several suppliers."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database
from sqlalchemy import select, update

from service.database.tables import Connection, Finding, Invoice
from service.simulator.app import RunningSimulator
from tests.workers.conftest import connected
from tests.workers.delivering import Delivering, infactor_settings
from tests.workers.world import World, a_customer, an_event, an_invoice, asked_for
from workers.rejudging import ask_for_judging, judge_company

RULES = {"INFACTOR_PROFILE": "guide", "INFACTOR_RULES": "duplicate=hold,duplicate_elsewhere=hold"}
ELSEWHERE = "9341455000000077"


@pytest.fixture
def lender(simulator: RunningSimulator, migrated_url: str) -> Iterator[World]:
    """A world in which duplicates are held, and nothing else is."""
    with connected(simulator, migrated_url, **RULES) as made:
        judge_company(made.services, made.connection_id)  # once by these rules, on this day
        yield made


def entered(quickbooks_id: str, day: int, **fields: Any) -> dict[str, Any]:
    """Return an invoice that was entered on that day, like every other one but for its Id."""
    times = {"CreateTime": f"2026-11-{day:02}T10:00:00Z"}
    return an_invoice(quickbooks_id, **{"DocNumber": "INV-7", "MetaData": times, **fields})


def judge_what_is_asked(world: World) -> set[str]:
    """Judge what is to be judged again, as the workers would; return of which companies."""
    ask_for_judging(world.services)
    waiting = asked_for(world.services.jobs.broker)
    asked = {row_id for actor, row_id in waiting if actor == "judge_company"}
    for connection_id in asked:
        judge_company(world.services, connection_id)
    world.services.jobs.broker.flush_all()
    return asked


def connect_another(world: World, email: str) -> str:
    """Connect another company with the same customer, and return to the first one."""
    first = world.connection_id
    world.simulator.simulator.company(ELSEWHERE)
    world.put("Customer", a_customer(), realm=ELSEWHERE)
    another = world.connect(ELSEWHERE, email)
    judge_company(world.services, another)
    world.connection_id = first
    return another


def arrive_elsewhere(world: World, another: str, invoice: dict[str, Any]) -> None:
    first, world.connection_id = world.connection_id, another
    world.put("Invoice", invoice, realm=ELSEWHERE)
    world.hear("Invoice", invoice["Id"], "updated", intuitaccountid=ELSEWHERE)
    world.connection_id = first


def every_hold(world: World) -> dict[tuple[str, str], str | None]:
    with world.services.database.read() as session:
        rows = session.execute(select(Invoice.connection_id, Invoice.quickbooks_id, Invoice.hold))
        return {
            ("here" if company == world.connection_id else "there", id_): hold
            for company, id_, hold in rows
        }


@pytest.mark.both_databases("both look the keys up in statements of their own")
def test_the_later_one_of_two_in_a_company_is_held(lender: World) -> None:
    lender.arrive(entered("1", 1))
    lender.arrive(entered("2", 2, DocNumber="inv 007", CustomerRef={"value": "8", "name": "Zed"}))
    lender.arrive(entered("3", 3, DocNumber="INV-8", TxnDate="2026-11-02"))
    assert lender.holds() == {"1": None, "2": "duplicate", "3": None}


def test_the_later_one_of_two_in_a_batch_is_held(lender: World) -> None:
    lender.put("Invoice", entered("1", 2), entered("2", 1))
    lender.webhook(an_event("Invoice", "1", "created"), an_event("Invoice", "2", "created"))
    lender.sync()
    assert lender.holds() == {"1": "duplicate", "2": None}
    assert judge_what_is_asked(lender) == set()


def test_the_later_one_is_judged_again_when_the_first_comes_after_it(lender: World) -> None:
    lender.arrive(entered("1", 2))
    lender.arrive(entered("2", 1))
    assert lender.holds() == {"1": None, "2": None}
    assert judge_what_is_asked(lender) == {lender.connection_id}
    assert lender.holds() == {"1": "duplicate", "2": None}
    assert judge_what_is_asked(lender) == set()


def test_the_later_one_is_judged_again_when_the_first_gets_its_buyer_s_address_after_it(
    lender: World,
) -> None:
    """In one batch: the first one is mapped again only once the later one is judged."""
    zed = {"DisplayName": "Zed", "FullyQualifiedName": "Zed"}
    lender.put("Customer", a_customer("8", **zed, PrimaryEmailAddr={"Address": "zed@example.com"}))
    lender.arrive(entered("1", 1, DocNumber="A-1", CustomerRef={"value": "8", "name": "Zed"}))
    lender.put("Customer", a_customer("8", **zed, SyncToken="1"))
    lender.put("Invoice", entered("2", 2, DocNumber="B-2"))
    lender.webhook(an_event("Customer", "8", "updated"), an_event("Invoice", "2", "created"))
    lender.sync()
    assert lender.holds() == {"1": None, "2": None}
    judge_what_is_asked(lender)
    assert lender.holds() == {"1": None, "2": "duplicate"}


@pytest.mark.parametrize("how", ["deleted", "voided", "changed"])
def test_the_later_one_is_offered_once_the_first_is_another(lender: World, how: str) -> None:
    lender.arrive(entered("1", 1))
    lender.arrive(entered("2", 2))
    if how == "deleted":
        lender.delete("Invoice", "1")
        lender.hear("Invoice", "1", "deleted")
    elif how == "voided":
        lender.void("1")
        lender.hear("Invoice", "1", "voided")
    else:
        lender.arrive(entered("1", 1, DocNumber="INV-9", TotalAmt=7.0, Balance=7.0))
    assert lender.holds()["2"] == "duplicate"
    judge_what_is_asked(lender)
    assert lender.holds()["2"] is None


@pytest.mark.both_databases("another company's rows are asked for in this one's transaction")
def test_twins_of_two_suppliers(lender: World) -> None:
    another = connect_another(lender, "second@example.com")
    lender.arrive(entered("1", 2))
    arrive_elsewhere(lender, another, entered("1", 1))
    assert every_hold(lender) == {("here", "1"): None, ("there", "1"): None}
    assert judge_what_is_asked(lender) == {lender.connection_id}
    assert every_hold(lender) == {("here", "1"): "duplicate_elsewhere", ("there", "1"): None}
    arrive_elsewhere(lender, another, entered("1", 1, TotalAmt=7.0, Balance=7.0))
    judge_what_is_asked(lender)
    assert every_hold(lender) == {("here", "1"): None, ("there", "1"): None}


def test_twins_of_two_companies_of_a_supplier(lender: World) -> None:
    another = connect_another(lender, "supplier@example.com")
    lender.arrive(entered("1", 1))
    arrive_elsewhere(lender, another, entered("1", 2, CustomerRef={"value": "8", "name": "Zed"}))
    assert every_hold(lender) == {("here", "1"): None, ("there", "1"): "duplicate"}


def test_two_suppliers_may_use_one_number(lender: World) -> None:
    another = connect_another(lender, "second@example.com")
    lender.arrive(entered("1", 1))
    arrive_elsewhere(lender, another, entered("1", 2, TotalAmt=7.0, Balance=7.0))
    assert every_hold(lender) == {("here", "1"): None, ("there", "1"): None}


def test_a_sandbox_s_invoice_is_no_twin(lender: World) -> None:
    another = connect_another(lender, "second@example.com")
    arrive_elsewhere(lender, another, entered("1", 1))
    with lender.services.database.write() as session:
        session.execute(
            update(Connection).where(Connection.id == another).values(environment="sandbox")
        )
    lender.arrive(entered("1", 2))
    assert lender.holds() == {"1": None}


def test_a_twin_of_one_that_was_approved_is_critical(
    simulator: RunningSimulator, infactors: Database[dict[str, Any]], migrated_url: str
) -> None:
    """Whichever was entered first: money may move on the one that was approved."""
    with connected(simulator, migrated_url, **RULES, **infactor_settings(infactors)) as world:
        judge_company(world.services, world.connection_id)
        delivering = Delivering(world, infactors)
        delivering.arrive(entered("1", 2))
        delivering.decide("1", state="invoice_accepted")
        delivering.poll()
        delivering.arrive(entered("2", 1))
        assert world.holds() == {"1": None, "2": "duplicate"}
        judge_what_is_asked(world)
        delivering.deliver()
        with world.services.database.read() as session:
            found = session.scalars(select(Finding)).all()
        assert [(one.cause, one.severity) for one in found] == [("duplicate", "critical")]
        assert delivering.state("1") == ("invoice_accepted", None)


def test_an_approval_lets_the_twins_be_judged_again(
    simulator: RunningSimulator, infactors: Database[dict[str, Any]], migrated_url: str
) -> None:
    """A supplier deletes what was approved, and has entered it again before."""
    with connected(simulator, migrated_url, **RULES, **infactor_settings(infactors)) as world:
        judge_company(world.services, world.connection_id)
        delivering = Delivering(world, infactors)
        delivering.arrive(entered("2", 2))
        delivering.arrive(entered("1", 1))
        world.services.jobs.broker.flush_all()
        delivering.decide("2", state="invoice_accepted")
        delivering.poll()
        judge_what_is_asked(world)
        assert world.holds() == {"1": "duplicate", "2": "duplicate"}


def test_a_thousand_that_are_all_alike(lender: World) -> None:
    lender.put("Invoice", *[entered(str(n), 1) for n in range(1, 1_001)])
    assert lender.backfill()["error"] is None
    assert sorted({str(hold) for hold in lender.holds().values()}) == ["None", "duplicate"]
    assert list(lender.holds().values()).count(None) == 1
