"""A supplier's list of invoices: searched, filtered, sorted, and a page at a time."""

import re
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from service.database.tables import Invoice
from service.domain import RuleCode
from service.infactor.document_lifecycle import MARKER, REMARK
from service.infactor.rules.catalogue import remark
from service.queries import invoices
from service.queries.invoices import Sort, Wanted
from service.web.supplier.invoice_view import payout
from tests.databases import statements
from tests.web.conftest import CUSTOMER, OTHER, OURS, Place, an_invoice, said


def to(buyer: str) -> dict[str, str]:
    """Return whom an invoice is for."""
    return {"value": "7", "name": buyer}


@pytest.fixture
def book() -> dict[str, Any]:
    """A supplier's company with six invoices that differ in everything."""
    invoices = [
        an_invoice("1", DocNumber="INV-9", CustomerRef=to("Zebra 100% Ltd"), TotalAmt=70.5),
        an_invoice("2", DocNumber="INV-10", CustomerRef=to("apple Co"), DueDate="2030-05-01"),
        an_invoice("3", DocNumber="INV-1", CustomerRef=to("Äpfel"), TotalAmt=1234.56, Balance=0),
        an_invoice("4", DocNumber="A-7", CustomerRef=to("Mango"), DueDate=None, TotalAmt=5),
        an_invoice("5", DocNumber="B-7", CustomerRef=to("Mango"), DueDate="2030-01-01"),
        an_invoice("6", DocNumber="", CustomerRef=to("Pear_Co"), DueDate="2031-01-01"),
    ]
    other = [an_invoice("9", CustomerRef=to("Mango"))]
    return {
        OURS: {"CompanyInfo": {"CompanyName": "Ours"}, "Customer": [CUSTOMER], "Invoice": invoices},
        OTHER: {"CompanyInfo": {"CompanyName": "Other"}, "Customer": [CUSTOMER], "Invoice": other},
    }


@pytest.fixture
def browser(place: Place, browser: TestClient) -> TestClient:
    """The browser of a supplier whose invoices were entered in this order."""
    for number in range(1, 7):
        place.do(f"UPDATE invoices SET created_ms = {number} WHERE quickbooks_id = '{number}'")
    return browser


def numbers(place: Place, browser: TestClient, query: str = "?status=all") -> list[str]:
    """Return the QuickBooks ids of the rows of a page, in their order."""
    page = browser.get(f"/quickbook/{query}")
    assert page.status_code == 200
    with place.services.database.read() as session:
        return [
            session.get_one(Invoice, i).quickbooks_id
            for i in re.findall(r'<a id="row-(qbk-\w+)"', page.text)
        ]


SORTED = {
    "newest": ["6", "5", "4", "3", "2", "1"],
    "number": ["6", "4", "5", "3", "1", "2"],
    "buyer": ["2", "4", "5", "6", "1", "3"],
    "amount": ["3", "6", "5", "2", "1", "4"],
    "due": ["5", "2", "6", "1", "3", "4"],
}


@pytest.mark.both_databases("text sorts and compares differently")
@pytest.mark.parametrize(("sort", "order"), SORTED.items())
def test_a_list_is_in_the_order_that_is_asked_for(
    place: Place, browser: TestClient, sort: str, order: list[str]
) -> None:
    found = numbers(place, browser, f"?status=all&sort={sort}")
    equal = {"amount": {"2", "5", "6"}, "due": {"1", "3"}, "buyer": set()}.get(sort, set())
    assert [n for n in found if n not in equal] == [n for n in order if n not in equal]
    assert sorted(found) == sorted(order)


@pytest.mark.both_databases("text sorts and compares differently")
@pytest.mark.parametrize("sort", SORTED)
def test_every_invoice_is_on_one_page_whichever_way_one_goes(
    place: Place, browser: TestClient, sort: str
) -> None:
    whole = numbers(place, browser, f"?status=all&sort={sort}")
    forward = walked(place, browser, f"?status=all&sort={sort}&size=2", "next")
    assert forward == [whole[0:2], whole[2:4], whole[4:6]]
    backward = walked(place, browser, f"?status=all&sort={sort}&size=2&last=1", "previous")
    assert backward == forward[::-1]


@pytest.mark.both_databases("text sorts and compares differently")
@pytest.mark.parametrize("sort", list(Sort))
def test_a_search_finds_the_same_whether_few_match_or_many(
    place: Place, browser: TestClient, sort: Sort
) -> None:
    [company] = place.connections()
    wanted = Wanted(
        connection_ids=(company.id,), supplier_id=company.supplier_id, words="a", sort=sort
    )

    def ids(few: int, **where: Any) -> tuple[list[str], bool, bool]:
        with place.services.database.read() as session:
            page = invoices.page(session, wanted, 2, few=few, **where)
        return [invoice.quickbooks_id for invoice, _ in page.found], page.earlier, page.later

    every = [place.invoice_id(number) for number in ("1", "2", "4", "5", "6")]
    places: list[dict[str, Any]] = [{}, {"from_end": True}]
    places += [{way: one} for way in ("after", "before") for one in every]
    found = [ids(5, **where) for where in places]
    assert found == [ids(4, **where) for where in places]
    assert sorted({number for numbers, _, _ in found for number in numbers}) == [
        *("1", "2", "4", "5", "6")
    ]


def test_a_search_takes_one_look_at_the_invoices_for_a_page_and_how_many_match(
    place: Place, browser: TestClient
) -> None:
    with statements(place.services.database) as sent:
        page = browser.get("/quickbook/?q=mango&size=1").text
    assert re.findall(r'<a id="row-(qbk-\w+)"', page) == [place.invoice_id("5")]
    assert "2 invoices match" in page
    assert sum("sought LIKE" in one for one in sent) == 1


def test_a_filter_says_how_many_match_beyond_its_page(place: Place, browser: TestClient) -> None:
    page = browser.get("/quickbook/?status=waiting&size=1").text
    assert re.findall(r'<a id="row-(qbk-\w+)"', page) == [place.invoice_id("6")]
    assert "5 invoices match" in page


def walked(place: Place, browser: TestClient, query: str, link: str) -> list[list[str]]:
    """Return what is on each page, following this link from page to page."""
    found = []
    while True:
        found.append(numbers(place, browser, query))
        page = browser.get(f"/quickbook/{query}").text
        further = re.search(rf'id="page-{link}"[^>]* href="/quickbook/(\?[^"]*)"', page)
        if further is None:
            return found
        query = further[1].replace("&amp;", "&")


@pytest.mark.both_databases("text sorts and compares differently")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("inv-1", ["3", "2"]),
        ("INV-10", ["2"]),
        ("mango", ["5", "4"]),
        ("ÄPFEL", ["3"]),
        ("100%", ["1"]),
        ("%", ["1"]),
        ("_", ["6"]),
        ("1,234.56", ["3"]),
        ("$70.50", ["1"]),
        ("5", ["4"]),
        ("'", []),
        ("1e999999999", []),
        ("nothing\x00", []),
    ],
)
def test_a_search_looks_at_number_buyer_and_amount(
    place: Place, browser: TestClient, words: str, found: list[str]
) -> None:
    page = browser.get("/quickbook/", params={"q": words}).text
    assert re.findall(r'<a id="row-(qbk-\w+)"', page) == [place.invoice_id(n) for n in found]


@pytest.mark.both_databases("the statements are its own")
def test_a_filter_shows_what_stands_in_one_of_infactors_states(
    place: Place, browser: TestClient
) -> None:
    place.decide("1", "invoice_accepted")
    place.decide("2", "invoice_rejected")
    place.decide("4", "ifactor_prepaid")
    place.decide("5", "invoice_paid")
    assert numbers(place, browser, "?status=approved") == ["5", "4", "1"]
    assert numbers(place, browser, "?status=rejected") == ["2"]
    assert numbers(place, browser, "?status=in-progress") == ["5", "4"]
    assert numbers(place, browser, "?status=waiting") == ["6"]
    assert numbers(place, browser, "?status=in-progress&q=a-7") == ["4"]


@pytest.mark.both_databases("the statements are its own")
def test_what_we_withdrew_is_not_offered_and_not_rejected(
    place: Place, browser: TestClient
) -> None:
    marks = {MARKER: "paid", REMARK: remark(RuleCode.PAID)}
    place.decide("1", "invoice_rejected", **marks)
    place.do("UPDATE invoices SET hold = 'paid' WHERE quickbooks_id IN ('1', '2')")
    place.decide("2", "invoice_accepted")
    place.do("UPDATE invoices SET balance = 0 WHERE quickbooks_id = '2'")
    assert numbers(place, browser, "?status=not-in-infactor") == ["1"]
    assert numbers(place, browser, "?status=closed") == ["3", "2"]
    assert numbers(place, browser, "?status=rejected") == []
    page = said(browser.get("/quickbook/?status=all").text)
    assert page.count("Not in Infactor: paid in QuickBooks") == 2


@pytest.mark.both_databases("the statements are its own")
def test_a_filter_shows_what_is_to_be_fixed(place: Place, browser: TestClient) -> None:
    place.do("""UPDATE invoices SET delivery_warnings = '[{"text": "Fix"}]'
        WHERE quickbooks_id = '2'""")
    assert numbers(place, browser, "?status=to-fix") == ["6", "4", "2"]


@pytest.mark.both_databases("the statements are its own")
def test_the_form_keeps_what_was_asked_for(browser: TestClient) -> None:
    page = browser.get("/quickbook/?q=a%22%3Cb&status=to-fix&sort=due").text
    assert 'name="q" value="a&#34;&lt;b"' in page
    assert 'aria-current="true">Due, soonest first</a>' in page
    assert re.search(r'<a id="tab-to-fix" [^>]*aria-current="page"', page)


@pytest.mark.both_databases("the statements are its own")
def test_nothing_that_matches_says_so_and_how_to_see_everything(browser: TestClient) -> None:
    page = browser.get("/quickbook/?q=quince&status=approved").text
    assert (
        "No invoice has “quince” as invoice number, buyer or amount and the status “Approved”"
        in said(page)
    )
    assert '<a class="button plain" href="/quickbook/">See open invoices</a>' in page


def test_how_many_match_is_told(place: Place, browser: TestClient) -> None:
    assert "2 invoices match" in browser.get("/quickbook/?q=mango").text
    assert "1 invoice matches" in browser.get("/quickbook/?q=zebra").text


@pytest.mark.both_databases("the statements are its own")
def test_an_open_page_keeps_its_search_order_and_page(place: Place, browser: TestClient) -> None:
    page = browser.get(f"/quickbook/?q=mango&size=1&sort=due&after={place.invoice_id('5')}").text
    address = page.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert address.startswith("/quickbook/live?q=mango&size=1&sort=due&after=qbk-")
    assert browser.get(address).status_code == 204
    place.decide("4", "invoice_accepted")
    changed = browser.get(address).text
    assert re.findall(r'<a id="row-(qbk-\w+)"', changed) == [place.invoice_id("4")]
    assert "Approved" in changed
    assert '<div id="companies" hx-swap-oob="true">' in changed


def test_an_odd_address_is_a_list_all_the_same(place: Place, browser: TestClient) -> None:
    whole = ["6", "5", "4", "3", "2", "1"]
    for query in (
        "&sort=x",
        "&after=%00",
        "&before=qbk-none",
        "&before=qbk-none&size=5",
        "&page=99",
        "&q=%20",
        "&size=0x",
    ):
        size = 5 if "size=5" in query else 6
        assert numbers(place, browser, f"?status=all{query}") == whole[:size], query
    assert numbers(place, browser, "?status=x") == numbers(place, browser, "") != whole


def test_a_search_after_what_was_never_read_begins_at_the_start(
    place: Place, browser: TestClient
) -> None:
    place.do("UPDATE invoices SET total = NULL, sought = '' WHERE quickbooks_id = '1'")
    query = f"?q=mango&sort=amount&after={place.invoice_id('1')}"
    assert sorted(numbers(place, browser, query)) == ["4", "5"]


def test_a_page_begins_after_nobody_elses_invoice(place: Place, browser: TestClient) -> None:
    other = place.browser()
    place.connect(other, place.token("other@example.com"), OTHER)
    place.imported(place.connections()[1].id)
    theirs = place.invoice_id("9")
    place.do("UPDATE invoices SET created_ms = 4 WHERE quickbooks_id = '9'")
    assert numbers(place, browser, f"?status=all&after={theirs}") == ["6", "5", "4", "3", "2", "1"]
    assert numbers(place, browser, "?q=mango") == ["5", "4"]
    assert numbers(place, other, "?q=mango") == ["9"]


@pytest.mark.both_databases("the statements are its own")
def test_invoices_of_several_companies_are_one_list(place: Place, browser: TestClient) -> None:
    place.connect(browser, place.token(another_company=True), OTHER)
    place.imported(place.connections()[1].id)
    place.do("UPDATE invoices SET created_ms = 4, total = 1000000 WHERE quickbooks_id = '9'")
    pages = walked(place, browser, "?status=all&size=3", "next")
    assert sorted(n for page in pages for n in page) == ["1", "2", "3", "4", "5", "6", "9"]
    assert [pages[0][:2], pages[2]] == [["6", "5"], ["1"]]
    assert numbers(place, browser, "?q=mango&sort=buyer") in (["4", "5", "9"], ["9", "4", "5"])


@pytest.mark.both_databases("text sorts and compares differently")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("70.50 USD", ["1"]),
        ("usd 1,234.56", ["3"]),
        ("#INV-10", ["2"]),
        ("Quickbook #inv-9", ["1"]),
        ("quickbook # A-7", ["4"]),
        ("#6", ["6"]),
        ("6", ["6"]),
        ("5", ["4"]),
        ("#", []),
        ("8999999999999", []),
        ("9000000000000", []),
        ("99999999999999", []),
        ("1E+12", []),
    ],
)
def test_what_the_page_itself_writes_can_be_searched_for(
    place: Place, browser: TestClient, words: str, found: list[str]
) -> None:
    assert numbers(place, browser, f"?q={quote(words)}") == found


def test_of_held_invoices_nothing_is_to_fix(place: Place, browser: TestClient) -> None:
    assert numbers(place, browser, "?status=to-fix") == ["6", "4"]
    place.do("UPDATE invoices SET hold = 'paid' WHERE quickbooks_id = '4'")
    assert numbers(place, browser, "?status=to-fix") == ["6"]
    assert " 1 to fix" in said(browser.get("/quickbook/").text)
    assert browser.get("/quickbook/").text.count('<span class="fix">') == 1
    assert "To fix:" not in browser.get(f"/quickbook/invoices/{place.invoice_id('4')}").text
    file = browser.get("/quickbook/invoices.csv?q=a-7").text.splitlines()[1]
    assert "In QuickBooks, open the invoice" not in file


@pytest.mark.both_databases("the statements are its own")
def test_a_row_leads_to_its_invoice_and_that_back_to_the_list_as_it_was(
    place: Place, browser: TestClient
) -> None:
    page = browser.get("/quickbook/?q=mango&sort=buyer&size=1&odd=1").text
    (link,) = re.findall(r'<a id="row-[^"]+" href="([^"]+)"', page)
    path, _, query = link.replace("&amp;", "&").partition("?")
    assert query == "q=mango&size=1&sort=buyer"
    shown = browser.get(f"{path}?{query}&after=x").text
    back = 'href="/quickbook/?q=mango&amp;size=1&amp;sort=buyer&amp;after=x">Back to the list</a>'
    assert back in shown
    assert 'href="/quickbook/">Invoices</a>' in browser.get(path).text


@pytest.mark.parametrize(
    ("ago", "words"), [(-20, "20"), (-1, "1"), (0, "today"), (1, "overdue"), (None, "-")]
)
def test_a_due_date_is_told_with_the_days_to_payout(ago: int | None, words: str) -> None:
    today = date(2026, 11, 26)
    due = "" if ago is None else (today - timedelta(days=ago)).isoformat()
    assert payout(due, today) == words


@pytest.mark.both_databases("the statements are its own")
def test_when_an_invoice_is_due_stands_under_its_days(place: Place, browser: TestClient) -> None:
    row = said(browser.get("/quickbook/?q=INV-10").text.split("<tbody")[1])
    assert re.search(r"100\.00 USD 1 May 2030 [\d,]+ days to payout Waiting for buyer", row)
    held = said(browser.get("/quickbook/?q=INV-1&sort=amount").text.split("<tbody")[1])
    assert re.search(r"0\.00 USD due 1 Dec 2099 Not in Infactor: paid", held)


@pytest.mark.both_databases("the statements are its own")
def test_what_was_decided_in_another_suppliers_name_is_not_in_the_list(
    place: Place, browser: TestClient
) -> None:
    place.do("UPDATE documents SET supplier_id = supplier_id + 7 WHERE invoice_id ="
             f" '{place.invoice_id('5')}'")  # fmt: skip
    assert numbers(place, browser) == ["6", "4", "3", "2", "1"]
    assert numbers(place, browser, "?q=mango") == ["4"]
    assert "1 invoice matches" in browser.get("/quickbook/?q=mango").text
    assert "4 of 5 invoices in Infactor" in said(browser.get("/quickbook/").text)
