"""What the tabs count and lead to: what needs attention, and what is not in Infactor."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.domain import RuleCode
from service.infactor.document_lifecycle import MARKER, REMARK
from service.infactor.rules.catalogue import remark
from tests.web.conftest import CUSTOMER, OTHER, OURS, Place, an_invoice, said
from tests.web.ops.operators import add_finding


@pytest.fixture
def book() -> dict[str, Any]:
    """Five invoices, of which QuickBooks has one partly paid, and one of another company."""
    paid = an_invoice("5", Balance=40)
    return {
        OURS: {
            "CompanyInfo": {"CompanyName": "Our Books"},
            "Customer": [CUSTOMER],
            "Invoice": [*(an_invoice(number) for number in "1234"), paid],
        },
        OTHER: {
            "CompanyInfo": {"CompanyName": "Other Books"},
            "Customer": [CUSTOMER],
            "Invoice": [an_invoice("9")],
        },
    }


def withdraw(place: Place, number: str) -> None:
    ours = {MARKER: RuleCode.PAID, REMARK: remark(RuleCode.PAID)}
    place.decide(number, "invoice_rejected", **ours)
    place.do(f"UPDATE invoices SET hold = 'paid' WHERE quickbooks_id = '{number}'")


def tabs(browser: TestClient, query: str = "") -> dict[str, str]:
    """Return {words of a tab: its count}."""
    page = browser.get(f"/quickbook/{query}").text
    tab = r'<a id="tab-[\w-]+"[^>]*>([^<]*?) <span class="count">([^<]*)</span></a>'
    return dict(re.findall(tab, page))


def numbers(browser: TestClient, query: str) -> list[str]:
    page = browser.get(f"/quickbook/{query}").text
    return sorted(re.findall(r'<a id="row-qbk-\w+" [^>]*>([^<]*)</a>', page))


def test_what_is_held_back_is_counted_and_led_to(place: Place, browser: TestClient) -> None:
    assert "4 of 5 invoices in Infactor" in said(browser.get("/quickbook/").text)
    assert tabs(browser) == {
        "Open": "5",
        "Needs attention": "0",
        "Waiting for buyer": "4",
        "Approved": "0",
        "Not in Infactor": "1",
        "Paid or void": "0",
    }
    assert numbers(browser, "?status=not-in-infactor") == ["105"]


def test_what_we_have_withdrawn_is_not_counted_as_in_infactor(
    place: Place, browser: TestClient
) -> None:
    withdraw(place, "1")
    place.decide("2", "invoice_rejected", **{REMARK: "wrong goods"})  # by the buyer: it is there
    assert "3 of 5 invoices in Infactor" in said(browser.get("/quickbook/").text)
    assert tabs(browser)["Not in Infactor"] == "2"
    assert numbers(browser, "?status=not-in-infactor") == ["101", "105"]
    assert numbers(browser, "?status=rejected") == ["102"]


def test_so_it_is_beside_what_is_in_another_name(place: Place, browser: TestClient) -> None:
    withdraw(place, "1")
    place.do("UPDATE documents SET supplier_id = supplier_id + 7 WHERE invoice_id ="
             f" '{place.invoice_id('2')}'")  # fmt: skip
    assert "2 of 4 invoices in Infactor" in said(browser.get("/quickbook/").text)


@pytest.mark.both_databases("the statements are its own")
def test_what_changed_since_it_was_decided_is_marked_and_led_to(
    place: Place, company: str, browser: TestClient
) -> None:
    live = browser.get("/quickbook/").text.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    for number in "12":
        place.decide(number, "invoice_accepted")
    for fields in ({"field": "balance"}, {"field": "invoiceAmount"}):
        add_finding(place, company, "critical", **fields)
    assert tabs(browser)["Needs attention"] == "1"
    assert numbers(browser, "?status=changed") == ["101"]
    row = said(browser.get("/quickbook/?status=changed").text.split("<tbody")[1])
    assert "Approved changed since then" in row
    assert "changed since then" in said(browser.get(live).text)
    assert browser.get("/quickbook/").text.count("changed since then") == 1
    place.do("UPDATE findings SET closed_at = found_at")
    assert tabs(browser)["Needs attention"] == "0"


@pytest.mark.parametrize(
    ("severity", "fields"), [("info", {"field": "invoiceNo"}), ("critical", {"kind": "moved_on"})]
)
def test_what_matters_to_nobody_or_to_others_is_not(
    place: Place, company: str, browser: TestClient, severity: str, fields: dict[str, str]
) -> None:
    place.decide("1", "invoice_accepted")
    add_finding(place, company, severity, **fields)
    assert tabs(browser)["Needs attention"] == "0"
    assert "changed since then" not in browser.get("/quickbook/").text


def test_the_tabs_are_of_the_company_that_is_chosen(
    place: Place, company: str, browser: TestClient
) -> None:
    place.connect(browser, place.token(another_company=True), OTHER)
    other = place.connections()[1].id
    place.imported(other)
    place.do('UPDATE invoices SET warnings = \'[{"text":"Fix"}]\'')
    assert tabs(browser)["Needs attention"] == "5"
    assert tabs(browser, f"?company={company}")["Needs attention"] == "4"
    assert tabs(browser, f"?company={other}")["Needs attention"] == "1"
    assert numbers(browser, f"?status=to-fix&company={other}") == ["109"]


def test_the_tabs_stay_while_one_searches(browser: TestClient) -> None:
    for query in ("?q=104", "?q=nobody"):
        page = said(browser.get(f"/quickbook/{query}").text)
        assert "4 of 5 invoices in Infactor" in page
        assert "Not in Infactor 1" in page
