"""The supplier's own pages: what they show, and to whom."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from starlette.testclient import TestClient

from service.database.tables import Document, Notice
from service.database.types import instant_text
from service.infactor.wording import label
from service.kit.clock import now
from service.web import templating
from tests.web.conftest import CUSTOMER, OTHER, OURS, Place, an_invoice, said


@pytest.fixture
def book() -> dict[str, Any]:
    """One supplier's company with one invoice of each kind, and another supplier's."""
    invoices = [
        an_invoice("1", DueDate="2020-01-01"),
        an_invoice("2", Balance=0),
        an_invoice("3", Balance=40.5),
        an_invoice("4", CurrencyRef={"value": "CAD"}),
        an_invoice("5", DocNumber=None, CustomerRef={"value": "7", "name": "A <b> & Co"}),
    ]
    return {
        OURS: {
            "CompanyInfo": {"CompanyName": "Our Books"},
            "Customer": [CUSTOMER],
            "Invoice": invoices,
        },
        OTHER: {
            "CompanyInfo": {"CompanyName": "Other Books"},
            "Customer": [CUSTOMER],
            "Invoice": [an_invoice("9")],
        },
    }


def cells(page: str, quickbooks_number: str) -> list[str]:
    """Return the texts of one invoice's row."""
    row = next(r for r in page.split("<tr ")[1:] if f">{quickbooks_number}</a>" in r)
    found = re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
    return [" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in found]


def test_the_table_has_the_columns_of_infactors_dashboard(browser: TestClient) -> None:
    page = browser.get("/quickbook/").text
    assert cells(page, "101") == [
        "101",
        "Buyer Seven",
        "100.00 USD",
        "1 Jan 2020 overdue",
        "Waiting for buyer",
    ]


def test_an_invoice_that_is_held_back_says_why_in_place_of_a_status(browser: TestClient) -> None:
    page = browser.get("/quickbook/?status=all").text
    assert cells(page, "102")[-1] == "Not in Infactor: paid in QuickBooks"
    assert cells(page, "103")[-1] == "Not in Infactor: partly paid in QuickBooks"
    assert cells(page, "104")[2] == "100.00 CAD"
    assert cells(page, "104")[-1] == "Not in Infactor: another currency in QuickBooks"


def test_text_from_quickbooks_is_never_markup(browser: TestClient) -> None:
    page = browser.get("/quickbook/").text
    assert "A &lt;b&gt; &amp; Co" in page
    assert "A <b>" not in page


def test_what_is_to_be_fixed_is_counted_in_the_table_and_told_on_the_page(
    place: Place, browser: TestClient
) -> None:
    assert cells(browser.get("/quickbook/").text, "No number")[-1] == "Waiting for buyer 1 to fix"
    page = browser.get(f"/quickbook/invoices/{place.invoice_id('5')}").text
    assert "This invoice has no number. In QuickBooks, open the invoice" in page


def test_the_newest_invoice_stands_first(place: Place, browser: TestClient) -> None:
    place.do("UPDATE invoices SET created_ms = 10 + quickbooks_id")
    page = browser.get("/quickbook/?status=all").text
    order = [page.index(f"/invoices/{place.invoice_id(i)}") for i in ("5", "4", "3", "2", "1")]
    assert order == sorted(order)


def test_fifty_invoices_are_a_page(place: Place) -> None:
    many = [an_invoice(str(100 + n)) for n in range(101)]
    place.sim("PUT", f"/companies/{OURS}/Invoice", many)
    browser = place.browser()
    place.connect(browser)
    place.imported(place.connections()[0].id)
    page = browser.get("/quickbook/").text
    assert page.count('<a id="row-') == 50
    assert 'id="page-next"' in page
    assert 'id="page-previous"' not in page
    last = browser.get("/quickbook/?last=1").text
    assert last.count('<a id="row-') == 50
    assert 'id="page-next"' not in last
    assert 'id="page-previous"' in last
    oldest = re.findall(r'<a id="row-(qbk-\w+)"', last)[-1]
    assert "There are no more invoices" in browser.get(f"/quickbook/?after={oldest}").text


def test_an_open_page_is_updated_only_when_something_changed(
    place: Place, browser: TestClient
) -> None:
    page = browser.get("/quickbook/").text
    address = page.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert browser.get(address).status_code == 204
    place.do("UPDATE documents SET state = 'invoice_accepted'")
    changed = browser.get(address)
    assert changed.status_code == 200
    assert changed.text.startswith('<div id="live"')
    assert cells(changed.text, "101")[-1] == "Approved"


def test_an_open_page_learns_that_its_session_has_ended(place: Place, browser: TestClient) -> None:
    place.do("DELETE FROM sessions")
    answer = browser.get("/quickbook/live", headers={"hx-request": "true"})
    assert answer.status_code == 401
    assert answer.headers["hx-refresh"] == "true"


def test_the_page_of_an_invoice_shows_every_mapped_field(place: Place, browser: TestClient) -> None:
    page = browser.get(f"/quickbook/invoices/{place.invoice_id('1')}").text
    for name in ("invoiceNo", "payableDate", "companyEmail", "supplierEmail", "grnNo", "created"):
        assert f"<dt>{escape(label(name))}</dt>" in page
    assert "All details sent to Infactor" in page
    assert "Imported (version 1)" in page


def test_the_page_of_an_invoice_says_when_it_was_created_in_words(
    place: Place, browser: TestClient
) -> None:
    with place.services.database.write() as session:
        document = session.get(Document, place.invoice_id("1"))
        document.document = {**document.document, "created": 1795299898000}
    page = browser.get(f"/quickbook/invoices/{place.invoice_id('1')}").text
    moment = '<time datetime="2026-11-21T22:24:58+00:00" title="21 Nov 2026, 22:24:58 UTC">'
    assert f"{moment}21 Nov 2026, 22:24 UTC</time>" in page
    assert "1795299898000" not in page


@pytest.mark.parametrize(("lines", "words"), [([], "-"), ([{}, {}], "as above")])
def test_the_page_of_an_invoice_does_not_count_its_lines(
    place: Place, browser: TestClient, lines: list[Any], words: str
) -> None:
    with place.services.database.write() as session:
        document = session.get(Document, place.invoice_id("1"))
        document.document = {**document.document, "items": lines}
    page = browser.get(f"/quickbook/invoices/{place.invoice_id('1')}").text
    assert f"<dt>Items</dt><dd>{words}</dd>" in page


def test_an_address_breaks_after_its_signs_alone(place: Place, browser: TestClient) -> None:
    page = browser.get(f"/quickbook/invoices/{place.invoice_id('1')}").text
    assert "<dt>Supplier&#39;s e-mail address</dt><dd>supplier@<wbr>example.<wbr>com</dd>" in page
    assert '<span class="fine">buyer@<wbr>example.<wbr>com</span>' in page


def test_the_page_of_an_invoice_that_is_held_back_says_why_and_what_to_do(
    place: Place, browser: TestClient
) -> None:
    page = browser.get(f"/quickbook/invoices/{place.invoice_id('3')}").text
    assert "Not in Infactor: partly paid in QuickBooks." in page
    assert "take it off in QuickBooks" in page
    assert "All details for Infactor" in page
    assert "40.50 USD" in page


def test_another_suppliers_invoice_is_as_unknown_as_one_that_does_not_exist(
    place: Place, browser: TestClient
) -> None:
    other = place.browser()
    place.connect(other, place.token("other@example.com"), OTHER)
    place.imported(place.connections()[1].id)
    theirs = place.invoice_id("9")
    assert other.get(f"/quickbook/invoices/{theirs}").status_code == 200

    foreign = browser.get(f"/quickbook/invoices/{theirs}")
    unknown = browser.get("/quickbook/invoices/qbk-aaaaaaaaaaaaaaaaaaaaaaaaaa")
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.text == unknown.text
    assert foreign.headers == unknown.headers
    assert theirs not in browser.get("/quickbook/").text
    assert theirs not in browser.get("/quickbook/live").text


@pytest.mark.parametrize("odd", ["%00", "a%00b", "x" * 100, "'--"])
def test_an_id_that_none_can_have_is_not_found(browser: TestClient, odd: str) -> None:
    for page in ("invoices", "connected"):
        assert browser.get(f"/quickbook/{page}/{odd}").status_code == 404


def test_a_view_link_opens_the_suppliers_pages(place: Place) -> None:
    browser = place.browser()
    answer = place.opened(browser, place.token(purpose="view"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/quickbook/")
    page = browser.get("/quickbook/").text
    assert "QuickBooks is not connected" in page
    assert 'class="connect">Connect to QuickBooks</button>' in page


def test_the_button_says_for_whom_it_connects(place: Place) -> None:
    browser = place.log_in()
    whom = "Connect to QuickBooks for Example Supplies , supplier@example.com"
    assert whom in said(browser.get("/quickbook/").text)
    assert whom in said(browser.get("/quickbook/live").text)
    place.connect(browser)
    place.do("UPDATE connections SET state = 'disconnected'")
    assert "Reconnect to QuickBooks for Example Supplies , supplier@example.com" in said(
        browser.get("/quickbook/").text
    )
    place.do("UPDATE suppliers SET name = ''")
    assert "Reconnect to QuickBooks for supplier@example.com" in said(
        browser.get("/quickbook/").text
    )


def test_a_supplier_connects_from_their_own_page(place: Place) -> None:
    browser = place.log_in()
    place.consent()
    answer = browser.post("/quickbook/start")
    assert answer.status_code == 302
    done = browser.get(place.decided(answer.headers["location"]))
    assert done.headers["location"] == f"/quickbook/connected/{place.connections()[0].id}"
    assert place.rows("spent_links") == 0


def test_connecting_from_the_page_adds_no_further_company(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    place.consent(realm=OTHER)
    done = browser.get(place.decided(browser.post("/quickbook/start").headers["location"]))
    assert done.headers["location"].startswith("/quickbook/problem/other-company/")


def test_nobody_starts_a_journey_without_a_session(place: Place) -> None:
    assert place.browser().post("/quickbook/start").status_code == 401
    assert place.rows("oauth_states") == 0


def test_a_lost_connection_is_told_with_a_button(place: Place, browser: TestClient) -> None:
    assert '<span class="tag good">Connected</span>' in browser.get("/quickbook/").text
    place.do("UPDATE connections SET state = 'disconnected', problem = 'invalid_grant'")
    page = browser.get("/quickbook/").text
    assert '<span class="tag bad">Disconnected</span>' in page
    assert "Reconnect to QuickBooks</button>" in page
    assert "invalid_grant" not in page
    assert cells(page, "101")[-1] == "Waiting for buyer"


def test_a_company_that_operators_paused_says_so_and_asks_nothing_of_its_supplier(
    place: Place, browser: TestClient
) -> None:
    seen = re.search(r"seen=(\w+)", browser.get("/quickbook/").text)
    assert seen is not None
    assert browser.get(f"/quickbook/live?seen={seen[1]}").status_code == 204
    place.do("UPDATE connections SET suspended_at = '2026-11-22 09:36:00.000000'")
    page = browser.get(f"/quickbook/live?seen={seen[1]}").text
    assert '<span class="tag warn">Paused</span>' in page
    assert "need to do anything." in said(page)
    assert "Reconnect" not in page


def test_an_unwell_quickbooks_is_not_called_a_lost_connection(
    place: Place, browser: TestClient
) -> None:
    until = instant_text(now() + timedelta(minutes=15))
    place.do(f"UPDATE connections SET paused_until = '{until}', failures = 2")
    page = browser.get("/quickbook/").text
    assert "Waiting for QuickBooks" in page
    assert "need to do anything." in page
    assert "Reconnect" not in page


def test_a_company_without_invoices_says_that_they_will_come(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    page = browser.get("/quickbook/").text
    assert "importing your invoices" in page
    assert "Looking for invoices in QuickBooks" in page
    place.do("UPDATE runs SET state = 'done'")
    assert "No invoices yet" in browser.get("/quickbook/").text


def test_an_import_that_waits_is_no_slow_quickbooks(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    place.do("UPDATE runs SET error = '90 % of the reads are used'")
    [connection] = place.connections()
    for path in ("/quickbook/", f"/quickbook/connections/{connection.id}"):
        page = said(browser.get(path).text)
        assert "This is taking longer than usual." in page, path


def test_what_could_not_be_taken_over_is_told(place: Place, browser: TestClient) -> None:
    [connection] = place.connections()
    live = browser.get("/quickbook/").text.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert browser.get(live).status_code == 204
    with place.services.database.write() as session:
        session.add(
            Notice(
                connection_id=connection.id,
                format="legacy",
                entity="Invoice",
                entity_id="8",
                received_at=now(),
                handled_at=now(),
                status="failed",
            )
        )
    for path in ("/quickbook/", live, f"/quickbook/connections/{connection.id}"):
        page = said(browser.get(path).text)
        assert "One change in QuickBooks could not be taken over, so an invoice may be" in page


@pytest.mark.parametrize("path", ["launch", "reconnect"])
def test_intuits_addresses_lead_in_and_drop_what_intuit_adds(place: Place, path: str) -> None:
    address = f"/quickbook/{path}?realmId={OURS}&x=1"
    stranger = place.browser().get(address)
    assert (stranger.status_code, stranger.headers["location"]) == (303, "/quickbook/welcome")
    known = place.log_in().get(address)
    assert (known.status_code, known.headers["location"]) == (303, "/quickbook/")
    assert place.browser().get("/quickbook/welcome").status_code == 200


def test_intuits_disconnected_address_changes_nothing_and_says_how_to_connect_again(
    place: Place, browser: TestClient
) -> None:
    answer = browser.get(f"/quickbook/disconnected?realmId={OURS}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/quickbook/disconnected")
    assert "To connect again" in browser.get("/quickbook/disconnected").text
    assert place.connections()[0].state == "connected"


TEMPLATES = sorted((Path(templating.__file__).parent / "templates").glob("*.html"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_no_template_has_a_script_or_style_of_its_own_or_a_time_in_a_time(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<script(?! src=)|<style|\bstyle=|\bon\w+=\"", text)
    assert "<time" not in text


@pytest.mark.parametrize("page", ["", "welcome", "disconnected"])
def test_every_page_writes_moments_in_the_readers_zone(browser: TestClient, page: str) -> None:
    script = r'<script src="/quickbook/static/times\.js\?\w+" defer></script>'
    assert re.search(script, browser.get(f"/quickbook/{page}").text)
