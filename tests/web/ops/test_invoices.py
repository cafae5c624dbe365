"""The operators' search for invoices, and everything known of one."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from service.database.tables import Invoice, Notice, SettlementRow
from tests.store.delivery_rows import DeliveryRows
from tests.web.conftest import Place, said
from tests.web.ops.operators import add_companies, add_finding

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
HOLDS = [
    {"code": "overdue", "figures": {"due": "2026-10-01"}},
    {"code": "too_old", "figures": {"dated": "2026-01-01"}},
]
SIGNALS = [{"code": "backdated", "figures": {"dated": "2026-01-01", "created": "2026-11-01"}}]


@pytest.fixture
def rows(place: Place, company: str) -> DeliveryRows:
    """Invoice 1 is held and signalled, and QuickBooks had reported it."""
    change(place, hold="overdue", holds=HOLDS, signals=SIGNALS)
    with place.services.database.write() as session:
        session.add(
            Notice(
                connection_id=company,
                format="cloudevents",
                entity="Invoice",
                entity_id="1",
                operation="updated",
                status="done",
                webhook_id="d" * 32,
                received_at=AT,
            )
        )
    return DeliveryRows(place.services.database, company)


def change(place: Place, quickbooks_id: str = "1", **values: Any) -> None:
    with place.services.database.write() as session:
        session.execute(
            update(Invoice).where(Invoice.quickbooks_id == quickbooks_id).values(**values)
        )


def found(browser: TestClient, text: str) -> str:
    """Search as an operator does, and return what the list says."""
    answer = browser.post("/ops/invoices", data={"q": text})
    assert answer.status_code == 303
    return said(browser.get(answer.headers["location"]).text)


def test_from_a_number_to_the_reason_in_three_clicks(
    place: Place, rows: DeliveryRows, browser: TestClient
) -> None:
    add_finding(place, rows.connection_id, "critical")
    page = browser.get("/ops/").text
    assert '<a href="/ops/invoices">Invoices</a>' in page
    answer = browser.post("/ops/invoices", data={"q": "101"})
    page = browser.get(answer.headers["location"]).text
    address = f"/ops/invoices/{place.invoice_id('1')}"
    assert f'<a href="{address}">101</a>' in page
    page = said(browser.get(address).text)
    for words in (
        "Invoice 101 (Id 1)",
        "Overdue overdue It was due on 2026-10-01.",
        "Too old too_old It is dated 2026-01-01.",
        "It is dated 2026-01-01, and was entered on 2026-11-01. The supplier does not see this.",
        "Amount: approved 100.00 USD, now 40.00 USD",
        "Backfilled",
        "d" * 32,
    ):
        assert words in page, words


def test_the_original_is_shown_as_it_came_and_never_as_markup(
    place: Place, rows: DeliveryRows, browser: TestClient
) -> None:
    source = {"Id": "1", "PrivateNote": "<script>alert(1)</script>", "TotalAmt": Decimal("1.50")}
    change(place, source=source)
    page = browser.get(f"/ops/invoices/{place.invoice_id('1')}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&#34;TotalAmt&#34;: 1.50" in page


@pytest.mark.both_databases("each compares texts in its own way")
@pytest.mark.parametrize(
    "text", ["101", "1", "buyer sev", "BUYER  Seven", "100", "$100.00", "qbk", "renamed-1"]
)
def test_an_invoice_is_found_by_number_id_buyer_or_amount(
    place: Place, rows: DeliveryRows, browser: TestClient, text: str
) -> None:
    change(place, adopted="5" * 24, adopted_as="renamed-1")
    given = place.invoice_id("1") if text == "qbk" else text
    assert "101 Buyer Seven Our <b>Books</b> 100.00 USD" in found(browser, given)


@pytest.mark.parametrize("text", ["10", "seven", "100.01", "a@b.example", "nobody", "%", "_"])
def test_what_matches_no_invoice_is_said(
    rows: DeliveryRows, browser: TestClient, text: str
) -> None:
    page = found(browser, text)
    assert "No invoice matches" in page
    assert "a@b.example" not in page


def test_without_a_search_there_is_only_the_form(rows: DeliveryRows, browser: TestClient) -> None:
    page = said(browser.get("/ops/invoices").text)
    assert "Search for an invoice" in page
    assert "101" not in page


def test_fifty_invoices_of_a_company_are_a_page(
    place: Place, rows: DeliveryRows, browser: TestClient
) -> None:
    add_companies(place, ["Full", "Empty"])
    others = DeliveryRows(place.services.database, "c0")
    for number in range(1, 53):
        others.invoice(f"9{number}", doc_number=f"F-{number}", created_ms=number)
    page = browser.get("/ops/invoices?company=c0").text
    assert page.count('<th role="rowheader"') == 50
    assert ">F-52</a>" in page
    older = page.split('">Older')[0].rpartition('href="')[2].replace("&amp;", "&")
    last = browser.get(older).text
    assert last.count('<th role="rowheader"') == 2
    assert ">F-1</a>" in last
    assert "No invoice yet" in said(browser.get("/ops/invoices?company=c1").text)


@pytest.mark.parametrize("address", ["nobody", "a%00b", "x" * 40, "..%2f..%2fetc", "%F0%9F%92%A9"])
def test_no_page_of_what_is_no_invoice(
    rows: DeliveryRows, browser: TestClient, address: str
) -> None:
    assert browser.get(f"/ops/invoices/{address}").status_code in (400, 404)
    assert browser.get(f"/ops/invoices?company={address}").status_code == 404


def test_invoices_of_another_environment_are_neither_found_nor_shown(
    place: Place, rows: DeliveryRows, browser: TestClient
) -> None:
    place.do("UPDATE connections SET environment = 'production'")
    assert "No invoice matches" in found(browser, "101")
    assert browser.get(f"/ops/invoices/{place.invoice_id('1')}").status_code == 404


def test_companies_findings_and_approvals_lead_to_the_invoice(
    place: Place, rows: DeliveryRows, browser: TestClient
) -> None:
    add_finding(place, rows.connection_id, "critical")
    link = f'<a href="/ops/invoices/{place.invoice_id("1")}">101</a>'
    assert link in browser.get("/ops/findings").text
    assert link in browser.get(f"/ops/invoices?company={rows.connection_id}").text
    company = browser.get(f"/ops/connections/{rows.connection_id}").text
    assert f'href="/ops/invoices?company={rows.connection_id}"' in company


def test_what_settled_it_is_told_with_its_paper_and_account(
    rows: DeliveryRows, browser: TestClient
) -> None:
    cash = {"payment_id": "9", "source_id": "9", "kind": "cash", "number": "", "dated": ""}
    note = {"payment_id": "9", "source_id": "5", "kind": "credit_note", "number": "CN-5"}
    given = {"paid_on": "2026-11-02", "payer": "Buyer Seven", "read_at": AT}
    with rows.database.write() as session:
        invoice_id = session.scalars(select(Invoice.id).where(Invoice.quickbooks_id == "1")).one()
        for one, amount, account in (
            (cash, "70", "Checking"),
            ({**note, "dated": "2026-11-01"}, "30", "Sales"),
        ):
            session.add(
                SettlementRow(
                    invoice_id=invoice_id,
                    amount=Decimal(amount),
                    share=Decimal(amount),
                    account=account,
                    **given,
                    **one,
                )
            )
    page = said(browser.get(f"/ops/invoices/{invoice_id}").text)
    assert "2 Nov 2026 Cash: 70.00 USD, Buyer Seven, account Checking Id 9" in page
    assert (
        "2 Nov 2026 Credit note CN-5 of 1 Nov 2026: 30.00 USD, Buyer Seven, account Sales"
        " Id 5 applied by payment Id 9" in page
    )
