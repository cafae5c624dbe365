"""What QuickBooks changes after somebody in Infactor has decided: told once, until it is undone."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from service.database.tables import Alert, Finding
from service.infactor.mapping import invoice_id
from service.kit.clock import now
from service.store import findings
from tests.workers.delivering import Delivering
from tests.workers.world import REALM, a_customer, an_invoice
from workers.alerts import open_and_close
from workers.delivery.poll import poll_documents

Told = tuple[str, str, str | None, str | None]

# Before the money has moved to the supplier, and after it.
STATES = (
    "invoice_accepted",
    "ifactor_request",
    "ifactor_proposed",
    "ifactor_proposal_accepted",
    "ifactor_prepaid",
)


def approved(delivering: Delivering, state: str = "invoice_accepted", **fields: Any) -> None:
    """Let an invoice have been approved, or more."""
    delivering.arrive(an_invoice(**fields))
    delivering.decide(state=state)
    poll_documents(delivering.world.services)
    delivering.deliver()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"TotalAmt": 80.25, "Balance": 80.25},
            [
                ("invoiceAmount", "critical", "100", "80.25"),
                ("balance", "critical", "100", "80.25"),
            ],
        ),
        (
            {"TotalAmt": 120.0, "Balance": 120.0},
            [("invoiceAmount", "warning", "100", "120"), ("balance", "info", "100", "120")],
        ),
        (
            {"BillEmail": {"Address": "else@example.com"}},
            [("buyerEmail", "critical", "buyer@example.com", "else@example.com")],
        ),
        (
            {"CustomerRef": {"value": "7", "name": "Someone Else"}},
            [("companyName", "info", "Buyer Seven", "Someone Else")],
        ),
        (
            {"CustomerRef": {"value": "8", "name": "Someone Else"}},
            [
                ("companyName", "critical", "Buyer Seven", "Someone Else"),
                ("buyerEmail", "critical", "buyer@example.com", ""),
                ("customer", "critical", "Id 7", "Id 8"),
            ],
        ),
        ({"CustomerRef": {"value": "7", "name": "Marsh Group:Buyer Seven (deleted)"}}, []),
        ({"BillEmail": {"Address": "BUYER@Example.com"}}, []),
        ({"Balance": 99.99999999999994, "TotalAmt": 99.99999999999999}, []),
        (
            {"CurrencyRef": {"value": "EUR"}},
            [("currency", "critical", "USD", "EUR")],
        ),
        ({"CurrencyRef": {"value": "USD"}}, []),
        ({"DueDate": "2099-12-24"}, [("payableDate", "warning", "2099-12-01", "2099-12-24")]),
        ({"DueDate": "2099-11-24"}, [("payableDate", "info", "2099-12-01", "2099-11-24")]),
        ({"DocNumber": "R-9"}, [("invoiceNo", "info", "101", "R-9")]),
        (
            {"TxnTaxDetail": {"TotalTax": 7.5}},
            [("taxAmount", "info", "0", "7.5"), ("taxDetails", "info", None, None)],
        ),
        (
            {"Line": [{"Id": "1", "Amount": 100, "DetailType": "SalesItemLineDetail"}]},
            [("items", "info", None, None)],
        ),
    ],
    ids=[
        "amount down",
        "amount up",
        "buyer's address",
        "buyer's name",
        "another buyer",
        "the same buyer, as people read it",
        "the same address",
        "the same amounts",
        "currency",
        "currency named",
        "due later",
        "due earlier",
        "number",
        "tax",
        "lines",
    ],
)
def test_each_field_has_its_severity(
    delivering: Delivering, fields: dict[str, Any], told: list[Told]
) -> None:
    approved(delivering)
    delivering.arrive(an_invoice(**fields))
    assert delivering.findings() == told


@pytest.mark.parametrize("state", STATES)
def test_a_payment_is_critical_while_money_may_still_move(
    delivering: Delivering, state: str
) -> None:
    approved(delivering, state)
    delivering.arrive(an_invoice(Balance=40.0))
    assert delivering.findings() == [("balance", "critical", "100", "40")]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("fate", ["void", "deleted"])
def test_a_void_and_a_deletion_are_critical(delivering: Delivering, state: str, fate: str) -> None:
    approved(delivering, state)
    world = delivering.world
    if fate == "void":
        world.void("1")
    else:
        world.delete("Invoice", "1")
    world.hear("Invoice", "1", fate)
    delivering.deliver()
    assert ("invoice", "critical", "open", fate) in delivering.findings()


@pytest.mark.parametrize(
    "state",
    ["invoice_rejected", "ifactor_rejected", "ifactor_proposal_rejected", "invoice_paid"],
)
def test_once_no_money_can_move_all_is_information(delivering: Delivering, state: str) -> None:
    approved(delivering, state)
    delivering.arrive(an_invoice(TotalAmt=80.0, Balance=0.0, DueDate="2027-01-01"))
    assert {severity for _, severity, _, _ in delivering.findings()} == {"info"}


def test_a_customer_with_another_address_is_another_buyer(delivering: Delivering) -> None:
    approved(delivering, CustomerRef={"value": "7"})
    world = delivering.world
    fixed = {"PrimaryEmailAddr": {"Address": "new@example.com"}}
    world.put("Customer", a_customer(SyncToken="1", **fixed))
    world.hear("Customer", "7", "updated")
    delivering.deliver()
    assert delivering.findings() == [
        ("buyerEmail", "critical", "buyer@example.com", "new@example.com")
    ]


def test_one_finding_for_another_customer_however_often_it_is_delivered(
    delivering: Delivering,
) -> None:
    approved(delivering)
    for number in ("1", "2"):
        another = {"CustomerRef": {"value": "8", "name": "Buyer Seven"}, "DocNumber": number}
        delivering.arrive(an_invoice(BillEmail={"Address": "buyer@example.com"}, **another))
    found = {row[0]: row[1:] for row in delivering.findings()}
    assert found["customer"] == ("critical", "Id 7", "Id 8")
    assert found.keys() == {"customer", "invoiceNo"}
    delivering.arrive(an_invoice())
    assert delivering.findings() == []


@pytest.mark.both_databases("the statements are its own")
def test_one_finding_for_a_change_however_often_it_is_delivered(delivering: Delivering) -> None:
    approved(delivering)
    delivering.arrive(an_invoice(DueDate="2099-12-24"))
    (first,) = delivering.finding_rows()
    delivering.arrive(an_invoice(DueDate="2099-12-24", DocNumber="9"))
    delivering.arrive(an_invoice(DueDate="2026-12-31", DocNumber="9"))
    (one,) = delivering.finding_rows()
    assert (one.id, one.found_at) == (first.id, first.found_at)
    assert one.changed_at > first.changed_at
    assert delivering.findings() == [
        ("invoiceNo", "info", "101", "9"),
        ("payableDate", "info", "2099-12-01", "2026-12-31"),
    ]
    assert len(delivering.receipts()) == 5


@pytest.mark.both_databases("the statements are its own")
def test_what_is_reverted_in_quickbooks_closes_and_stays_in_the_history(
    delivering: Delivering,
) -> None:
    approved(delivering)
    delivering.arrive(an_invoice(TotalAmt=80.0, Balance=80.0, DocNumber="9"))
    delivering.arrive(an_invoice(DocNumber="9"))
    assert delivering.findings() == [("invoiceNo", "info", "101", "9")]
    delivering.arrive(an_invoice())
    assert delivering.findings() == []
    assert delivering.findings(history=True) == [("invoiceNo", "info", "101", "9")]
    delivering.arrive(an_invoice(TotalAmt=80.0, Balance=80.0))
    assert [f.closed_at is None for f in delivering.finding_rows()] == [False, True]


def test_a_deleted_invoice_whose_amounts_had_changed_is_one_finding(delivering: Delivering) -> None:
    approved(delivering)
    delivering.arrive(an_invoice(TotalAmt=80.0, Balance=80.0, DocNumber="9"))
    delivering.world.delete("Invoice", "1")
    delivering.world.hear("Invoice", "1", "deleted")
    delivering.deliver()
    (finding,) = delivering.finding_rows()
    assert (finding.kind, finding.severity) == ("changed", "critical")
    assert delivering.findings() == [
        ("invoice", "critical", "open", "deleted"),
        ("invoiceNo", "info", "101", "9"),
        ("invoiceAmount", "critical", "100", "80"),
        ("balance", "critical", "100", "80"),
    ]


def acknowledged(delivering: Delivering) -> bool:
    """Acknowledge the one finding, and return whether it is."""
    (finding,) = delivering.finding_rows()
    with delivering.world.services.database.write() as session:
        findings.acknowledge(session, finding.id, "simulator", "called", now())
    return still_acknowledged(delivering)


def still_acknowledged(delivering: Delivering) -> bool:
    (finding,) = delivering.finding_rows()
    return finding.acknowledged_at is not None


def test_only_what_is_as_serious_undoes_an_acknowledgement(delivering: Delivering) -> None:
    approved(delivering)
    delivering.arrive(an_invoice(Balance=40.0))
    assert acknowledged(delivering)
    delivering.arrive(an_invoice(Balance=40.0, DocNumber="9"))
    assert still_acknowledged(delivering)
    delivering.arrive(an_invoice(Balance=30.0, DocNumber="9"))
    assert not still_acknowledged(delivering)
    assert acknowledged(delivering)
    delivering.arrive(an_invoice(Balance=30.0, BillEmail={"Address": "else@example.com"}))
    assert not still_acknowledged(delivering)


def test_what_changes_before_the_approval_is_no_finding(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(TotalAmt=80.0, Balance=80.0))
    poll_documents(delivering.world.services)
    assert delivering.findings() == []


def test_critical_ones_are_alerts_until_they_are_over(delivering: Delivering) -> None:
    world = delivering.world
    approved(delivering)
    delivering.arrive(an_invoice(TotalAmt=80.0, Balance=80.0))
    for _ in range(2):
        open_and_close(world.services)
    with world.services.database.read() as session:
        (alert,) = session.scalars(select(Alert)).all()
        since = session.scalars(select(Finding.found_at).order_by(Finding.id)).first()
    assert (alert.cause, alert.subject) == ("finding.critical", world.connection_id)
    assert alert.page == f"/ops/invoices/{invoice_id(REALM, '1')}"
    assert (alert.severity, alert.since, alert.ended_at) == ("critical", since, None)
    delivering.arrive(an_invoice())
    open_and_close(world.services)
    with world.services.database.read() as session:
        (over,) = session.scalars(select(Alert)).all()
    assert over.ended_at is not None
    assert now() - over.ended_at < timedelta(minutes=5)
