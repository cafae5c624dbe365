"""A link that an operator makes for a supplier, and takes along."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browsing import Reader, look
from tests.journey.deployment import Deployment, deployed
from tests.journey.two_companies import REALM, a_book
from tests.web.ops.operators import PASSWORD, entry


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A service with an operator, and one company that QuickBooks has ended."""
    url = f"sqlite:///{tmp_path}/pages.db"
    with deployed(tmp_path, a_book(), url, settings={"OPS_USERS": entry("ada")}) as made:
        made.connect(REALM)
        made.sim("POST", f"/companies/{REALM}/disconnect")
        made.command("sync", "--all", status=1)  # which finds it out
        yield made


def make_a_link(page: Page, deployment: Deployment) -> None:
    page.goto(f"{deployment.receivers[0]}/ops/connections")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Journey Company").click()
    page.get_by_role("button", name="Make a link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Link for Example Supplies")


CHOSEN = "box => box.value.slice(box.selectionStart, box.selectionEnd)"


def test_the_link_is_chosen_with_a_click_and_copied_with_another(
    deployment: Deployment, reader: Reader, without_javascript: Reader
) -> None:
    page = reader.page()
    make_a_link(page, deployment)
    box, said = page.get_by_label("The link"), page.locator("[aria-live=polite]")
    link = box.input_value()
    assert "/quickbook/authorise?token=" in link
    box.click()
    page.wait_for_function("document.activeElement.selectionEnd > 0")
    assert box.evaluate(CHOSEN) == link

    reader.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copy = page.get_by_role("button", name="Copy")
    # Where a page may not write there, as over plain HTTP, it is done the old way.
    for hinder in ("", "navigator.clipboard.writeText = () => Promise.reject(new Error());"):
        page.evaluate("navigator.clipboard.writeText('something else')")
        page.evaluate(f"() => {{ {hinder} }}")
        copy.click()
        expect(said).to_have_text("Copied")
        expect(copy).to_be_focused()
        assert page.evaluate("navigator.clipboard.readText()") == link
    look(page, "ops-link")

    plain = without_javascript.page()
    make_a_link(plain, deployment)
    expect(plain.get_by_role("button", name="Copy")).to_have_count(0)
    expect(plain.get_by_label("The link")).to_be_editable(editable=False)
