"""Links, where Infactor's database says who is a supplier there."""

import re
from typing import Any

import pytest
from pymongo.database import Database

from tests.people import add_user
from tests.servers import away
from tests.web.conftest import Place, said
from tests.web.problems import kind


@pytest.fixture
def more_settings(mongodb_url: str, infactors: Database[dict[str, Any]]) -> dict[str, str]:
    """With Infactor's database, or one that does not answer where a test says so."""
    return {"INFACTOR_MONGODB_URL": mongodb_url, "INFACTOR_MONGODB_DATABASE": infactors.name}


def test_a_connect_link_goes_by_infactors_name_and_address(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors, address="0xabc")
    browser, token = place.browser(), place.token(name="Another Name", address="another")
    page = browser.get(f"/quickbook/authorise?token={token}")
    assert "for Sue Pliers supplier@example.com" in said(page.text)
    assert "Another Name" not in page.text

    assert place.connect(browser, token).headers["location"].startswith("/quickbook/connected/")
    assert place.only("SELECT name || '/' || address FROM suppliers") == "Sue Pliers/0xabc"


def test_a_view_link_renews_what_is_known_by_what_infactor_says(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    page = place.log_in().get("/quickbook/").text
    assert "<h1>Sue Pliers</h1>" in page
    infactors["users"].update_one({}, {"$set": {"lastName": "Plyers"}})
    assert "<h1>Sue Plyers</h1>" in place.log_in().get("/quickbook/").text


REFUSED = [
    ({"email": "another@example.com"}, "not-in-infactor"),
    ({"email": "Supplier@example.com"}, "not-in-infactor"),
    ({"email": {"$ne": None}}, "not-in-infactor"),
    ({"type": "Buyer"}, "not-a-supplier"),
    ({"type": {"$ne": None}}, "not-a-supplier"),
    ({"accountStatus": "pending"}, "not-verified"),
    ({"accountStatus": {"$ne": None}}, "not-verified"),
]


@pytest.mark.parametrize(("fields", "wanted"), REFUSED, ids=str)
def test_a_link_for_anybody_else_is_refused_and_stores_nothing(
    place: Place, infactors: Database[dict[str, Any]], fields: dict[str, Any], wanted: str
) -> None:
    add_user(infactors, **fields)
    browser, token, view = place.browser(), place.token(), place.token(purpose="view")
    assert kind(browser.get(f"/quickbook/authorise?token={token}")) == wanted
    assert kind(browser.post(f"/quickbook/authorise?token={token}")) == wanted
    assert kind(browser.get(f"/quickbook/view?token={view}")) == wanted
    assert kind(browser.post(f"/quickbook/view?token={view}")) == wanted
    assert [place.rows(table) for table in ("suppliers", "oauth_states", "sessions")] == [0, 0, 0]


def test_a_link_that_was_good_is_refused_once_the_account_is_gone(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    browser, token = place.browser(), place.token()
    assert browser.get(f"/quickbook/authorise?token={token}").status_code == 200
    infactors["users"].delete_many({})
    assert kind(browser.post(f"/quickbook/authorise?token={token}")) == "not-in-infactor"


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("not-in-infactor", "No account in Infactor has exactly the e-mail address"),
        ("not-a-supplier", "Only suppliers connect QuickBooks."),
        ("not-verified", "has not been verified"),
        ("infactor-away", "Open your link again in a few minutes."),
        ("logged-out", "Log in to Infactor again and press the button"),
    ],
)
def test_each_refusal_says_how_to_go_on(place: Place, problem: str, words: str) -> None:
    page = place.browser().get(f"/quickbook/problem/{problem}/K7QM-2F4T").text
    assert words in said(page)
    assert not re.search(r"\w@\w", page)


class TestAway:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {
            "INFACTOR_MONGODB_URL": away(),
            "INFACTOR_MONGODB_DATABASE": "ifactor",
        }

    def test_while_infactor_is_away_links_wait_and_nothing_is_stored(self, place: Place) -> None:
        browser, token, view = place.browser(), place.token(), place.token(purpose="view")
        assert kind(browser.get(f"/quickbook/authorise?token={token}")) == "infactor-away"
        assert kind(browser.post(f"/quickbook/authorise?token={token}")) == "infactor-away"
        assert kind(browser.get(f"/quickbook/view?token={view}")) == "infactor-away"
        tables = ("suppliers", "oauth_states", "sessions")
        assert [place.rows(table) for table in tables] == [0, 0, 0]
