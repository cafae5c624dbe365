"""What a supplier's invoices are worth, as the tiles of their page say."""

import re
from decimal import Decimal
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.database.tables import Invoice
from service.domain import RuleCode
from service.infactor.document_lifecycle import MARKER, REMARK
from service.infactor.rules.catalogue import remark
from service.kit.clock import now
from service.kit.exact_json import encode
from service.queries.invoice_totals import Portion, Total, together
from tests.builders import a_finding
from tests.web.conftest import CUSTOMER, OTHER, OURS, Place, an_invoice, said

CANADA = {"CurrencyRef": {"value": "CAD"}}


@pytest.fixture
def book() -> dict[str, Any]:
    """A company with invoices of each kind, in two currencies, and one of another company."""
    invoices = [
        an_invoice("1", TotalAmt=100.0, Balance=100.0),
        an_invoice("2", TotalAmt=250.5, Balance=250.5),
        an_invoice("3", TotalAmt=1000.0, Balance=0.0),  # paid
        an_invoice("4", TotalAmt=70.0, Balance=30.0),  # partly paid
        an_invoice("5", TotalAmt=9.99, Balance=9.99, **CANADA),
        an_invoice("6", TotalAmt=5.0, Balance=5.0),
    ]
    other = [an_invoice("9", TotalAmt=7.0, Balance=7.0)]
    name = {"CompanyInfo": {"CompanyName": "Ours"}, "Customer": [CUSTOMER]}
    return {OURS: {**name, "Invoice": invoices}, OTHER: {**name, "Invoice": other}}


def tiles(browser: TestClient, query: str = "") -> list[str]:
    """Return the text of each tile."""
    page = browser.get(f"/quickbook/{query}").text
    found = re.findall(r'<li class="tile .*?</li>', page, re.DOTALL)
    return [said(one) for one in found]


@pytest.mark.both_databases("the sums are its own")
def test_the_tiles_add_up_each_currency_by_itself(place: Place, browser: TestClient) -> None:
    assert tiles(browser) == [
        "In Infactor 355.50 USD 3 invoices",
        "Waiting for buyer 355.50 USD 3 invoices",
        "Approved 0.00 USD 0 invoices",
        "Not in Infactor 70.00 USD 9.99 CAD 2 invoices",
    ]
    place.decide("1", "invoice_accepted")
    place.decide("2", "ifactor_prepaid")
    withdrawn = {MARKER: RuleCode.PARTLY_PAID.value, REMARK: remark(RuleCode.PARTLY_PAID)}
    place.decide("6", "invoice_rejected", **withdrawn)
    place.do("UPDATE invoices SET hold = 'partly_paid' WHERE quickbooks_id = '6'")
    assert tiles(browser) == [
        "In Infactor 350.50 USD 2 invoices",
        "Waiting for buyer 0.00 USD 0 invoices",
        "Approved 350.50 USD 2 invoices",
        "Not in Infactor 75.00 USD 9.99 CAD 3 invoices",
    ]


@pytest.mark.both_databases("the part of an index is its own")
def test_what_is_in_infactor_and_its_buyer_cannot_see_is_told(
    place: Place, browser: TestClient
) -> None:
    def unseen() -> int:
        return browser.get("/quickbook/?status=unseen").text.count('<a id="row-')

    assert (tiles(browser)[0], unseen()) == ("In Infactor 355.50 USD 3 invoices", 0)
    for column, code, number in (
        ("warnings", "no_buyer_email", "1"),
        ("delivery_warnings", "buyer_not_registered", "2"),
        ("warnings", "no_buyer_email", "4"),  # partly paid, so not there
        ("warnings", "no_due_date", "6"),
    ):
        warning = encode([{"code": code, "field": "", "text": "Fix it"}]).decode()
        place.do(f"UPDATE invoices SET {column} = '{warning}' WHERE quickbooks_id = '{number}'")
    said_of_two = "In Infactor 355.50 USD 3 invoices Buyers can\u2019t see 2 of them yet"
    assert (tiles(browser)[0], unseen()) == (said_of_two, 2)
    assert 'href="/quickbook/?status=unseen">Buyers can' in browser.get("/quickbook/").text
    place.decide("1", "invoice_accepted")
    said_of_one = "In Infactor 355.50 USD 3 invoices Buyers can\u2019t see 1 of them yet"
    assert (tiles(browser)[0], unseen()) == (said_of_one, 1)


def test_what_was_deleted_in_infactor_is_not_there(place: Place, browser: TestClient) -> None:
    for number in ("1", "2"):
        place.decide(number, "invoice_accepted")
    gone = {"kind": "missing", "found_at": now(), "changed_at": now()}
    with place.services.database.write() as session:
        invoice = session.get_one(Invoice, place.invoice_id("1"))
        session.add(a_finding(invoice.id, invoice.connection_id, "critical", **gone))
    assert tiles(browser)[:3] == [
        "In Infactor 255.50 USD 2 invoices",
        "Waiting for buyer 5.00 USD 1 invoice",
        "Approved 250.50 USD 1 invoice",
    ]
    for name, number in (("in-infactor", 2), ("approved", 1)):
        assert browser.get(f"/quickbook/?status={name}").text.count('<a id="row-') == number


@pytest.mark.both_databases("the sums are its own")
def test_what_is_in_another_suppliers_name_is_not_added(place: Place, browser: TestClient) -> None:
    place.do("UPDATE documents SET supplier_id = supplier_id + 7 WHERE invoice_id IN"
             f" ('{place.invoice_id('1')}', '{place.invoice_id('2')}')")  # fmt: skip
    place.do("UPDATE invoices SET hold = 'partly_paid' WHERE quickbooks_id = '1'")
    found = tiles(browser)
    assert found[0] == "In Infactor 5.00 USD 1 invoice"
    assert found[3] == "Not in Infactor 70.00 USD 9.99 CAD 2 invoices"
    # Recorded for a former supplier, and not mapped anew yet.
    place.do("UPDATE invoices SET mapped = NULL, sought = '' WHERE quickbooks_id = '4'")
    assert tiles(browser)[3] == "Not in Infactor 9.99 CAD 1 invoice"


def test_they_are_of_all_companies_or_of_the_one_that_is_chosen(
    place: Place, browser: TestClient
) -> None:
    place.connect(browser, place.token(another_company=True), OTHER)
    second = place.connections()[1].id
    place.imported(second)
    assert tiles(browser)[0] == "In Infactor 362.50 USD 4 invoices"
    assert tiles(browser, f"?company={second}")[0] == "In Infactor 7.00 USD 1 invoice"


def test_each_leads_to_its_list(browser: TestClient) -> None:
    page = browser.get("/quickbook/").text
    for name, number in (
        ("in-infactor", 3),
        ("waiting", 3),
        ("approved", 0),
        ("not-in-infactor", 2),
    ):
        assert f'href="/quickbook/?status={name}"' in page
        assert browser.get(f"/quickbook/?status={name}").text.count('<a id="row-') == number


def test_the_first_view_has_what_is_open_and_a_search_has_everything(browser: TestClient) -> None:
    assert browser.get("/quickbook/").text.count('<a id="row-') == 5
    assert ">103</a>" not in browser.get("/quickbook/").text
    assert ">103</a>" in browser.get("/quickbook/?status=closed").text
    assert ">103</a>" in browser.get("/quickbook/?q=103").text


def test_no_money_is_shown_before_there_is_any(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    assert tiles(browser) == []


def test_no_two_currencies_are_ever_one() -> None:
    def some(*totals: Total) -> dict[Portion, tuple[Total, ...]]:
        return {portion: totals for portion in Portion}

    one = some(Total("", 1, Decimal(1)), Total("usd ", 2, Decimal(2)), Total("EUR", 1, Decimal(4)))
    other = some(Total("CAD", 1, Decimal(8)), Total("USD", 1, Decimal(16)))
    assert together([one, other], "USD")[Portion.WAITING] == (
        Total("USD", 4, Decimal(19)),
        Total("CAD", 1, Decimal(8)),
        Total("EUR", 1, Decimal(4)),
    )
