"""A supplier's first day, as a reader sees it."""

import re

from playwright.sync_api import Page, expect

from tests.browser.browsing import Reader, look
from tests.journey.deployment import Deployment
from tests.journey.test_journey import REALM, an_invoice


def connect_link(deployment: Deployment) -> str:
    return deployment.command(
        "connect-url", "supplier@example.com", "--name", "Example Supplies"
    ).strip()


def consent(page: Page) -> None:
    """Say yes at QuickBooks, which is the simulator here."""
    page.get_by_role("radio", name=re.compile("Journey Company")).check()
    page.get_by_role("button", name="Approve").click()


def test_a_first_day(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    page.goto(connect_link(deployment))
    expect(page.get_by_role("heading", level=1)).to_have_text("Connect QuickBooks to Infactor")
    look(page, "authorise")
    page.get_by_role("button", name="Connect to QuickBooks").click()
    consent(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Journey Company is connected")
    expect(page.locator("#progress")).to_contain_text("30 invoices read")
    look(page, "connected")

    page.get_by_role("link", name="See your invoices").click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(30)
    look(page, "dashboard")

    deployment.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("900", DueDate=None))
    new = page.get_by_role("link", name="J-900")
    expect(new).to_be_visible()  # by itself, without a reload
    new.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Quickbook #J-900")
    expect(page.get_by_text("To mend:")).to_be_visible()
    look(page, "invoice")
