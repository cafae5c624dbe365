"""The page of one invoice: how it adds up, where its fields come from, and what to fix where."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dramatiq.brokers.stub import StubBroker
from starlette.testclient import TestClient

from service.app import create_app
from service.config.loading import settings_from
from service.guide.chapters import chapter
from service.infactor.document_lifecycle import CONSTANTS, IDENTITY, QUICKBOOKS_OWNED
from service.kit import exact_json
from service.quickbooks.endpoints import invoice_page
from service.services import build_services
from service.web.supplier.invoice_view import Sums, lines_of, sums_of
from tests.web.conftest import CUSTOMER, OURS, PUBLIC_URL, Place, an_invoice, said, settings_of

PAYLOADS = Path(__file__).parents[1] / "payloads"
Shown = Callable[[str], str]


def sale(amount: float) -> dict[str, Any]:
    """Return a sales line of this amount."""
    detail = {"Qty": 1, "UnitPrice": amount}
    return {
        "DetailType": "SalesItemLineDetail",
        "Amount": amount,
        "SalesItemLineDetail": detail,
        "Description": "A <i>thing</i>",
    }


@pytest.fixture
def book() -> dict[str, Any]:
    """A company with an invoice that has a discount and tax, and some that want fixing."""
    lines = [
        sale(100.0),
        {"DetailType": "SubTotalLineDetail", "Amount": 100.0, "SubTotalLineDetail": {}},
        {
            "DetailType": "DiscountLineDetail",
            "Amount": 10.0,
            "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10},
        },
    ]
    invoices = [
        an_invoice(
            "1", Line=lines, TxnDate="2026-10-05", TxnTaxDetail={"TotalTax": 10.0}, TotalAmt=100.0
        ),
        an_invoice("2", Balance=0),
        an_invoice("3", DueDate=None),
        an_invoice("4", Line=[sale(100.03)], TotalAmt=100.0),
    ]
    company = {"CompanyInfo": {"CompanyName": "Ours"}, "Customer": [CUSTOMER]}
    return {OURS: {**company, "Invoice": invoices}}


@pytest.fixture
def page(place: Place) -> Shown:
    """What is on the page of an invoice, by its QuickBooks id."""
    browser = place.browser()
    place.connect(browser)
    place.imported(place.connections()[0].id)
    return lambda number: browser.get(f"/quickbook/invoices/{place.invoice_id(number)}").text


def test_the_date_on_the_invoice_stands_beside_the_one_that_infactor_has(page: Shown) -> None:
    assert "Date on the invoice 5 Oct 2026" in said(page("1"))
    assert "Invoice date in Infactor" in said(page("1"))


def test_lines_discount_and_tax_come_to_the_total(page: Shown) -> None:
    shown = said(page("1"))
    assert "Discount of 10 % \N{MINUS SIGN}10.00" in shown
    assert "Lines in total 90.00 USD Tax in total 10.00 USD Total 100.00 USD" in shown


def test_what_is_in_no_line_is_told(page: Shown) -> None:
    assert (
        "Lines in total 100.03 USD Tax in total 0.00 USD"
        " Not in the lines above, such as rounding \N{MINUS SIGN}0.03 USD Total 100.00 USD"
    ) in said(page("4"))


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.infactor.json")), ids=lambda p: p.stem)
def test_every_payloads_lines_come_to_its_total(path: Path) -> None:
    document = exact_json.decode(path.read_bytes())["document"]
    lines = lines_of(document["items"])
    sums = sums_of(lines, document["taxAmount"], document["invoiceAmount"])
    assert sums is not None
    tax = 0 if sums.tax_inside else sums.tax
    assert sums.lines + tax + sums.rest == document["invoiceAmount"]


def test_a_bundle_counts_once_and_tax_inside_not_at_all() -> None:
    document = exact_json.decode((PAYLOADS / "bundle.infactor.json").read_bytes())["document"]
    assert sums_of(lines_of(document["items"]), Decimal("22.00"), Decimal("269.50")) == Sums(
        Decimal("269.50"), Decimal("22.00"), True, Decimal("0.00")
    )
    assert sums_of([], "x", Decimal(1)) is None


def test_fields_are_folded_away_and_those_without_a_value_apart(page: Shown) -> None:
    folded = page("3").split("<details>")[1:]
    some, none = (re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", part) for part in folded)
    assert {name for name, value in none} >= {"Due", "Goods receipt no."}
    assert {value for _, value in none} == {"-"}
    assert "-" not in {value for _, value in some}
    assert ("Invoice no.", "103") in some
    assert "<dt>Items</dt><dd>as above</dd>" in page("1")
    assert len(some + none) == len({*QUICKBOOKS_OWNED, *IDENTITY, *CONSTANTS})
    assert "<summary>Show all details</summary>" in folded[0]
    assert "<summary>Show empty fields</summary>" in folded[1]


def test_an_adopted_invoice_has_its_documents_own_id(place: Place, page: Shown) -> None:
    number = place.invoice_id("2")
    assert f"Id in Infactor {number}" in said(page("2"))
    place.do(
        f"UPDATE invoices SET adopted = '{'a' * 24}', adopted_as = 'old7' WHERE id = '{number}'"
    )
    shown = said(page("2"))
    assert "Id in Infactor old7" in shown
    assert number not in shown


def test_the_guide_says_of_every_field_where_it_comes_from() -> None:
    guide = chapter("infactor")
    assert guide is not None
    table = guide.text.split("## Where each field comes from")[1].split("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    written = exact_json.decode((PAYLOADS / "typical.infactor.json").read_bytes())["document"]
    assert named == list(written)


def test_a_supplier_reads_no_name_of_quickbooks_api(page: Shown) -> None:
    for number in ("1", "2", "3"):
        words = said(page(number))
        assert not re.search(r"TxnDate|DueDate|BillEmail|DocNumber|CustomerRef|TotalAmt", words)


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ("production", "https://qbo.intuit.com/app/invoice?txnId=145"),
        ("sandbox", "https://sandbox.qbo.intuit.com/app/invoice?txnId=145"),
        ("simulator", None),
    ],
)
def test_an_invoice_is_found_in_quickbooks_itself(environment: Any, address: str | None) -> None:
    assert invoice_page(environment, "145") == address


def test_the_page_leads_to_the_invoice_in_quickbooks_while_it_is_there(
    place: Place, page: Shown
) -> None:
    assert "Open in QuickBooks" not in page("1")
    place.do("UPDATE connections SET environment = 'sandbox'")
    address = f"/quickbook/invoices/{place.invoice_id('1')}"
    with in_sandbox(place) as browser:
        shown = browser.get(address).text
        link = 'href="https://sandbox.qbo.intuit.com/app/invoice?txnId=1" target="_blank"'
        assert link in shown
        place.do(f"UPDATE invoices SET deleted = 1 WHERE id = '{place.invoice_id('1')}'")
        assert "Open in QuickBooks" not in browser.get(address).text


@contextmanager
def in_sandbox(place: Place) -> Iterator[TestClient]:
    """A service for Intuit's sandbox on the same database, and a browser of the supplier there."""
    values = {
        **settings_of("", place.services.settings.database_url.get_secret_value()),
        "QUICKBOOKS_ENVIRONMENT": "sandbox",
        "QUICKBOOKS_SIMULATOR_URL": "",
    }
    services = build_services(settings_from(values), StubBroker())
    app = create_app(services)
    with TestClient(app, base_url=PUBLIC_URL, follow_redirects=False) as browser:
        browser.post(f"/quickbook/view?token={place.token(purpose='view')}")
        yield browser


def test_an_invoices_lines_are_text(page: Shown) -> None:
    assert "A &lt;i&gt;thing&lt;/i&gt;" in page("1")


def test_an_open_page_follows_what_is_fixed(place: Place, page: Shown) -> None:
    shown = page("3")
    assert "Fix this:" in shown
    browser = place.log_in()
    (address,) = re.findall(r'hx-get="([^"]+)"', shown)
    assert re.fullmatch(r"/quickbook/invoices/qbk-\w+/live\?seen=\w{16}", address)
    assert browser.get(address).status_code == 204
    place.do("UPDATE invoices SET warnings = '[]', revision = revision + 1")
    changed = browser.get(address)
    assert changed.status_code == 200
    assert changed.text.startswith('<div id="live" hx-get="/quickbook/invoices/')
    assert "Fix this:" not in changed.text
    assert "Days to payout" in changed.text
    (again,) = re.findall(r'hx-get="([^"]+)"', changed.text)
    assert browser.get(again).status_code == 204


def test_why_it_was_not_offered_is_told_in_the_same_words_everywhere(
    place: Place, page: Shown
) -> None:
    place.do("UPDATE revisions SET hold = 'not_positive'")
    assert "; not in Infactor: total of zero or less" in said(page("2"))


def test_whoever_has_another_currency_is_told_which_is_needed(place: Place, page: Shown) -> None:
    place.do("UPDATE invoices SET hold = 'currency', currency = 'CAD'")
    place.do("DELETE FROM documents")
    assert (
        "Infactor shows amounts in USD only, and this invoice is in another currency. To have it"
        " financed, make it in USD in QuickBooks." in said(page("2"))
    )
