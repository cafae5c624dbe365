"""The page of an invoice that somebody in Infactor has decided about, or has written into."""

from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from service.database.tables import Document, Invoice, Revision
from service.domain import FindingKind, Severity
from service.kit.clock import now
from service.store import findings
from service.store.findings import Found
from tests.web.conftest import Place, said


@pytest.fixture
def browser(place: Place, browser: TestClient) -> TestClient:
    """The browser of a supplier with an invoice that was approved."""
    write(place, state="invoice_accepted")
    return browser


def write(place: Place, **fields: Any) -> None:
    """Let somebody write into Infactor's document of invoice 1."""
    with place.services.database.write() as session:
        document = session.get_one(Document, place.invoice_id("1"))
        document.document = {**document.document, **fields}
        document.state = document.document["state"]


def find(place: Place, *found: Found, kind: FindingKind = FindingKind.CHANGED) -> None:
    """Let exactly this be found about invoice 1."""
    with place.services.database.write() as session:
        connection_id = session.get_one(Invoice, place.invoice_id("1")).connection_id
        about = {place.invoice_id("1"): list(found)}
        findings.keep(session, connection_id, {kind: about}, now())


def page(place: Place, browser: TestClient) -> str:
    """Return what the invoice's page says."""
    answer = browser.get(f"/quickbook/invoices/{place.invoice_id('1')}")
    assert answer.status_code == 200
    return said(answer.text)


def test_what_changed_after_the_approval_is_shown_until_it_is_undone(
    place: Place, browser: TestClient
) -> None:
    heading = "Changed after the decision in Infactor"
    assert heading not in page(place, browser)
    amount = {"severity": Severity.CRITICAL, "approved": "100.00", "current": "60.00"}
    find(place, Found(field="invoiceAmount", state="invoice_accepted", **amount))
    text = page(place, browser)
    assert heading in text
    assert "Amount: 100.00 USD → 60.00 USD (seen " in text
    assert "critical" not in text
    find(place)
    assert heading not in page(place, browser)


def test_a_copy_in_infactor_is_nothing_for_its_supplier(place: Place, browser: TestClient) -> None:
    copy = Found(field="document", severity=Severity.CRITICAL, state="invoice_accepted")
    find(place, copy, kind=FindingKind.DOUBLED)
    assert "Changed after the decision" not in page(place, browser)
    find(place, copy, kind=FindingKind.MISSING)
    assert "Changed after the decision" in page(place, browser)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"field": "invoiceAmount", "approved": "1100.5", "current": "40"},
         "Amount: 1,100.50 EUR → 40.00 CAD (seen"),
        ({"field": "payableDate", "approved": "2026-12-24", "current": ""},
         "Due: 24 Dec 2026 → - (seen"),
        ({"field": "items"}, "Items changed (seen"),
        ({"field": "invoice", "approved": "open", "current": "partly_paid"},
         "Invoice: open → partly paid (seen"),
    ],
)  # fmt: skip
def test_what_changed_is_told_in_words_and_amounts_in_their_currency(
    place: Place, browser: TestClient, fields: dict[str, str], words: str
) -> None:
    place.do("UPDATE documents SET currency = 'EUR'")
    place.do("UPDATE invoices SET currency = 'CAD'")
    find(place, Found(severity=Severity.WARNING, state="invoice_accepted", **fields))
    assert words in page(place, browser)


def test_what_happened_in_quickbooks_is_told_in_words(place: Place, browser: TestClient) -> None:
    changes = {
        "invoiceAmount": ["100.00", "1100.5"],
        "payableDate": ["", "2026-12-24"],
        "items": None,
        "purchaseTitle": ["Quickbook #1", "Quickbook #2"],
        "purchaseAmount": ["123456789.12", 0],
        "purchaseDate": ["2026-11-20", "2026-11-21"],
    }
    with place.services.database.write() as session:
        for revision in session.scalars(select(Revision)):
            revision.changes = changes
    text = page(place, browser)
    assert "Amount: 100.00 → 1,100.50" in text
    assert "Due: - → 24 Dec 2026" in text
    assert "Items changed" in text
    assert "PO title: Quickbook #1 → Quickbook #2" in text
    assert "PO amount: 123,456,789.12 → 0.00" in text
    assert "PO date: 20 Nov 2026 → 21 Nov 2026" in text


@pytest.mark.parametrize(
    "rubbish",
    [
        {"created": "yesterday"},
        {"created": None},
        {"invoiceAmount": "a lot", "items": "none", "taxDetails": 7, "payableDate": 3},
        {"invoiceAmount": {"$gt": ""}, "companyName": ["x"], "invoiceNo": None},
        {"invoiceAmount": 10**30, "taxAmount": -(10**40)},
        {"buyerInvoiceRemark": {"deep": [1, {"er": None}]}, "unknown": "<script>alert(1)</script>"},
    ],
)
def test_whatever_somebody_wrote_into_infactors_document_the_page_can_be_read(
    place: Place, browser: TestClient, rubbish: dict[str, Any]
) -> None:
    write(place, **rubbish)
    assert "Approved" in page(place, browser)
    dashboard = browser.get("/quickbook/")
    assert dashboard.status_code == 200
    assert "<script>alert(1)" not in dashboard.text


def test_what_was_agreed_stays_in_its_currency(place: Place, browser: TestClient) -> None:
    with place.services.database.write() as session:
        session.get_one(Document, place.invoice_id("1")).currency = "USD"
        session.get_one(Invoice, place.invoice_id("1")).currency = "EUR"
    amount = {"severity": Severity.CRITICAL, "approved": "USD", "current": "EUR"}
    find(place, Found(field="currency", state="invoice_accepted", **amount))
    text = page(place, browser)
    assert "Amount in Infactor 100.00 USD Balance due in QuickBooks 100.00 EUR" in text
    assert "100.00 EUR" not in text.replace("Balance due in QuickBooks 100.00 EUR", "")
    cells = said(browser.get("/quickbook/").text)
    assert "100.00 USD 100.00 EUR" in cells
