"""A supplier's first day, as a reader sees it."""

import csv
import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from tests.browser.browsing import Reader, look
from tests.journey.deployment import Deployment, deployed
from tests.journey.two_companies import REALM, a_book, an_invoice
from tests.servers import wait_until

# A phone, a tablet, a laptop, a large screen.
WIDTHS = (360, 768, 1366, 1920)
PHONE, LAPTOP = {"width": 360, "height": 740}, {"width": 1366, "height": 657}


def connect_link(deployment: Deployment) -> str:
    return deployment.command(
        "connect-url", "supplier@example.com", "--name", "Example Supplies"
    ).strip()


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def consent(page: Page) -> None:
    """Say yes at QuickBooks, which is the simulator here."""
    page.get_by_role("radio", name=re.compile("Journey Company")).check()
    page.get_by_role("button", name="Approve").click()


def close(popup: Page) -> None:
    """Close the window by its own button."""
    # The window may be gone before the click is told to have been made.
    with popup.expect_event("close", timeout=10_000), suppress(Error):
        popup.get_by_role("button", name="Close this window").click()


def keep(popup: Page) -> None:
    """Keep the window open, which would close soon."""
    popup.get_by_role("button", name="Keep it open").click()


def arrive(deployment: Deployment, page: Page) -> None:
    """Connect the company, and go to its invoices."""
    page.goto(connect_link(deployment))
    heading(page, "Connect QuickBooks to Infactor")
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Connect to QuickBooks").click()
    consent(popup.value)
    # The page behind notices by itself.
    heading(page, "Example Supplies")
    expect(page.locator("tbody tr")).to_have_count(30)
    popup.value.close()


def test_connecting_in_a_window_of_its_own(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    page.goto(connect_link(deployment))
    look(page, "authorise", WIDTHS)
    for size in (PHONE, LAPTOP):
        page.set_viewport_size(size)
        button = page.get_by_role("button", name="Connect to QuickBooks")
        expect(button).to_be_in_viewport(ratio=1)
    expect(page.locator(".marks .mark")).to_have_count(2)
    expect(page.locator(".points li")).to_have_count(3)
    with page.expect_popup() as opened:
        button.click()
    expect(page.get_by_text("QuickBooks opened in a new window")).to_be_visible()
    popup = opened.value
    consent(popup)
    keep(popup)
    heading(popup, "Journey Company is connected")
    expect(popup.locator("#progress")).to_contain_text("30 invoices read")
    look(popup, "connected")
    heading(page, "Example Supplies")  # by itself
    close(popup)


def test_a_page_in_a_hidden_tab_asks_for_nothing(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    arrive(deployment, page)
    page.clock.install()
    page.reload()
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.evaluate("sent = 0; document.body.addEventListener('htmx:beforeSend', () => sent++)")
    page.clock.run_for(30_000)
    assert page.evaluate("sent") == 0
    page.evaluate("delete document.hidden")
    page.clock.run_for(5_000)
    assert page.evaluate("sent") > 0


def test_the_window_closes_by_itself_and_has_told_its_opener_alone(
    deployment: Deployment, reader: Reader
) -> None:
    page = reader.page()
    page.goto(connect_link(deployment))
    # So that only the window's own message can say that a company has come.
    page.route("**/quickbook/arrived?*", lambda route: route.fulfill(status=204))
    page.evaluate(HEAR)
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Connect to QuickBooks").click()
    opened.value.route("**/connected/*/progress", lambda route: route.fulfill(status=204))
    with opened.value.expect_event("close"):
        consent(opened.value)
    page.wait_for_function("heard.length > 0")
    assert page.evaluate("heard") == [
        [deployment.receivers[0], {"infactorQuickbooks": "connected"}]
    ]
    page.unroute("**/quickbook/arrived?*")
    heading(page, "Example Supplies")


HEAR = """() => {
  window.heard = [];
  window.addEventListener("message", (event) => window.heard.push([event.origin, event.data]));
}"""


PAGE_ELSEWHERE = "http://localhost:9/dashboard"


@pytest.mark.parametrize(
    ("allowed", "told"), [(PAGE_ELSEWHERE.removesuffix("/dashboard"), ["connected"]), ("", [])]
)
def test_a_page_of_another_origin_is_told_only_if_its_origin_is_allowed(
    tmp_path: Path, browser: Browser, allowed: str, told: list[str]
) -> None:
    settings = {"ALLOWED_WEB_ORIGINS": allowed}
    with deployed(tmp_path, a_book(), f"sqlite:///{tmp_path}/p.db", settings=settings) as made:
        # A browser says so on its console where a message is not for this page.
        page = Reader.of(browser).page()
        page.route(PAGE_ELSEWHERE, lambda route: route.fulfill(body="<h1>Infactor</h1>"))
        page.goto(PAGE_ELSEWHERE)
        page.evaluate(HEAR)
        with page.expect_popup() as opened:
            page.evaluate("address => { window.open(address) }", connect_link(made))
        opened.value.get_by_role("button", name="Connect to QuickBooks").click()
        consent(opened.value)
        keep(opened.value)
        page.wait_for_function("count => heard.length === count", arg=len(told))
        assert page.evaluate("heard.map(([, said]) => said.infactorQuickbooks)") == told
        page.context.close()


def opened_by_a_page(reader: Reader, address: str) -> tuple[Page, Page]:
    """Return a page of another site, and what it has opened by a script."""
    page = reader.page()
    page.route(PAGE_ELSEWHERE, lambda route: route.fulfill(body="<h1>Infactor</h1>"))
    page.goto(PAGE_ELSEWHERE)
    with page.expect_popup() as opened:
        page.evaluate("address => { window.open(address) }", address)
    return page, opened.value


def test_a_connect_link_that_a_page_has_opened_goes_on_in_the_same_window(
    deployment: Deployment, reader: Reader
) -> None:
    page, window = opened_by_a_page(reader, connect_link(deployment))
    window.get_by_role("button", name="Connect to QuickBooks").click()
    expect(window.get_by_role("button", name="Approve")).to_be_visible()
    assert page.context.pages == [page, window]


def test_a_suppliers_own_pages_in_a_tab_that_a_page_has_opened_stay_when_a_company_has_come(
    deployment: Deployment, reader: Reader
) -> None:
    link = deployment.command("supplier-url", "supplier@example.com").strip()
    _, tab = opened_by_a_page(reader, link)
    tab.get_by_role("button").click()
    with tab.expect_popup() as popup:
        tab.get_by_role("button", name="Connect to QuickBooks").click()
    consent(popup.value)
    close(popup.value)
    expect(tab.locator("tbody tr")).to_have_count(30)
    assert not tab.is_closed()


def test_who_cancels_closes_the_window_and_tries_again(
    deployment: Deployment, reader: Reader
) -> None:
    page = reader.page()
    page.goto(connect_link(deployment))
    connect = page.get_by_role("button", name="Connect to QuickBooks")
    with page.expect_popup() as opened:
        connect.click()
    popup = opened.value
    popup.get_by_role("button", name="Deny").click()
    heading(popup, "You did not give permission")
    expect(popup.locator("main :is(button, a)").locator("visible=true")).to_have_count(1)
    look(popup, "denied", WIDTHS)
    expect(page.get_by_text("QuickBooks is not connected yet")).to_be_visible()
    expect(page.get_by_text("QuickBooks opened in a new window")).to_be_hidden()
    close(popup)
    with page.expect_popup() as again:
        connect.click()
    consent(again.value)
    heading(page, "Example Supplies")


def test_an_invoice_that_has_to_be_fixed(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    arrive(deployment, page)
    look(page, "dashboard", WIDTHS)
    page.set_viewport_size(PHONE)
    expect(page.locator("tbody tr").first).to_be_in_viewport(ratio=1)
    row = page.locator("tbody tr").first.bounding_box()
    assert row
    assert row["height"] < 75  # two lines
    last_tab = page.locator("#tab-closed")
    last_tab.scroll_into_view_if_needed()

    broken = an_invoice("900", DueDate=None)
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", broken)
    new = page.get_by_role("link", name="J-900")
    expect(new).to_be_visible()  # by itself, without a reload
    expect(last_tab).to_be_in_viewport(ratio=0.9)  # the tabs stay where they were
    page.set_viewport_size(LAPTOP)
    new.click()
    heading(page, "Invoice J-900")
    expect(page.get_by_text("Fix this:")).to_be_visible()
    # A moment is in the reader's own zone, with the exact one at hand.
    moment = page.locator("time").first
    expect(moment).to_have_text(re.compile(r"(GMT\u2011[45]|E[SD]T)$"))
    assert re.search(r"\d\d:\d\d:\d\d UTC$", moment.get_attribute("title") or "")
    look(page, "invoice")
    look_at_the_fields(page)
    look(page, "invoice-fields")

    attention = reader.page()
    attention.set_viewport_size(PHONE)
    attention.goto(f"{deployment.receivers[0]}/quickbook/?status=closed")
    expect(attention.locator("#tab-closed")).to_be_in_viewport(ratio=0.9)
    attention.get_by_role("link", name="Needs attention 1").click()
    expect(attention.get_by_role("heading", name="Fix in QuickBooks")).to_be_visible()
    attention.get_by_text("How to fix it").click()
    look(attention, "attention", WIDTHS)
    other = an_invoice("901", DueDate=None)
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", other)
    expect(attention.get_by_role("link", name="J-901")).to_be_visible()
    unfolded = attention.locator("details[open]")
    expect(unfolded).to_have_count(1)  # what was unfolded stays so
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("901"))

    deployment.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("900"))
    expect(page.get_by_text("Fix this:")).to_have_count(0)  # by itself
    expect(page.get_by_text("Fixed ✓")).to_be_visible()
    heading(page, "Invoice J-900")
    expect(attention.locator("#fixed + ul")).to_contain_text("J-900")
    look(attention, "attention-fixed", (360,))


def look_at_the_fields(page: Page) -> None:
    """Unfold what Infactor has of the invoice, by the keyboard."""
    for words, name in (
        ("Show all details", "Contact"),
        ("Show empty fields", "Goods receipt no."),
    ):
        field = page.get_by_role("term").filter(has_text=re.compile(f"^{re.escape(name)}$"))
        expect(field).to_be_hidden()
        page.get_by_text(words).focus()
        page.keyboard.press("Enter")
        expect(field).to_be_visible()


def test_finding_invoices_and_taking_them_along(
    deployment: Deployment, reader: Reader, tmp_path: Path
) -> None:
    page = reader.page()
    arrive(deployment, page)
    page.locator("#choose-sort summary").click()
    look(page, "sorts", (360,))
    page.keyboard.press("Escape")
    page.locator("#choose-sort summary").click()
    page.locator("#choose-sort").get_by_role("link", name="Invoice no.").click()
    page.get_by_label("Invoice no., buyer or amount").fill("J-1")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("11 invoices match")).to_be_visible()
    numbers = page.locator("tbody tr td:first-child a").all_inner_texts()
    assert numbers == ["J-1", *(f"J-{n}" for n in range(10, 20))]
    look(page, "found")
    page.get_by_role("link", name="J-11").click()
    page.get_by_role("link", name="Back to the list").click()
    expect(page.get_by_text("11 invoices match")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    download.value.save_as(tmp_path / "invoices.csv")
    with (tmp_path / "invoices.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.reader(file))) == 12

    page.get_by_label("Invoice no., buyer or amount").fill("nobody's")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    look(page, "nothing-matches")
    page.get_by_role("link", name="See open invoices").click()
    expect(page.locator("tbody tr")).to_have_count(30)


def test_a_service_that_hangs_is_told(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    arrive(deployment, page)
    stale = page.get_by_text("refresh right now")
    expect(stale).to_be_hidden()
    page.route("**/quickbook/live?*", lambda _: None)  # which is never answered
    expect(stale).to_be_visible()
    page.unroute("**/quickbook/live?*")
    expect(stale).to_be_hidden()  # by itself
    assert any("htmx:timeout" in one for one in reader.wrong)
    reader.wrong = [one for one in reader.wrong if not one.startswith("htmx:")]


def test_ending_a_connection_and_connecting_again(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    arrive(deployment, page)
    page.get_by_role("link", name="Journey Company").click()
    heading(page, "Journey Company")
    look(page, "connection")
    page.get_by_role("link", name="Disconnect").click()
    heading(page, "Disconnect Journey Company?")
    look(page, "disconnect")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_text("Disconnected", exact=True).first).to_be_visible()
    look(page, "disconnected")
    page.goto(f"{deployment.receivers[0]}/quickbook/")
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Reconnect to QuickBooks").click()
    consent(popup.value)
    expect(page.get_by_text("Connected", exact=True)).to_be_visible()


def test_the_way_without_javascript(deployment: Deployment, without_javascript: Reader) -> None:
    page = without_javascript.page()
    page.goto(connect_link(deployment))
    page.get_by_role("button", name="Connect to QuickBooks").click()
    consent(page)
    heading(page, "Journey Company is connected")
    mine = ("invoices", "--supplier", "supplier@example.com")
    wait_until(lambda: len(deployment.rows(*mine)) == 30, 60, "the import")
    page.get_by_role("link", name="See your invoices").click()
    page.get_by_role("link", name="Paid or void").click()
    expect(page.get_by_role("heading", name="No invoices here")).to_be_visible()
    page.get_by_label("Invoice no., buyer or amount").fill("J-12")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="J-12").click()
    heading(page, "Invoice J-12")
    look_at_the_fields(page)
    expect(page.locator("time").first).to_have_text(re.compile(r"\d\d:\d\d UTC$"))
