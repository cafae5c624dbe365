"""The operators' page of what each buyer owes."""

import csv
import io

import pytest
from starlette.testclient import TestClient

from tests.store.delivery_rows import DeliveryRows
from tests.web.conftest import Place, said
from tests.web.ops.operators import add_companies


def test_what_each_buyer_owes_with_a_bar_that_is_told_in_words(
    place: Place, company: str, browser: TestClient
) -> None:
    place.do("UPDATE invoices SET due_key = '2020-01-01'")
    page = browser.get("/ops/ledger").text
    assert "Buyer Seven Id 7 Our <b>Books</b> 100.00 USD" in said(page)
    assert 'role="img" aria-label="over 90: 100.00 USD"' in page
    assert '<rect class="a5" x="0.0" y="0" width="100.0" height="10"/>' in page
    assert "it cannot tell them apart" in said(page).replace("this figure", "it")
    assert '<a href="/ops/ledger">Ledger</a>' in browser.get("/ops/").text
    of_buyer = page.split('">Buyer Seven</a>')[0].rpartition('href="')[2].replace("&amp;", "&")
    assert "q=Buyer%20Seven" in of_buyer
    assert "100.00 USD" in said(browser.get(of_buyer).text)


def test_the_file_has_every_buyer_and_no_formula(
    place: Place, company: str, browser: TestClient
) -> None:
    place.do("""UPDATE invoices SET mapped = '{"companyName":"=1+1"}'""")
    answer = browser.get("/ops/ledger.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff")))
    assert (row["buyer"], row["open"], row["share"]) == ("'=1+1", "100.000000", "1.0000")


def test_fifty_buyers_are_a_page_and_a_company_has_its_own(
    place: Place, company: str, browser: TestClient
) -> None:
    add_companies(place, ["Many", "Empty"])
    rows = DeliveryRows(place.services.database, "c0")
    for number in range(51):
        rows.invoice(str(number), customer_id=str(number))
    page = browser.get("/ops/ledger?company=c0").text
    assert page.count('<th role="rowheader"') == 50
    turned = page.split('">Next page')[0].rpartition('href="')[2].replace("&amp;", "&")
    assert browser.get(turned).text.count('<th role="rowheader"') == 1
    assert "No invoice yet" in said(browser.get("/ops/ledger?company=c1").text)
    assert "No more buyers" in said(browser.get("/ops/ledger?company=c0&page=9").text)


@pytest.mark.parametrize("address", ["/ops/ledger?company=nobody", "/ops/ledger.csv?company=a%00b"])
def test_an_unknown_company_has_no_ledger(
    place: Place, company: str, browser: TestClient, address: str
) -> None:
    assert browser.get(address).status_code == 404
