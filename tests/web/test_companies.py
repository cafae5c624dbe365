"""A supplier with several companies: all their invoices in one list, or those of one."""

import re

import pytest
from starlette.testclient import TestClient

from tests.databases import statements
from tests.web.conftest import OTHER, WITHOUT_NAME, Place, said


@pytest.fixture
def second(place: Place, browser: TestClient) -> str:
    """The connection of a further company of the supplier, with invoice 102."""
    place.connect(browser, place.token(another_company=True), OTHER)
    second = place.connections()[1].id
    place.imported(second)
    return second


def numbers(browser: TestClient, query: str) -> list[str]:
    """Return the numbers of the rows of a page, in their order."""
    page = browser.get(f"/quickbook/{query}")
    assert page.status_code == 200
    return re.findall(r'<a id="row-qbk-\w+" [^>]*>([^<]*)</a>', page.text)


def test_the_list_can_be_of_one_of_them(company: str, second: str, browser: TestClient) -> None:
    assert sorted(numbers(browser, "")) == ["101", "102"]
    assert numbers(browser, f"?company={second}") == ["102"]
    assert numbers(browser, f"?company={company}") == ["101"]
    assert numbers(browser, f"?company={second}&q=101") == []
    page = browser.get(f"/quickbook/?company={second}").text
    assert f'href="/quickbook/?company={second}" aria-current="true">Other Books</a>' in page
    assert "1 invoice matches" in page
    assert f'hx-get="/quickbook/live?company={second}&amp;seen=' in page
    assert "102 Other Books Buyer Seven 100.00 USD" in said(page)


def test_what_needs_attention_is_of_the_company_that_is_chosen(
    place: Place, company: str, second: str, browser: TestClient
) -> None:
    place.do("""UPDATE invoices SET warnings = '[{"code": "no_due_date", "text": "Add one"}]'""")
    every = said(browser.get("/quickbook/attention").text)
    assert "Buyer Seven 1 invoice Other Books No due date on 102" in every
    assert every.count("Buyer Seven 1 invoice") == 2
    page = browser.get(f"/quickbook/?company={second}").text
    assert f'id="tab-to-fix" href="/quickbook/attention?company={second}"' in page
    assert "Needs attention 1" in said(page)
    chosen = browser.get(f"/quickbook/attention?company={second}").text
    assert "Only Other Books Show all companies" in said(chosen)
    assert "Buyer Seven 1 invoice No due date on 102" in said(chosen)
    assert "101" not in said(chosen)
    (address,) = re.findall(r'hx-get="([^"]+)"', chosen)
    assert browser.get(address.replace("&amp;", "&")).status_code == 204
    searched = said(browser.get("/quickbook/?q=102").text)
    assert "Open Needs attention 2 Waiting for buyer Approved" in searched  # not what a tab finds


@pytest.mark.parametrize("query", ["", "?q=101&sort=amount", "?status=to-fix"])
def test_the_page_asks_as_much_however_many_they_are(
    place: Place, browser: TestClient, query: str
) -> None:
    def questions() -> int:
        with statements(place.services.database) as sent:
            assert browser.get(f"/quickbook/{query}").status_code == 200
        return len(sent)

    of_one = questions()
    for realm in (OTHER, WITHOUT_NAME):
        place.connect(browser, place.token(another_company=True), realm)
    assert questions() == of_one > 5


def test_so_can_the_file(second: str, browser: TestClient) -> None:
    page = browser.get(f"/quickbook/?company={second}").text
    assert f'href="/quickbook/invoices.csv?company={second}&amp;status=open" download' in page
    file = browser.get(f"/quickbook/invoices.csv?company={second}")
    assert [line.split(",")[-1] for line in file.text.splitlines()] == ["Company", "Other Books"]
    assert 'filename="invoices-Other-Books-' in file.headers["content-disposition"]


@pytest.mark.parametrize("query", ["&q=nothing", "&status=approved"])
def test_where_nothing_of_it_matches_it_is_named(
    second: str, browser: TestClient, query: str
) -> None:
    page = said(browser.get(f"/quickbook/?company={second}{query}").text)
    assert "No invoice of Other Books has" in page


def test_one_without_invoices_says_so(place: Place, second: str, browser: TestClient) -> None:
    place.do(f"UPDATE invoices SET mapped = NULL, sought = '' WHERE connection_id = '{second}'")
    page = said(browser.get(f"/quickbook/?company={second}").text)
    assert "Other Books has no open invoices." in page
    page = said(browser.get(f"/quickbook/?company={second}&status=all").text)
    assert "Other Books has no invoices yet." in page


@pytest.mark.parametrize("odd", ["qbk-1", "x" * 40, "%27"])
def test_one_that_there_is_not_counts_as_not_said(
    second: str, browser: TestClient, odd: str
) -> None:
    assert len(numbers(browser, f"?company={odd}")) == 2
    assert "match" not in said(browser.get(f"/quickbook/?company={odd}").text)


def test_so_does_another_suppliers(place: Place, browser: TestClient) -> None:
    other = place.browser()
    place.connect(other, place.token("other@example.com"), OTHER)
    theirs = place.connections()[1].id
    place.imported(theirs)
    assert numbers(browser, f"?company={theirs}") == ["101"]
    file = browser.get(f"/quickbook/invoices.csv?company={theirs}").text
    assert len(file.splitlines()) == 2


def test_with_one_company_alone_none_is_named(browser: TestClient) -> None:
    page = browser.get("/quickbook/").text
    assert "101 Buyer Seven 100.00 USD" in said(page)
    assert "choose-company" not in page
