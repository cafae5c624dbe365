"""Inviting a supplier from a page."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database
from starlette.testclient import TestClient

from service import links
from service.kit.clock import now
from tests.people import add_user
from tests.web.conftest import SECRET, Place, said
from tests.web.ops.operators import audited, two_operators
from tests.workers.delivering import infactor_settings

NEW = "new@example.com"


def link_in(page: str) -> links.Link:
    """Return the link that a page shows, as this service reads it."""
    (url,) = re.findall(r'<textarea id="link"[^>]*>([^<]*)</textarea>', page)
    token = html.unescape(url).removeprefix("http://localhost:3000/quickbook/authorise?token=")
    return links.read(token, "connect", SECRET, now())


def test_a_supplier_is_invited_with_a_link(place: Place, browser: TestClient) -> None:
    assert '<a class="button" href="/ops/invite">' in browser.get("/ops/connections").text
    page = browser.get("/ops/invite").text
    assert "Invite a supplier" in said(page)
    form = {"email": f" {NEW} ", "name": "New & Co", "address": "1 Street"}
    answer = browser.post("/ops/invite", data=form)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    link = link_in(answer.text)
    assert (link.email, link.name, link.address) == (NEW, "New & Co", "1 Street")
    assert link.another_company is False
    assert timedelta(days=6) < link.expires_at - now() < timedelta(days=8)
    assert f'datetime="{link.expires_at:%Y-%m-%dT%H:%M}' in answer.text
    assert 'data-copy-from="link"' in answer.text
    assert audited(place)[1:] == [("ops:ada", "invite", None)]
    details = place.only("SELECT details FROM audit WHERE action = 'invite'")
    assert details == '{"supplier":null,"another_company":false}'


@pytest.mark.parametrize(
    ("form", "field", "told"),
    [
        ({"email": ""}, "email", "Enter the supplier"),
        ({"email": "nobody"}, "email", "This is not an e-mail address, such as"),
        ({"email": "a@b.example, c@d.example"}, "email", "This is not an e-mail address"),
        ({"email": "jos\u00e9@example.com"}, "email", "This is not an e-mail address"),
        ({"email": NEW, "name": "x" * 201}, "name", "At most 200 characters"),
        ({"email": NEW, "name": "a\u202eb"}, "name", "characters that a link cannot carry"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(
    place: Place, browser: TestClient, form: dict[str, str], field: str, told: str
) -> None:
    answer = browser.post("/ops/invite", data=form)
    assert answer.status_code == 422
    wrong = answer.text.split(f'id="{field}-wrong"')[1].split("</p>")[0]
    assert told in wrong
    if form["email"].isascii():
        assert f'value="{form["email"]}"' in answer.text
    assert audited(place)[1:] == []


def test_of_a_known_supplier_the_name_is_known_and_its_companies_are_told(
    place: Place, company: str, browser: TestClient
) -> None:
    email = "supplier@example.com"
    page = browser.post("/ops/invite", data={"email": email}).text
    assert link_in(page).name == "Example Supplies"
    assert "Companies of this supplier: Our <b>Books</b> The link only reconnects it." in said(page)
    assert f'<input type="hidden" name="email" value="{email}">' in page
    further = browser.post("/ops/invite", data={"email": email, "another_company": "yes"}).text
    assert link_in(further).another_company is True
    assert "Companies of this supplier" not in further


def test_another_sites_form_invites_nobody(place: Place, browser: TestClient) -> None:
    elsewhere = {"sec-fetch-site": "cross-site"}
    answer = browser.post("/ops/invite", data={"email": NEW}, headers=elsewhere)
    assert answer.status_code == 403
    assert audited(place)[1:] == []


class TestWithInfactorsDatabase:
    @pytest.fixture
    def more_settings(self, infactors: Database[dict[str, Any]]) -> dict[str, str]:
        return {**two_operators(), **infactor_settings(infactors)}

    def test_the_account_in_infactor_counts(
        self, browser: TestClient, infactors: Database[dict[str, Any]]
    ) -> None:
        add_user(infactors, email=NEW)
        assert 'name="address"' not in browser.get("/ops/invite").text
        unknown = browser.post("/ops/invite", data={"email": "New@example.com"})
        assert unknown.status_code == 422
        assert "Infactor has no account with exactly this e-mail address" in said(unknown.text)
        link = link_in(browser.post("/ops/invite", data={"email": NEW}).text)
        assert link.email == NEW
        assert link.name != ""
