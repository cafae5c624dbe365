"""The page of what needs attention: fixed in QuickBooks, by an invitation, or lately."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.testclient import TestClient

from service.database.types import instant_text
from service.kit.clock import now
from service.kit.exact_json import encode
from service.web.supplier import attention
from tests.web.conftest import CUSTOMER, OURS, Place, an_invoice, said
from tests.web.ops.operators import add_finding

NOBODY = {"value": "8", "name": "Nobody & Sons"}
PAGE = "/quickbook/attention"


@pytest.fixture
def book() -> dict[str, Any]:
    """A company: a sound invoice, and three of a customer with an address that is none."""
    customer = {"Id": "8", "DisplayName": "Nobody & Sons", "Active": True}
    bad = {**customer, "PrimaryEmailAddr": {"Address": "ask@@front desk"}}
    invoices = [
        an_invoice("1"),
        an_invoice("2", CustomerRef=NOBODY),
        an_invoice("3", CustomerRef=NOBODY, DueDate=None),
        an_invoice("4", CustomerRef=NOBODY, Balance=40.0),  # which is held
    ]
    company = {"CompanyInfo": {"CompanyName": "Ours"}, "Customer": [CUSTOMER, bad]}
    return {OURS: {**company, "Invoice": invoices}}


def unregistered(place: Place, number: str) -> None:
    """Let Infactor's database have no buyer with this invoice's address."""
    warning = {"code": "buyer_not_registered", "field": "BillEmail", "text": "Invite them"}
    place.do(
        f"UPDATE invoices SET delivery_warnings = '{encode([warning]).decode()}'"
        f" WHERE quickbooks_id = '{number}'"
    )


def test_what_to_fix_is_grouped_by_customer_and_says_the_bad_value(browser: TestClient) -> None:
    page = said(browser.get(PAGE).text)
    assert "Fix in QuickBooks" in page
    assert page.count("Nobody & Sons") == 1
    assert "Nobody & Sons 2 invoices" in page
    assert re.search(r"No valid e-mail address : ask@@front desk on 10[23] , 10[23]", page)
    assert "No due date on 103" in page
    assert "Invite your buyers" not in page
    assert "104" not in page


def test_an_invoice_without_a_number_is_told_by_its_day_and_amount(
    place: Place, browser: TestClient
) -> None:
    for table, column in (("invoices", "mapped"), ("documents", "document")):
        changed = f"json_set({column}, '$.invoiceNo', '', '$.invoiceDate', '2026-11-20')"
        place.do(f"UPDATE {table} SET {column} = {changed} WHERE {column} ->> 'invoiceNo' = '103'")
    page = said(browser.get(PAGE).text)
    assert "No due date on No number (20 Nov 2026, 100.00 USD)" in page


def test_no_name_of_an_api_is_on_it_nor_on_an_invoice(place: Place, browser: TestClient) -> None:
    for path in (PAGE, f"/quickbook/invoices/{place.invoice_id('3')}", "/quickbook/?status=all"):
        page = said(browser.get(path).text)
        for name in ("BillEmail", "DueDate", "TxnDate", "CustomerRef", "DocNumber", "grnNo"):
            assert name not in page, (path, name)


def test_a_buyer_who_has_not_signed_up_is_to_be_invited(place: Place, browser: TestClient) -> None:
    unregistered(place, "1")
    page = browser.get(PAGE).text
    words = said(page).split("Invite your buyers")[1]
    assert "Buyer Seven 1 invoice buyer@example.com 101" in words
    [mail] = re.findall(r'href="(mailto:[^"]+)"', page)
    assert mail.startswith("mailto:buyer%40example.com?subject=")
    assert "sign up there with this e-mail address, buyer@example.com." in unquote(mail)
    assert "our invoice 101.\r\n\r\nThank you" in unquote(mail)
    assert "Invite them" not in words  # which is for the invoice's own page


def test_a_badge_does_not_contradict_its_warning(place: Place, browser: TestClient) -> None:
    def badges() -> list[str]:
        page = said(browser.get("/quickbook/?status=all&sort=number").text.split("<tbody")[1])
        return [words for words in ("Waiting for buyer", "Buyer can't see it yet") if words in page]

    assert badges() == ["Waiting for buyer", "Buyer can't see it yet"]
    unregistered(place, "1")
    assert badges() == ["Buyer can't see it yet"]
    place.do("UPDATE documents SET state = 'invoice_accepted'")
    page = browser.get("/quickbook/?status=approved").text
    rows = said(page.split("<tbody")[1])
    assert "Approved" in rows
    assert "Buyer can't see it yet" not in rows
    assert "to fix" not in said(page)
    assert "All clear" in browser.get(PAGE).text
    assert "Needs attention 0" in said(page)


def test_what_was_fixed_lately_is_told_and_what_is_wrong_again_is_not(
    place: Place, browser: TestClient
) -> None:
    lately = instant_text(now() - timedelta(minutes=5))
    codes = [{"code": "no_due_date"}, {"code": "no_invoice_number"}]
    place.do(f"UPDATE invoices SET fixed = '{encode(codes).decode()}', fixed_at = '{lately}'")
    page = said(browser.get(PAGE).text).split("Fixed lately")[1]
    assert "Fixed 101 · Buyer Seven Due date added, Invoice number added · 5 minutes ago" in page
    assert "103 · Nobody & Sons Invoice number added · 5 minutes ago · 2 more to fix" in page
    assert "104" not in page
    shown = browser.get(f"/quickbook/invoices/{place.invoice_id('1')}").text
    assert "Fixed ✓ Due date added, Invoice number added." in said(shown)
    place.do(f"UPDATE invoices SET fixed_at = '{instant_text(now() - timedelta(days=8))}'")
    assert "Fixed lately" not in browser.get(PAGE).text
    assert "Fixed ✓" not in browser.get(f"/quickbook/invoices/{place.invoice_id('1')}").text


def test_what_changed_since_a_decision_is_there(
    place: Place, company: str, browser: TestClient
) -> None:
    place.do("UPDATE documents SET state = 'invoice_accepted'")
    add_finding(place, company, "critical", field="invoiceAmount")
    page = said(browser.get(PAGE).text).split("Changed after the decision in Infactor")[1]
    assert "101 Buyer Seven 100.00 USD" in page


def test_an_open_page_follows(place: Place, browser: TestClient) -> None:
    (address,) = re.findall(r'hx-get="([^"]+)"', browser.get(PAGE).text)
    assert browser.get(address).status_code == 204
    unregistered(place, "1")
    assert browser.get(address).text.startswith('<div id="live" hx-get="/quickbook/attention/live')


def test_of_very_many_the_newest_are_grouped_and_the_others_led_to(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "MOST_GROUPED", 1)
    page = browser.get(PAGE).text
    assert "Of the newest 1 invoices." in said(page)
    assert 'href="/quickbook/?status=to-correct"' in page
