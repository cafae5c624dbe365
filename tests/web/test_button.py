"""Infactor's own "Connect Quickbook" button, and QuickBooks' answer to what it began."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pymongo.database import Database
from starlette.testclient import TestClient

from service.kit.clock import now
from service.store import sessions
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
from tests.web.button import BUTTON, begun, browser_of, press, whole_journey
from tests.web.conftest import OTHER, OURS, PUBLIC_URL, Place, said
from tests.web.problems import PROBLEM

PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def more_settings(mongodb_url: str, infactors: Database[dict[str, Any]]) -> dict[str, str]:
    """With Infactor's database and the secret of its sessions."""
    return {
        "INFACTOR_MONGODB_URL": mongodb_url,
        "INFACTOR_MONGODB_DATABASE": infactors.name,
        "INFACTOR_SESSION_SECRET": SESSION_SECRET,
    }


@pytest.fixture
def browser(place: Place, infactors: Database[dict[str, Any]]) -> TestClient:
    """The browser of a supplier who is logged in to Infactor."""
    add_user(infactors)
    log_in(infactors)
    return browser_of(place)


def nothing_began(place: Place) -> bool:
    return not any(map(place.rows, ("suppliers", "oauth_states", "sessions")))


def test_the_button_is_answered_with_intuits_consent(place: Place, browser: TestClient) -> None:
    answer = press(browser)
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
    place: Place, browser: TestClient
) -> None:
    answer = whole_journey(place, browser)
    [connection] = place.connections()
    assert answer.headers["location"] == f"/quickbook/connected/{connection.id}"
    page = browser.get(answer.headers["location"]).text
    assert "Our &lt;b&gt;Books&lt;/b&gt; is connected" in page
    assert '<div id="popup" class="actions" data-seconds="3" hidden>' in page
    assert "/quickbook/static/popup.js" in page
    assert "supplier@example.com" in said(page)


def test_a_browser_too_old_for_fetch_metadata_says_its_origin(browser: TestClient) -> None:
    answer = browser.post(BUTTON, headers={"origin": PUBLIC_URL})
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
    place: Place, browser: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = browser.post(BUTTON, json={}, headers=headers)
    assert answer.status_code == status
    assert status != 200 or answer.json() == {"status": False}
    assert "set-cookie" not in answer.headers
    assert nothing_began(place)


@pytest.mark.usefixtures("browser")
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
    place: Place, cookies: str
) -> None:
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


def kind(answer: httpx.Response) -> str:
    """Return the kind of the problem page to which an answer redirects, of the button's kind."""
    assert answer.status_code == 302
    address, _, way_back = answer.headers["location"].rpartition("/")
    assert way_back == "button"
    found = PROBLEM.fullmatch(address)
    assert found, answer.headers["location"]
    return found[1]


def test_the_answer_counts_only_while_the_session_lasts(
    place: Place, browser: TestClient, infactors: Database[dict[str, Any]]
) -> None:
    place.consent()
    back = place.decided(begun(browser))
    infactors["sessions"].delete_many({})
    answer = browser.get(back)
    assert kind(answer) == "logged-out"
    assert place.nothing_is_stored()
    assert not place.is_granted()  # the code was never exchanged

    page = browser.get(answer.headers["location"])
    assert page.status_code == 200
    assert "You are no longer logged in to Infactor" in said(page.text)
    assert (
        "Log in to Infactor again."
        " To try again, close this window and press “Connect Quickbook” in Infactor."
    ) in said(page.text)
    assert 'id="popup"' not in page.text
    assert "your link" not in said(page.text)


def ends(infactors: Database[dict[str, Any]]) -> None:
    infactors["sessions"].update_many({}, {"$set": {"expires": PAST}})


def logs_out(infactors: Database[dict[str, Any]]) -> None:
    infactors["sessions"].update_many({}, {"$unset": {"data.passport": ""}})


def becomes_a_buyer(infactors: Database[dict[str, Any]]) -> None:
    infactors["users"].update_many({}, {"$set": {"type": "Buyer"}})


def is_suspended(infactors: Database[dict[str, Any]]) -> None:
    infactors["users"].update_many({}, {"$set": {"accountStatus": "suspended"}})


def is_another_ones(infactors: Database[dict[str, Any]]) -> None:
    add_user(infactors, _id=OTHER_ID, email="other@example.com")
    infactors["sessions"].update_many({}, {"$set": {"data.passport.user": str(OTHER_ID)}})


@pytest.mark.parametrize(
    "meanwhile", [ends, logs_out, becomes_a_buyer, is_suspended, is_another_ones]
)
def test_whatever_ends_the_log_in_meanwhile_ends_the_journey(
    place: Place, browser: TestClient, infactors: Database[dict[str, Any]], meanwhile: Any
) -> None:
    place.consent()
    back = place.decided(begun(browser))
    meanwhile(infactors)
    assert kind(browser.get(back)) == "logged-out"
    assert place.nothing_is_stored()


def test_another_users_session_at_the_callback_connects_for_neither(
    place: Place, browser: TestClient, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors, _id=OTHER_ID, email="other@example.com")
    log_in(infactors, OTHER_SID, OTHER_ID)
    place.consent()
    back = place.decided(begun(browser))
    browser.cookies.set("connect.sid", SIGNED[OTHER_SID])
    assert kind(browser.get(back)) == "logged-out"
    assert place.nothing_is_stored()


def test_an_answer_in_another_browser_counts_for_nobody(place: Place, browser: TestClient) -> None:
    """As when somebody sends a victim, who is logged in too, the address of the answer."""
    place.consent()
    back = place.decided(begun(browser))
    assert kind(browser_of(place).get(back)) == "other-browser"
    assert place.nothing_is_stored()
    assert browser.get(back).headers["location"].startswith("/quickbook/connected/")


def test_an_answer_counts_once(place: Place, browser: TestClient) -> None:
    place.consent()
    back = place.decided(begun(browser))
    assert browser.get(back).headers["location"].startswith("/quickbook/connected/")
    answer = browser.get(back)
    assert kind(answer) == "answered-already"
    page = said(browser.get(answer.headers["location"]).text)
    assert "If you saw that your company is connected, you are all set." in page
    assert len(place.connections()) == 1


def test_a_denial_stays_open_and_leads_back_to_the_button(
    place: Place, browser: TestClient
) -> None:
    place.consent(approve=False)
    answer = browser.get(place.decided(begun(browser)))
    assert kind(answer) == "denied"
    page = browser.get(answer.headers["location"]).text
    assert "close this window and press “Connect Quickbook” in Infactor" in said(page)
    assert 'id="popup"' not in page
    assert "your link" not in said(page)


def test_the_button_renews_the_company_that_is_connected(place: Place, browser: TestClient) -> None:
    whole_journey(place, browser)
    [before] = place.connections()
    answer = whole_journey(place, browser_of(place))
    [after] = place.connections()
    assert answer.headers["location"] == f"/quickbook/connected/{before.id}"
    assert after.renewed_at > before.renewed_at


def test_the_button_connects_no_further_company(place: Place, browser: TestClient) -> None:
    whole_journey(place, browser)
    again = browser_of(place)
    answer = whole_journey(place, again, OTHER)
    assert kind(answer) == "other-company"
    assert len(place.connections()) == 1
    page = said(again.get(answer.headers["location"]).text)
    assert "choose the same company as before" in page


def test_a_company_of_another_supplier_is_refused_here_too(
    place: Place, browser: TestClient, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors, _id=OTHER_ID, email="other@example.com")
    log_in(infactors, OTHER_SID, OTHER_ID)
    whole_journey(place, browser)
    answer = whole_journey(place, browser_of(place, OTHER_SID))
    assert kind(answer) == "company-taken"


@pytest.mark.usefixtures("browser")
def test_a_session_of_our_own_for_another_supplier_does_not_decide_whose_company_it_is(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors, _id=OTHER_ID, email="other@example.com")
    browser = place.log_in("other@example.com")
    browser.cookies.set("connect.sid", SIGNED[SID])
    page = browser.get(whole_journey(place, browser).headers["location"])
    assert "supplier@example.com" in said(page.text)
    assert place.only(
        "SELECT email FROM suppliers JOIN connections ON supplier_id = suppliers.id"
    ) == ("supplier@example.com")


def test_a_link_still_connects_whoever_is_not_logged_in(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    answer = place.connect(place.browser())
    assert answer.headers["location"].startswith("/quickbook/connected/")


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

    def test_while_infactor_is_away_an_answer_says_to_wait(self, place: Place) -> None:
        browser = place.browser()
        place.do(
            "INSERT INTO suppliers (id, email, name, address, created_at)"
            " VALUES (1, 'supplier@example.com', '', '', '2026-11-01 00:00:00.000000')"
        )
        with place.services.database.write() as session:
            cookie = sessions.SUPPLIERS.begin(session, now(), supplier_id=None)
            state = sessions.begin_consent(
                session,
                session_digest=sessions.digest(cookie),
                environment="simulator",
                supplier_id=1,
                link_id=None,
                another_company=False,
                infactor_user=str(SUPPLIER_ID),
                now=now(),
            )
        browser.cookies.set("infactor_quickbooks", cookie)
        browser.cookies.set("connect.sid", SIGNED[SID])
        answer = browser.get(
            "/quickbook/connect", params={"code": "c", "realmId": OURS, "state": state}
        )
        assert kind(answer) == "infactor-away"
        assert "Wait a few minutes." in said(browser.get(answer.headers["location"]).text)
        assert place.nothing_is_stored()
