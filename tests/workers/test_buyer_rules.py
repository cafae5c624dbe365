"""Whose the buyer's address is, from the books to a finding."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database
from sqlalchemy import select, update

from service.database.tables import Connection, Finding, Invoice
from service.simulator.app import RunningSimulator
from tests.workers.conftest import connected
from tests.workers.delivering import Delivering, infactor_settings
from tests.workers.world import World, a_customer, an_event, an_invoice
from workers.rejudging import judge_company

RULES = {
    "INFACTOR_PROFILE": "guide",
    "INFACTOR_RULES": (
        "own_buyer=hold,lookalike_domain=hold,shared_address=signal,free_mail=signal,"
        "buyer_changed=signal"
    ),
}


@pytest.fixture
def lender(simulator: RunningSimulator, migrated_url: str) -> Iterator[World]:
    """A world in which just these rules are in force."""
    with connected(simulator, migrated_url, **RULES) as made:
        yield made


def billed(quickbooks_id: str, address: str, customer: str = "7") -> dict[str, Any]:
    """Return an invoice to this address."""
    return an_invoice(
        quickbooks_id,
        BillEmail={"Address": address},
        MetaData={"CreateTime": f"2026-11-{int(quickbooks_id):02}T10:00:00Z"},
        CustomerRef={"value": customer, "name": f"Buyer {customer}"},
    )


def codes(world: World) -> dict[str, list[str]]:
    """Return the codes of all reasons of each invoice, by QuickBooks id."""
    with world.services.database.read() as session:
        rows = session.scalars(select(Invoice))
        return {
            row.quickbooks_id: [one["code"] for one in (*row.holds, *row.signals)] for row in rows
        }


def test_an_invoice_to_the_supplier_itself_is_held(lender: World) -> None:
    with lender.services.database.write() as session:
        session.execute(update(Connection).values(own_emails=["office@ours.test"]))
    lender.arrive(billed("1", "clerk@OURS.test"))
    lender.arrive(billed("2", "Supplier@Example.com"))
    lender.arrive(billed("3", "clerk@acme.test"))
    assert codes(lender) == {"1": ["own_buyer"], "2": ["own_buyer"], "3": []}


def test_a_domain_that_imitates_another_buyer_s_is_held(lender: World) -> None:
    lender.arrive(billed("1", "ap@globex.test"))
    lender.arrive(billed("2", "ap@g1obex.test"))
    lender.arrive(billed("3", "ap@globex.test"))
    assert codes(lender) == {"1": [], "2": ["lookalike_domain"], "3": []}


def test_a_mailbox_that_anybody_can_have_is_a_signal(lender: World) -> None:
    lender.arrive(billed("1", "globex@gmail.com"))
    assert (codes(lender), lender.holds()) == ({"1": ["free_mail"]}, {"1": None})


@pytest.mark.both_databases("the addresses are kept by an upsert of its own")
def test_an_address_of_several_customers_is_a_signal(lender: World) -> None:
    """Projects and sub-customers of one customer are one."""
    project = a_customer("71", ParentRef={"value": "7"}, PrimaryEmailAddr=None)
    lender.put("Customer", project, a_customer("8"))
    lender.put("Invoice", *[billed(i, "ap@acme.test", c) for i, c in (("1", "7"), ("2", "71"))])
    lender.webhook(an_event("Invoice", "1", "created"), an_event("Invoice", "2", "created"))
    lender.sync()
    assert codes(lender) == {"1": [], "2": []}
    lender.arrive(billed("3", "AP@acme.test", "8"))
    assert codes(lender) == {"1": [], "2": [], "3": ["shared_address"]}
    judge_company(lender.services, lender.connection_id)
    assert set(map(tuple, codes(lender).values())) == {("shared_address",)}


def test_what_another_invoice_changes_is_judged_the_next_day_at_the_latest(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    """A gap that is filled, an address that another customer gets, an older buyer's domain."""
    rules = "number_gap=signal:1,shared_address=signal,lookalike_domain=signal"
    given = {"INFACTOR_PROFILE": "guide", "INFACTOR_RULES": rules}
    with connected(simulator, sqlite_url, **given) as world:
        world.put("Customer", *(a_customer(i, PrimaryEmailAddr=None) for i in ("8", "9")))
        world.arrive(billed("10", "ap@acme.test") | {"DocNumber": "100"})
        world.arrive(billed("11", "ap@acme.test") | {"DocNumber": "104"})
        world.arrive(billed("12", "ap@g1obex.test", "8") | {"DocNumber": "105"})
        world.judge()
        expected = {"10": [], "11": ["number_gap"], "12": []}
        assert codes(world) == expected
        # The numbers between, of a customer with another's address, and of an older customer.
        world.arrive(billed("2", "ap@acme.test", "9") | {"DocNumber": "101"})
        world.arrive(billed("3", "ap@globex.test", "9") | {"DocNumber": "103"})
        found = codes(world)
        assert {id_: found[id_] for id_ in expected} == expected
        with world.services.database.write() as session:  # a day later
            session.execute(update(Connection).values(judged_by=""))
        reads = world.calls()
        world.judge()
        assert codes(world) == {
            "2": ["shared_address"],
            "3": [],
            "10": ["shared_address"],
            "11": ["shared_address"],
            "12": ["lookalike_domain"],
        }
        assert world.calls() == reads


def test_an_approval_soon_after_the_address_was_replaced_is_critical(
    simulator: RunningSimulator, infactors: Database[dict[str, Any]], migrated_url: str
) -> None:
    with connected(simulator, migrated_url, **RULES, **infactor_settings(infactors)) as world:
        delivering = Delivering(world, infactors)
        for quickbooks_id in ("1", "2", "3"):
            delivering.arrive(billed(quickbooks_id, "ap@acme.test"))
        delivering.decide("3", state="invoice_accepted")
        delivering.poll()
        delivering.arrive(billed("1", "new@acme.test"))
        delivering.arrive(billed("2", "AP@acme.test"))
        delivering.arrive(billed("3", "new@acme.test"))
        assert codes(world) == {"1": ["buyer_changed"], "2": [], "3": ["buyer_changed"]}
        delivering.decide("1", state="invoice_accepted")
        delivering.decide("2", state="invoice_accepted")
        delivering.poll()
        found = rule_findings(world)
        assert [(id_, field, severity) for id_, field, severity, _ in found] == [
            ("1", "buyer_changed", "critical")
        ]
        assert found[0][3].startswith("The buyer's address was ap@acme.test until 20")
        assert found[0][3].endswith(", and is new@acme.test since.")
        # What was so when it was approved stays so, though the change grows old.
        with world.services.database.write() as session:
            session.execute(update(Invoice).values(signals=[]))
        delivering.decide("1", state="ifactor_request")
        delivering.poll()
        assert [(id_, field) for id_, field, *_ in rule_findings(world)] == [("1", "buyer_changed")]


def rule_findings(world: World) -> list[tuple[str, str, str, str]]:
    with world.services.database.read() as session:
        rows = session.execute(
            select(Invoice.quickbooks_id, Finding.fields)
            .join(Finding, Finding.invoice_id == Invoice.id)
            .where(Finding.kind == "rule", Finding.closed_at.is_(None))
            .order_by(Invoice.quickbooks_id)
        )
        return [
            (id_, one["field"], one["severity"], one["current"] or "")
            for id_, fields in rows
            for one in fields
        ]
