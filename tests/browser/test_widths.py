"""That tables and forms have room between a phone and a desk, whatever stands in them."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browsing import Reader
from tests.journey.deployment import Deployment, deployed
from tests.journey.two_companies import OTHER_REALM, REALM, a_book, an_invoice
from tests.web.ops.operators import PASSWORD, entry

WIDTHS = (1024, 1100, 1121, 1280, 1440)
LONG_WORD = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerk"
LONG_NAME = "Northern Manufacturing and Refrigeration Distribution Partners"


def a_large_invoice(quickbooks_id: str, customer: str, **fields: Any) -> dict[str, Any]:
    given = {"TotalAmt": 123456789.12, "Balance": 123456789.12, **fields}
    number = f"INV-2026-11-{quickbooks_id:0>9}"
    reference = {"value": quickbooks_id, "name": customer}
    return an_invoice(quickbooks_id, DocNumber=number, CustomerRef=reference, **given)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A supplier's two companies, one of them with invoices that need much room."""
    book = a_book()
    book[REALM]["Customer"] += [
        {"Id": "101", "DisplayName": LONG_WORD, "Active": True},
        {"Id": "102", "DisplayName": LONG_NAME, "Active": True},
    ]
    book[REALM]["Invoice"] += [
        a_large_invoice("101", LONG_WORD),
        a_large_invoice("102", LONG_NAME, CurrencyRef={"value": "CAD"}),
        a_large_invoice("103", LONG_NAME, Balance=50),
    ]
    url = f"sqlite:///{tmp_path}/pages.db"
    with deployed(tmp_path, book, url, settings={"OPS_USERS": entry("ada")}) as made:
        made.connect(REALM)
        made.connect(OTHER_REALM, "supplier@example.com", "--another-company")
        made.command("sync", "--all")
        yield made


def tables(page: Page) -> dict[int, tuple[int, int]]:
    """Return how much room its table has in each width, and how much it needs."""
    page.wait_for_load_state()  # and so its stylesheet
    measured = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        measured[width] = tuple(
            page.locator(".card.table").evaluate("card => [card.clientWidth, card.scrollWidth]")
        )
    return measured


def fits(page: Page) -> None:
    assert {width: m for width, m in tables(page).items() if m[1] > m[0]} == {}


def test_the_suppliers_table_needs_no_scrolling(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    page.goto(deployment.command("supplier-url", "supplier@example.com").strip())
    page.get_by_role("button", name="Continue as").click()
    expect(page.get_by_text("123,456,789.12 USD").first).to_be_visible()
    expect(page.get_by_text("Not in Infactor: another currency in QuickBooks")).to_be_visible()
    fits(page)
    for tag in page.locator("td .tag").all():  # at 1440
        box = tag.bounding_box()
        assert box
        assert box["height"] < 50, tag.inner_text()  # two lines

    # What narrows it is a line where there is room.
    middles = page.locator(".find :is(input[type=search], button, summary)").evaluate_all(MIDDLES)
    assert max(middles) - min(middles) <= 2


MIDDLES = """elements => elements.map((one) => {
  const box = one.getBoundingClientRect();
  return Math.round((box.top + box.bottom) / 2);
})"""


def test_operators_tables_need_no_scrolling(
    deployment: Deployment, reader: Reader, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "pages.db")) as connection, connection:
        connection.execute(
            "INSERT INTO findings (invoice_id, connection_id, kind, severity, state, fields,"
            " found_at, changed_at) SELECT id, connection_id, 'changed', 'critical',"
            ' \'invoice_accepted\', \'[{"field":"invoiceAmount","severity":"critical",'
            '"approved":"123456789.12","current":"23456789.12"}]\','
            " recorded_at, recorded_at FROM invoices WHERE quickbooks_id IN ('101', '102')"
        )
        connection.execute(
            "UPDATE connections SET state = 'disconnected', problem = 'invalid_grant',"
            " company_name = 'Company of the Northern Counties' WHERE company_name LIKE 'Other%'"
        )
    page = reader.page()
    page.goto(f"{deployment.receivers[0]}/ops/connections")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("row", name=re.compile("Ended by QuickBooks"))).to_be_visible()
    fits(page)
    page.get_by_role("navigation", name="Operations").get_by_role("link", name="Findings").click()
    expect(page.get_by_text("123,456,789.12 USD").first).to_be_visible()
    fits(page)


def test_the_simulators_first_page_is_as_narrow_as_a_phone(
    deployment: Deployment, reader: Reader
) -> None:
    page = reader.page()
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(deployment.simulator.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Companies")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
