"""Where an invoice stands, in the words that its supplier reads."""

import pytest
from sqlalchemy import delete
from starlette.testclient import TestClient

from service.database.tables import Document, Invoice, Revision
from service.domain import RuleCode
from service.infactor.document_lifecycle import MARKER, REMARK
from service.infactor.rules.catalogue import remark
from service.web.supplier.invoice_view import InvoiceStatus, entries_of, status_of, to_fix
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
        (None, document("invoice_created"), InvoiceStatus("Waiting for buyer")),
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
    assert [one["code"] for one in to_fix((invoice, None))] == codes


@pytest.fixture
def browser(place: Place, browser: TestClient) -> TestClient:
    """The browser of a supplier whose invoice was withdrawn when partly paid, and then deleted."""
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
    assert "qbkWithdrawn" not in page
    assert "History from QuickBooks" in page
    assert "The current Infactor values are shown above." in page


def reasons(*codes: RuleCode) -> list[dict[str, object]]:
    return [{"code": code.value, "figures": {}} for code in codes]


PRIVATE, NOT_SENT, OVERDUE = RuleCode.OWN_BUYER, RuleCode.NOT_SENT, RuleCode.OVERDUE


def test_what_makes_a_supplier_suspect_hides_nothing_that_they_can_fix(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    place.imported(place.connections()[0].id)
    with place.services.database.write() as session:
        session.execute(delete(Document))
        invoice = session.get(Invoice, place.invoice_id("1"))
        invoice.holds = reasons(PRIVATE, NOT_SENT, RuleCode.BACKDATED, OVERDUE)
        invoice.hold = PRIVATE.value
    page = said(browser.get(f"/quickbook/invoices/{invoice.id}").text)
    told = [
        "Not in Infactor: never sent in QuickBooks. This invoice was not sent to your customer",
        "Not in Infactor: overdue in QuickBooks. This invoice is overdue.",
        "Not in Infactor: under review at Infactor. Infactor is checking this invoice.",
    ]
    assert [page.count(words) for words in told] == [1, 1, 1]
    assert "Not in Infactor: never sent in QuickBooks" in said(browser.get("/quickbook/").text)
    with place.services.database.write() as session:
        invoice = session.get(Invoice, place.invoice_id("1"))
        invoice.holds = reasons(PRIVATE, RuleCode.BACKDATED)
    page = said(browser.get(f"/quickbook/invoices/{invoice.id}").text)
    assert page.count("Infactor is checking this invoice") == 1
    assert "own" not in page.partition("History from")[0].split("Infactor is checking")[0]


def test_the_history_tells_of_rules_only_what_is_news_to_the_supplier() -> None:
    """The newest is the first."""

    def revision(number: int, cause: str, *codes: RuleCode) -> Revision:
        hold = codes[0].value if codes else None
        return Revision(number=number, cause=cause, hold=hold, holds=reasons(*codes))

    history = [
        revision(8, "rules", OVERDUE),  # a signal has come
        revision(7, "rules", OVERDUE),
        revision(6, "rules", PRIVATE, NOT_SENT),
        revision(5, "rules", PRIVATE, NOT_SENT, OVERDUE),
        revision(4, "notice", NOT_SENT),
        revision(3, "rules"),  # a signal again
        revision(2, "notice"),
        revision(1, "backfill"),
    ]
    assert [(one.revision.number, one.reason) for one in entries_of(history, 8)] == [
        (7, "overdue"),
        (4, "never sent"),
        (2, ""),
        (1, ""),
    ]
    # The last one shown is compared with the one before it.
    assert [one.revision.number for one in entries_of(history[:2], 1)] == []


def test_a_long_history_is_cut_and_says_so(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    place.imported(place.connections()[0].id)
    with place.services.database.write() as session:
        first = session.get(Revision, (place.invoice_id("1"), 1))
        same = {column.key: getattr(first, column.key) for column in Revision.__table__.columns}
        for number in range(2, 61):
            again = {"number": number, "sequence": 100 + number, "cause": "notice"}
            session.add(Revision(**{**same, **again}))
    page = said(browser.get(f"/quickbook/invoices/{place.invoice_id('1')}").text)
    assert page.count("QuickBooks reported a change (version") == 50
    assert "Older changes are not shown." in page
