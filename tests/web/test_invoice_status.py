"""Where an invoice stands, in the words that its supplier reads."""

import pytest
from starlette.testclient import TestClient

from service.database.tables import Document, Invoice
from service.domain import RuleCode
from service.infactor.document_lifecycle import MARKER, REMARK
from service.infactor.rules.catalogue import remark
from service.web.supplier.invoice_view import InvoiceStatus, status_of, to_fix
from tests.web.conftest import Place, said


def document(state: str, marker: RuleCode | None = None) -> Document:
    """Return Infactor's document in this state; `marker` says that it was withdrawn, and why."""
    ours = {MARKER: marker.value, REMARK: remark(marker)} if marker else {}
    return Document(state=state, document={"state": state, **ours})


@pytest.mark.parametrize(
    ("hold", "found", "wanted"),
    [
        (None, None, InvoiceStatus("On its way to Infactor")),
        ("paid", None, InvoiceStatus("Not in Infactor: paid in QuickBooks", RuleCode.PAID)),
        (None, document("invoice_created"), InvoiceStatus("Approval Awaited")),
        ("paid", document("invoice_accepted"), InvoiceStatus("Approved")),
        ("paid", document("invoice_rejected"), InvoiceStatus("Rejected")),
        (
            "deleted",
            document("invoice_rejected", RuleCode.PARTLY_PAID),
            InvoiceStatus(
                "Not in Infactor: deleted in QuickBooks", RuleCode.DELETED, withdrawn=True
            ),
        ),
        (  # no hold is in force any more, and the documents are left alone
            None,
            document("invoice_rejected", RuleCode.PARTLY_PAID),
            InvoiceStatus(
                "Not in Infactor: partly paid in QuickBooks", RuleCode.PARTLY_PAID, withdrawn=True
            ),
        ),
    ],
)
def test_the_reason_that_counts_is_the_present_one(
    hold: str | None, found: Document | None, wanted: InvoiceStatus
) -> None:
    assert status_of((Invoice(hold=hold), found)) == wanted


@pytest.mark.parametrize(
    ("hold", "codes"),
    [
        (None, ["no_due_date", "unnamed_currency"]),
        ("paid", []),
        ("currency", ["unnamed_currency"]),
    ],
)
def test_of_what_is_not_offered_only_the_reason_is_to_be_fixed(
    hold: str | None, codes: list[str]
) -> None:
    warnings = [{"code": "no_due_date"}, {"code": "unnamed_currency"}]
    invoice = Invoice(hold=hold, warnings=warnings, delivery_warnings=[])
    assert [one["code"] for one in to_fix(invoice)] == codes


@pytest.fixture
def browser(place: Place) -> TestClient:
    """The browser of a supplier whose invoice was withdrawn when partly paid, and then deleted."""
    browser = place.browser()
    place.connect(browser)
    place.imported(place.connections()[0].id)
    with place.services.database.write() as session:
        invoice = session.get(Invoice, place.invoice_id("1"))
        offered = session.get(Document, invoice.id)
        withdrawn = document("invoice_rejected", RuleCode.PARTLY_PAID)
        offered.document = {**offered.document, **withdrawn.document}
        offered.state = withdrawn.state
        invoice.hold = "deleted"
    return browser


def test_the_table_says_why_a_withdrawn_invoice_is_not_offered_now(browser: TestClient) -> None:
    page = said(browser.get("/quickbook/").text)
    assert "Not in Infactor: deleted in QuickBooks" in page
    assert "partly paid" not in page


def test_the_page_of_a_withdrawn_invoice_says_what_infactor_has_and_quickbooks_had(
    place: Place, browser: TestClient
) -> None:
    page = said(browser.get(f"/quickbook/invoices/{place.invoice_id('1')}").text)
    assert (
        "Not in Infactor: deleted in QuickBooks. The invoice was deleted in QuickBooks. There is"
        " nothing to do here. It was in Infactor before. There it shows as rejected, with the"
        " remark “Automatic, from QuickBooks: partly paid, not a decision of"
        " your buyer”." in page
    )
    assert "qbkWithdrawn partly_paid" in page
    assert "History from QuickBooks" in page
    assert "The current Infactor values are shown above." in page
