"""Invoices as a file for a spreadsheet."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.kit.clock import now
from service.kit.spreadsheet import cell
from tests.web.conftest import CUSTOMER, OURS, Place, an_invoice


@pytest.fixture
def book() -> dict[str, Any]:
    """A company with more invoices than are read at once, one of them negative, one a formula."""
    invoices = [an_invoice(str(n)) for n in range(1, 131)]
    invoices[0] = an_invoice("1", TotalAmt=-12.5, Balance=-12.5)
    invoices[1] = an_invoice("2", CustomerRef={"value": "7", "name": '=HYPERLINK("x","y")'})
    company = {"CompanyInfo": {"CompanyName": 'Ångström & "Söhne"/7'}, "Customer": [CUSTOMER]}
    return {OURS: {**company, "Invoice": invoices}}


def rows(browser: TestClient, query: str = "") -> list[dict[str, str]]:
    """Return the file's rows by their heads."""
    answer = browser.get(f"/quickbook/invoices.csv{query}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_the_file_has_every_invoice_once(browser: TestClient) -> None:
    found = rows(browser)
    assert sorted(int(row["Invoice no."]) for row in found) == sorted(
        int(f"10{n}") for n in range(1, 131)
    )
    assert found[-1].keys() == {
        *("Invoice no.", "Buyer", "Buyer e-mail", "PO title", "Amount", "Currency", "Balance due"),
        *("Invoice date", "Due", "Days to payout", "Status", "To fix", "Company"),
    }


def test_the_file_is_what_the_page_lets_through(browser: TestClient) -> None:
    assert [row["Invoice no."] for row in rows(browser, "?q=10130&sort=due")] == ["10130"]
    assert [row["Status"] for row in rows(browser, "?status=closed")] == [
        "Not in Infactor: total of zero or less in QuickBooks"
    ]
    assert rows(browser, "?q=nothing") == []


def test_a_negative_amount_is_a_number_and_a_formula_is_text(browser: TestClient) -> None:
    by_number = {row["Invoice no."]: row for row in rows(browser)}
    assert Decimal(by_number["101"]["Amount"]) == Decimal("-12.5")
    assert Decimal(by_number["101"]["Balance due"]) == Decimal("-12.5")
    assert by_number["102"]["Buyer"] == '\'=HYPERLINK("x","y")'


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_begins_as_a_formula_does(sign: str) -> None:
    assert cell(f"{sign}1+1") == f"'{sign}1+1"
    assert cell(f"a{sign}1") == (f"a{sign}1" if sign != "\r" else "a\r1")


@pytest.mark.parametrize("text", ["\n1", " =1", "\u00a0@1", "\ufeff+1", "\uff1d1", "\u200b-1"])
def test_nothing_that_a_spreadsheet_overlooks_hides_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_where_a_spreadsheet_splits_at_semicolons_no_cell_begins_as_a_formula() -> None:
    assert cell("a;=HYPERLINK(1); +2;b") == "a;'=HYPERLINK(1);' +2;b"
    assert cell('a;"=1+1;"b";c') == 'a;\'"=1+1;"b";c'


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("x\r\n=1+1", "x\r\n'=1+1"),
        ("x;\n=1", "x;\n'=1"),
        ("x\n\n=1", "x\n\n'=1"),
        ("x\t\n@a", "x\t\n'@a"),
    ],
)
def test_after_several_separators_it_is_the_last_one_that_begins_the_cell(
    text: str, safe: str
) -> None:
    assert cell(text) == safe


@pytest.mark.parametrize("blank", ["\n", ";", ";\t", '"'])
def test_a_text_of_very_many_blanks_is_read_once(blank: str) -> None:
    """From each of them on it would take an hour."""
    assert cell(f"a{blank * 300_000}b") == f"a{blank * 300_000}b"


def test_the_file_begins_with_the_mark_by_which_excel_knows_utf_8(browser: TestClient) -> None:
    assert browser.get("/quickbook/invoices.csv").content.startswith(b"\xef\xbb\xbfInvoice no.,")


def test_the_file_is_named_after_company_and_day(browser: TestClient) -> None:
    today = now().date().isoformat()
    assert browser.get("/quickbook/invoices.csv").headers["content-disposition"] == (
        f'attachment; filename="invoices-ngstrm-Shne-7-{today}.csv"; '
        f"filename*=UTF-8''invoices-%C3%85ngstr%C3%B6m-S%C3%B6hne-7-{today}.csv"
    )


def test_the_page_leads_to_the_file_of_its_own_filter(browser: TestClient) -> None:
    page = browser.get("/quickbook/?q=buyer&sort=due&size=2").text
    assert 'href="/quickbook/invoices.csv?q=buyer&amp;size=2&amp;sort=due" download' in page


def test_nobody_gets_a_file_without_a_session(place: Place) -> None:
    assert place.browser().get("/quickbook/invoices.csv").status_code == 401


def test_amounts_have_their_decimals_and_no_more(browser: TestClient) -> None:
    by_number = {row["Invoice no."]: row for row in rows(browser)}
    assert (by_number["101"]["Amount"], by_number["101"]["Balance due"]) == ("-12.50", "-12.50")
    assert (by_number["103"]["Amount"], by_number["103"]["Balance due"]) == ("100.00", "100.00")
