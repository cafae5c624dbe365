"""The pages beside the way: where something is missing, wrong or over."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.browsing import Reader, look
from tests.journey.deployment import Deployment, deployed
from tests.journey.two_companies import OTHER_REALM, REALM, a_book
from tests.web.ops.operators import PASSWORD, entry


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """The service in one process, with an operator."""
    url = f"sqlite:///{tmp_path}/pages.db"
    with deployed(tmp_path, a_book(), url, settings={"OPS_USERS": entry("ada")}) as made:
        yield made


def test_pages_for_whoever_is_nobody_yet(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    for name, path, heading in (
        ("welcome", "/quickbook/welcome", "Your QuickBooks invoices in Infactor"),
        ("goodbye", "/quickbook/goodbye", "You are logged out"),
        ("left", "/quickbook/disconnected", None),
        ("nobody", "/quickbook/", None),
        ("broken-link", "/quickbook/authorise?token=broken", None),
    ):
        page.goto(deployment.receivers[0] + path)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        if heading:
            expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        assert "token=" not in page.url
        look(page, name)


def test_pages_of_somebody_with_nothing_or_not_enough(
    deployment: Deployment, reader: Reader
) -> None:
    deployment.connect(REALM)
    page = reader.page()
    page.goto(deployment.command("supplier-url", "supplier@example.com").strip())
    page.get_by_role("button", name="Continue as").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    page.goto(f"{deployment.receivers[0]}/quickbook/invoices/qbk-{'a' * 26}")
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    look(page, "no-such-invoice")
    deployment.connect(OTHER_REALM, "second@example.com")
    page.goto(deployment.command("supplier-url", "second@example.com").strip())
    expect(page.get_by_role("button", name="Continue as")).to_be_visible()
    look(page, "switch")


def test_what_operators_meet_beside_the_way(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    page.goto(f"{deployment.receivers[0]}/ops/connections")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="No company is connected yet")).to_be_visible()
    look(page, "ops-connections-none")
    page.goto(f"{deployment.receivers[0]}/ops/nothing")
    expect(page.get_by_role("heading", level=1)).to_have_text("Page not found")
    look(page, "ops-no-such-page")
