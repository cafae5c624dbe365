"""A list that is brought up to date under whoever reads it."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.browsing import Reader
from tests.journey.deployment import Deployment
from tests.journey.two_companies import REALM, an_invoice
from tests.servers import wait_until


def top(element: Locator) -> float:
    return float(element.evaluate("element => element.getBoundingClientRect().top"))


def bring_into_sight(row: Locator) -> None:
    """Scroll to a row; again where the list was just being replaced."""

    def is_in_sight() -> bool:
        row.evaluate("element => element.scrollIntoView({ block: 'center' })")
        return 0 < top(row) < 700

    wait_until(is_in_sight, 10, "the row in sight")


def arrive(deployment: Deployment, reader: Reader) -> Page:
    """Show the list to its supplier, thirty rows long; what tells of the import has gone."""
    deployment.connect(REALM)
    deployment.command("backfill", "--all")
    page = reader.page()
    page.set_viewport_size({"width": 1280, "height": 700})
    page.goto(deployment.command("supplier-url", "supplier@example.com").strip())
    page.get_by_role("button", name="Continue as").click()
    expect(page.locator("tbody tr")).to_have_count(30)
    expect(page.get_by_text("30 of 30 invoices in Infactor")).to_be_visible()
    return page


def link(page: Page, number: str) -> Locator:
    return page.get_by_role("link", name=number, exact=True)


def add(deployment: Deployment, page: Page, number: int, rows: int) -> None:
    """Create an invoice, which stands first in the list, and wait until it is there."""
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice(str(number)))
    expect(page.locator("tbody tr")).to_have_count(rows)
    expect(page.locator("tbody tr").first).to_contain_text(f"J-{number}")


def test_a_new_row_above_leaves_the_rows_in_sight_in_their_places(
    deployment: Deployment, reader: Reader
) -> None:
    page = arrive(deployment, reader)
    row = link(page, "J-15")
    bring_into_sight(row)
    page.mouse.move(5, 5)
    before = top(row)
    add(deployment, page, 900, 31)
    assert abs(top(row) - before) < 1
    row.hover()
    before = top(row)
    add(deployment, page, 901, 32)
    assert abs(top(row) - before) < 1
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invoice J-15")


def test_a_new_row_is_seen_by_whoever_is_at_the_head(
    deployment: Deployment, reader: Reader
) -> None:
    page = arrive(deployment, reader)
    head = page.get_by_role("columnheader", name="Invoice no.")
    head.evaluate("element => element.scrollIntoView()")
    before = top(head)
    add(deployment, page, 900, 31)
    assert abs(top(head) - before) < 1
    expect(link(page, "J-900")).to_be_in_viewport()
