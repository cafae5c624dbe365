"""What of its invoices a company's card leads to: to fix, changed since decided, not offered."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.database.tables import Document
from service.domain import RuleCode
from service.infactor.document_lifecycle import MARKER, REMARK, is_withdrawn
from service.infactor.rules.catalogue import remark
from tests.web.conftest import CUSTOMER, OTHER, OURS, Place, an_invoice, said
from tests.web.ops.operators import add_finding


@pytest.fixture
def book() -> dict[str, Any]:
    """Five invoices, of which QuickBooks has one paid, and one of another company."""
    paid = an_invoice("5", Balance=0)
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


@pytest.fixture
def browser(place: Place, company: str) -> TestClient:
    """The browser of the supplier whose company was imported."""
    return place.log_in()


def decide(place: Place, number: str, state: str, more: Mapping[str, str] | None = None) -> None:
    with place.services.database.write() as session:
        document = session.get_one(Document, place.invoice_id(number))
        document.state = state
        document.document = {**document.document, "state": state, **(more or {})}
        document.withdrawn = is_withdrawn(document.document)


def withdraw(place: Place, number: str) -> None:
    ours = {MARKER: RuleCode.PAID, REMARK: remark(RuleCode.PAID)}
    decide(place, number, "invoice_rejected", ours)
    place.do(f"UPDATE invoices SET hold = 'paid' WHERE quickbooks_id = '{number}'")


def news(browser: TestClient) -> list[tuple[str, str]]:
    """Return where the cards lead, and in which words."""
    page = browser.get("/quickbook/").text
    found = re.findall(
        r'<li><a id="[^"]+" class="tag \w+" href="/quickbook/(\?[^"]+)">([^<]+)</a></li>', page
    )
    return [(query.replace("&amp;", "&"), words) for query, words in found]


def numbers(browser: TestClient, query: str) -> list[str]:
    page = browser.get(f"/quickbook/{query}").text
    return sorted(re.findall(r'<a id="row-qbk-\w+" [^>]*>([^<]*)</a>', page))


def test_what_is_held_back_is_counted_and_led_to(place: Place, browser: TestClient) -> None:
    assert "5 invoices, 4 in Infactor" in said(browser.get("/quickbook/").text)
    assert news(browser) == [("?status=not-offered", "1 not in Infactor")]
    assert numbers(browser, "?status=not-offered") == ["105"]


def test_what_we_have_withdrawn_is_not_counted_as_in_infactor(
    place: Place, browser: TestClient
) -> None:
    withdraw(place, "1")
    decide(place, "2", "invoice_rejected", {REMARK: "wrong goods"})  # by the buyer: it is there
    assert "5 invoices, 3 in Infactor" in said(browser.get("/quickbook/").text)
    assert news(browser) == [("?status=not-offered", "2 not in Infactor")]
    assert numbers(browser, "?status=not-offered") == ["101", "105"]
    assert numbers(browser, "?status=rejected") == ["102"]


def test_so_it_is_beside_what_is_in_another_name(place: Place, browser: TestClient) -> None:
    withdraw(place, "1")
    place.do("UPDATE documents SET supplier_id = supplier_id + 7 WHERE invoice_id ="
             f" '{place.invoice_id('2')}'")  # fmt: skip
    assert "4 invoices, 2 in Infactor" in said(browser.get("/quickbook/").text)


@pytest.mark.both_databases("the statements are its own")
def test_what_changed_since_it_was_decided_is_marked_and_led_to(
    place: Place, company: str, browser: TestClient
) -> None:
    live = browser.get("/quickbook/").text.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    for number in "12":
        decide(place, number, "invoice_accepted")
    for fields in ({"field": "balance"}, {"field": "invoiceAmount"}):
        add_finding(place, company, "critical", **fields)
    assert ("?status=changed", "1 changed since decided") in news(browser)
    assert numbers(browser, "?status=changed") == ["101"]
    row = said(browser.get("/quickbook/?status=changed").text.split("<tbody")[1])
    assert "Approved changed since then" in row
    assert "changed since then" in said(browser.get(live).text)
    assert browser.get("/quickbook/").text.count("changed since then") == 1
    place.do("UPDATE findings SET closed_at = found_at")
    assert [words for _, words in news(browser)] == ["1 not in Infactor"]


@pytest.mark.parametrize(
    ("severity", "fields"), [("info", {"field": "invoiceNo"}), ("critical", {"kind": "moved_on"})]
)
def test_what_matters_to_nobody_or_to_others_is_not(
    place: Place, company: str, browser: TestClient, severity: str, fields: dict[str, str]
) -> None:
    decide(place, "1", "invoice_accepted")
    add_finding(place, company, severity, **fields)
    assert [words for _, words in news(browser)] == ["1 not in Infactor"]
    assert "changed since then" not in browser.get("/quickbook/").text


def test_each_companys_card_leads_to_its_own(
    place: Place, company: str, browser: TestClient
) -> None:
    place.connect(browser, place.token(another_company=True), OTHER)
    other = place.connections()[1].id
    place.imported(other)
    place.do('UPDATE invoices SET warnings = \'[{"text":"Fix"}]\'')
    assert news(browser) == [
        (f"?status=to-fix&company={company}", "4 to fix"),
        (f"?status=not-offered&company={company}", "1 not in Infactor"),
        (f"?status=to-fix&company={other}", "1 to fix"),
    ]
    assert numbers(browser, f"?status=to-fix&company={other}") == ["109"]


def test_the_card_stays_while_one_searches(browser: TestClient) -> None:
    for query in ("?q=104", "?q=nobody"):
        page = said(browser.get(f"/quickbook/{query}").text)
        assert "5 invoices, 4 in Infactor" in page
        assert "1 not in Infactor" in page


def test_where_there_is_no_news_there_is_no_list(place: Place, browser: TestClient) -> None:
    place.do("UPDATE invoices SET hold = NULL")
    assert news(browser) == []
    assert '<ul class="news">' not in browser.get("/quickbook/").text
