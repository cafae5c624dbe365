"""A link that an operator makes, for a supplier whose company has to be connected again."""

import html
import re
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from service import links
from service.kit.clock import now
from tests.web.conftest import SECRET, Place, said
from tests.web.ops.operators import add_companies, audited, flash_in


@pytest.fixture
def lost(place: Place, company: str) -> str:
    """The connection of a company that QuickBooks has ended."""
    place.do("UPDATE connections SET state = 'disconnected', problem = 'invalid_grant'")
    return company


def link_in(page: str) -> str:
    (found,) = re.findall(r'<textarea id="link"[^>]*>([^<]*)</textarea>', page)
    return html.unescape(found)


def made(place: Place) -> list[str | None]:
    """Return the companies for which a link was made."""
    return [connection for _, action, connection in audited(place) if action == "link"]


def test_the_supplier_of_a_lost_company_gets_a_link_that_connects_it_again(
    place: Place, lost: str, browser: TestClient
) -> None:
    address = f"/ops/connections/{lost}"
    assert "Make a link Create a link that the supplier can use" in said(browser.get(address).text)
    answer = browser.post(f"{address}/link")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "Send it to supplier@example.com and to nobody else" in said(answer.text)
    until = f"{now() + timedelta(days=7):%b %Y}"
    assert re.search(
        rf"It works until \d+ {until}, \S+ UTC ?, or until a company", said(answer.text)
    )
    url = link_in(answer.text)
    token = url.removeprefix("http://localhost:3000/quickbook/authorise?token=")
    link = links.read(token, "connect", SECRET, now())
    assert (link.email, link.name) == ("supplier@example.com", "Example Supplies")
    assert link.another_company is False
    assert ("ops:ada", "link", lost) in audited(place)
    assert made(place) == [lost]
    assert token not in place.only("SELECT group_concat(details) FROM audit")
    place.connect(place.browser(), token)
    assert place.only("SELECT state FROM connections") == "connected"


def test_the_operators_own_program_writes_the_e_mail(
    place: Place, lost: str, browser: TestClient
) -> None:
    page = browser.post(f"/ops/connections/{lost}/link").text
    (mail,) = re.findall(r'href="(mailto:[^"]*)"', page)
    assert html.unescape(mail).startswith(
        "mailto:supplier@example.com?subject=Connect%20Our%20%3Cb%3EBooks%3C%2Fb%3E%20to%20Infactor%20again"
        "&body=QuickBooks%20has%20ended"
    )
    assert "authorise%3Ftoken%3D" in mail


def test_the_links_page_is_shown_once(place: Place, lost: str, browser: TestClient) -> None:
    answer = browser.get(f"/ops/connections/{lost}/link")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ops/connections/{lost}")
    assert made(place) == []


def test_a_link_is_offered_where_it_is_needed(
    place: Place, company: str, browser: TestClient
) -> None:
    address = f"/ops/connections/{company}"
    assert "Make a link" not in browser.get(address).text
    soon = f"{now() + timedelta(days=29):%Y-%m-%d %H:%M:%S.%f}"
    place.do(f"UPDATE connections SET hard_expires_at = '{soon}'")
    page = browser.get(address).text
    assert '<button id="order-link" class="plain">Make a link' in page
    assert "Sync now" in page
    place.do("UPDATE connections SET suspended_at = connected_at, hard_expires_at = NULL")
    page = said(browser.get(address).text)
    assert "Paused. Resume it to read again." in page
    assert "Make a link" not in page


def test_a_name_that_no_link_can_carry_is_told(
    place: Place, lost: str, browser: TestClient
) -> None:
    place.do("UPDATE suppliers SET name = 'two' || char(10) || 'lines'")
    answer = browser.post(f"/ops/connections/{lost}/link")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ops/connections/{lost}")
    assert "No link was made: the supplier's name" in said(
        flash_in(browser.get(f"/ops/connections/{lost}").text)
    )
    assert made(place) == []


@pytest.mark.parametrize("unknown", ["nobody", "p0"])
def test_no_link_is_made_for_an_unknown_company_or_another_environments(
    place: Place, browser: TestClient, unknown: str
) -> None:
    add_companies(place, ["Elsewhere"], environment="production", prefix="p")
    assert browser.post(f"/ops/connections/{unknown}/link").status_code == 404
    assert made(place) == []
