"""Infactor's own "Connect Quickbook" button, with this service behind Infactor's address."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from tests.people import (
    OTHER_ID,
    OTHER_SID,
    SESSION_SECRET,
    SID,
    SIGNED,
    SUPPLIER_ID,
    add_user,
    log_in,
)
from tests.servers import away
from tests.web.button import BUTTON, browser_of, press, whole_journey
from tests.web.conftest import PUBLIC_URL, Place, said

PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def more_settings(mongodb_url: str, infactors: Database[dict[str, Any]]) -> dict[str, str]:
    """With Infactor's database and the secret of its sessions."""
    return {
        "INFACTOR_MONGODB_URL": mongodb_url,
        "INFACTOR_MONGODB_DATABASE": infactors.name,
        "INFACTOR_SESSION_SECRET": SESSION_SECRET,
    }


def nothing_began(place: Place) -> bool:
    return not any(map(place.rows, ("suppliers", "oauth_states", "sessions")))


def test_the_button_is_answered_with_intuits_consent(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors)
    answer = press(browser_of(place))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert sorted(answer.json()) == ["authUrl", "status"]
    assert answer.json()["status"] is True
    assert answer.json()["authUrl"].startswith(f"{place.simulator.url}/connect/oauth2?")
    assert answer.headers["set-cookie"].startswith("infactor_quickbooks=")
    assert place.only("SELECT email || '/' || name || '/' || address FROM suppliers") == (
        "supplier@example.com/Sue Pliers/local"
    )
    assert place.only("SELECT infactor_user FROM oauth_states") == str(SUPPLIER_ID)


def test_the_whole_journey_ends_in_a_pop_up_that_closes_by_itself(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors)
    browser = browser_of(place)
    answer = whole_journey(place, browser)
    [connection] = place.connections()
    assert answer.headers["location"] == f"/quickbook/connected/{connection.id}"
    page = browser.get(answer.headers["location"]).text
    assert "Our &lt;b&gt;Books&lt;/b&gt; is connected" in page
    assert '<div id="popup" class="actions" data-seconds="20" hidden>' in page
    assert "/quickbook/static/popup.js" in page
    assert "supplier@example.com" in said(page)


def test_a_browser_too_old_for_fetch_metadata_says_its_origin(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors)
    answer = browser_of(place).post(BUTTON, headers={"origin": PUBLIC_URL})
    assert answer.json()["status"] is True


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://evil.localhost:3000"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:3000"}, 200),
        ({}, 200),
    ],
    ids=str,
)
def test_a_request_of_another_site_or_of_nobody_knows_whom_begins_nothing(
    place: Place, infactors: Database[dict[str, Any]], headers: dict[str, str], status: int
) -> None:
    add_user(infactors)
    log_in(infactors)
    answer = browser_of(place).post(BUTTON, json={}, headers=headers)
    assert answer.status_code == status
    assert status != 200 or answer.json() == {"status": False}
    assert "set-cookie" not in answer.headers
    assert nothing_began(place)


@pytest.mark.parametrize(
    "cookies",
    [
        "",
        f"connect.sid={SIGNED[SID][:-1]}A",
        f"connect.sid={SIGNED[SID][:40]}",
        f"connect.sid=s%3A{SID}",
        f"connect.sid=s%3A{SID}.",
        f"connect.sid={SID}",
        f"connect.sid={SIGNED[SID]}; connect.sid={SIGNED[OTHER_SID]}",
        f"connect.sid={SIGNED[OTHER_SID]}",
    ],
)
def test_a_forged_truncated_ambiguous_or_unknown_cookie_begins_nothing(
    place: Place, infactors: Database[dict[str, Any]], cookies: str
) -> None:
    add_user(infactors)
    log_in(infactors)
    answer = press(place.browser(), cookie=cookies)
    assert (answer.status_code, answer.json()) == (200, {"status": False})
    assert "set-cookie" not in answer.headers
    assert nothing_began(place)


@pytest.mark.parametrize(
    "session",
    [
        {"expires": PAST},
        {"expires": None},
        {"expires": {"$gt": ""}},
        {"data": {"cookie": {}}},
        {"data": {"passport": {"user": {"$ne": None}}}},
        {"data": {"passport": {"user": str(OTHER_ID)}}},
        {"data": "{"},
    ],
    ids=str,
)
def test_a_session_that_is_over_or_nobodys_begins_nothing(
    place: Place, infactors: Database[dict[str, Any]], session: dict[str, Any]
) -> None:
    add_user(infactors)
    log_in(infactors, **session)
    answer = press(browser_of(place))
    assert (answer.status_code, answer.json()) == (200, {"status": False})
    assert nothing_began(place)


@pytest.mark.parametrize(
    "user",
    [
        {"type": "Buyer"},
        {"type": "Financier"},
        {"type": {"$ne": None}},
        {"accountStatus": "pending"},
        {"accountStatus": {"$ne": None}},
        {"email": {"$ne": None}},
        {"email": None},
    ],
    ids=str,
)
def test_a_session_of_somebody_who_is_no_verified_supplier_begins_nothing(
    place: Place, infactors: Database[dict[str, Any]], user: dict[str, Any]
) -> None:
    add_user(infactors, **user)
    log_in(infactors)
    answer = press(browser_of(place))
    assert (answer.status_code, answer.json()) == (200, {"status": False})
    assert nothing_began(place)


def test_why_it_failed_is_in_the_log_without_anything_secret(
    place: Place, infactors: Database[dict[str, Any]], logged: list[Any]
) -> None:
    add_user(infactors, type="Buyer")
    log_in(infactors)
    press(browser_of(place))
    press(place.browser())
    whys = [event["why"] for event in logged if event["event"] == "setup.refused"]
    assert whys == [
        "the account is refused: not_a_supplier",
        "no cookie of Infactor's, or not with the signature that the secret makes",
    ]
    for secret in ("supplier@example.com", SID, SESSION_SECRET, str(SUPPLIER_ID)):
        assert secret not in str(logged)


def test_a_session_that_lives_a_moment_longer_is_good(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors, expires=datetime.now(UTC) + timedelta(minutes=1))
    assert press(browser_of(place)).json()["status"] is True


class TestWithoutTheSecret:
    @pytest.fixture
    def more_settings(
        self, mongodb_url: str, infactors: Database[dict[str, Any]]
    ) -> dict[str, str]:
        return {"INFACTOR_MONGODB_URL": mongodb_url, "INFACTOR_MONGODB_DATABASE": infactors.name}

    def test_the_button_says_that_it_failed_and_the_log_says_why(
        self, place: Place, infactors: Database[dict[str, Any]], logged: list[Any]
    ) -> None:
        add_user(infactors)
        log_in(infactors)
        answer = press(browser_of(place))
        assert (answer.status_code, answer.json()) == (200, {"status": False})
        [refused] = [event for event in logged if event["event"] == "setup.refused"]
        assert refused["why"] == "INFACTOR_SESSION_SECRET is not set"
        assert nothing_began(place)


class TestAway:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {
            "INFACTOR_MONGODB_URL": away(),
            "INFACTOR_MONGODB_DATABASE": "ifactor",
            "INFACTOR_SESSION_SECRET": SESSION_SECRET,
        }

    def test_while_infactor_is_away_the_button_says_that_it_failed(
        self, place: Place, logged: list[Any]
    ) -> None:
        answer = press(browser_of(place))
        assert (answer.status_code, answer.json()) == (200, {"status": False})
        [refused] = [event for event in logged if event["event"] == "setup.refused"]
        assert refused["why"] == ("no MongoDB that takes writes answers at INFACTOR_MONGODB_URL")
        assert nothing_began(place)
