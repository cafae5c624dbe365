"""A supplier learns nothing about another one, nor what makes them suspect."""

from typing import Any

import pytest
from sqlalchemy import delete, select

from service.database.tables import Connection, Document, Invoice, Revision
from service.kit import exact_json
from tests.web.conftest import OTHER, OURS, Place, a_customer, an_invoice, said
from workers.rejudging import judge_company

SECOND = "second@example.com"


@pytest.fixture
def more_settings() -> dict[str, str]:
    """Every rule about twins and addresses holds."""
    rules = ("duplicate", "duplicate_elsewhere", "own_buyer", "lookalike_domain", "shared_address")
    changes = ",".join(f"{rule}=hold" for rule in (*rules, "free_mail", "buyer_changed"))
    return {"INFACTOR_PROFILE": "guide", "INFACTOR_RULES": changes}


def entered(quickbooks_id: str, day: int, number: str, buyer: str, **fields: Any) -> dict[str, Any]:
    times = {"CreateTime": f"2026-11-{day:02}T10:00:00Z"}
    customer = {"value": "7", "name": buyer}
    return an_invoice(
        quickbooks_id, DocNumber=number, CustomerRef=customer, MetaData=times, **fields
    )


@pytest.fixture
def book() -> dict[str, Any]:
    """Two companies with an invoice for one sale, each with its own spelling; and one alone."""
    secret = a_customer(PrimaryEmailAddr={"Address": "secret.clerk@acme.test"})
    alone = {"TotalAmt": 5.0, "Balance": 5.0, "TxnDate": "2026-11-02"}
    return {
        OURS: {
            "CompanyInfo": {"CompanyName": "Secret Books"},
            "Customer": [secret],
            "Invoice": [entered("61", 1, "SECRET-00777", "Acme, Inc. (secret)")],
        },
        OTHER: {
            "CompanyInfo": {
                "CompanyName": "Other Books",
                "Email": {"Address": "Office@OtherBooks.test, rubbish"},
                "CustomerCommunicationEmailAddr": {"Address": "billing@otherbooks.test"},
            },
            "Customer": [a_customer(PrimaryEmailAddr={"Address": "ap@acme.test"})],
            "Invoice": [
                entered("2", 2, "secret 777", "ACME INC SECRET"),
                entered("3", 3, "Z-9", "Zed", **alone),
            ],
        },
    }


def holds(place: Place) -> dict[str, tuple[str | None, list[Any]]]:
    with place.services.database.read() as session:
        rows = session.execute(select(Invoice.quickbooks_id, Invoice.hold, Invoice.holds))
        return {id_: (hold, kept) for id_, hold, kept in rows}


def everything_shown(place: Place) -> str:
    """Return all that the second supplier gets to see of invoice 2, and of Infactor's own."""
    browser = place.log_in(SECOND)
    address = f"/quickbook/invoices/{place.invoice_id('2')}"
    pages = [
        address,
        f"{address}/live",
        "/quickbook/",
        "/quickbook/live",
        "/quickbook/invoices.csv",
    ]
    shown = [browser.get(page).text for page in pages]
    with place.services.database.read() as session:
        mine = Document.invoice_id == place.invoice_id("2")
        documents = session.scalars(select(Document.document).where(mine)).all()
        changes = session.scalars(
            select(Revision.changes).where(Revision.invoice_id == place.invoice_id("2"))
        ).all()
    return "\n".join([*shown, exact_json.encode([*documents, *changes]).decode()])


def test_a_twin_of_another_supplier_s_shows_nowhere(place: Place) -> None:
    place.connect(place.browser(), place.token(SECOND), OTHER)
    other = place.connections()[0]
    place.imported(other.id)
    before = everything_shown(place)
    place.connect(place.browser())
    ours = place.connections()[1]
    place.imported(ours.id)
    judge_company(place.services, other.id)
    hold, kept = holds(place)["2"]
    assert hold == "duplicate_elsewhere"
    assert kept[0]["figures"]["twin"] == place.invoice_id("61")
    assert holds(place)["3"] == (None, [])
    after = everything_shown(place)
    for shown in (before, after):
        for secret in ("Secret Books", "SECRET-00777", "(secret)", "secret.clerk", ours.id):
            assert secret not in shown
        assert place.invoice_id("61") not in shown
        assert "duplicate" not in shown.casefold()
    assert "another supplier" not in after
    assert "Not in Infactor: under review at Infactor" in said(after)
    assert '"qbkWithdrawn":"review"' in after


def test_a_twin_of_the_supplier_s_own_is_told(place: Place) -> None:
    place.connect(place.browser(), place.token(SECOND), OTHER)
    place.imported(place.connections()[0].id)
    browser = place.log_in(SECOND)
    with place.services.database.write() as session:
        session.execute(delete(Document))
        invoice = session.scalars(select(Invoice).where(Invoice.quickbooks_id == "2")).one()
        invoice.hold, invoice.holds = "duplicate", [{"code": "duplicate", "figures": {}}]
    shown = said(browser.get(f"/quickbook/invoices/{place.invoice_id('2')}").text)
    assert "Not in Infactor: a duplicate in QuickBooks" in shown
    assert "Another invoice in your QuickBooks has the same number" in shown


def test_the_company_s_own_addresses_are_kept_when_it_connects(place: Place) -> None:
    place.connect(place.browser(), place.token(SECOND), OTHER)
    with place.services.database.read() as session:
        kept = session.scalars(select(Connection.own_emails)).all()
    assert kept == [["Office@OtherBooks.test", "billing@otherbooks.test"]]
