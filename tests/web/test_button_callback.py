"""QuickBooks' answer to a journey that Infactor's own button began."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pymongo.database import Database

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
from tests.web.button import begun, browser_of, whole_journey
from tests.web.conftest import OTHER, OURS, Place, said
from tests.web.test_refused import PROBLEM

PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def more_settings(mongodb_url: str, infactors: Database[dict[str, Any]]) -> dict[str, str]:
    """With Infactor's database and the secret of its sessions."""
    return {
        "INFACTOR_MONGODB_URL": mongodb_url,
        "INFACTOR_MONGODB_DATABASE": infactors.name,
        "INFACTOR_SESSION_SECRET": SESSION_SECRET,
    }


def kind(answer: httpx.Response) -> str:
    """Return the kind of the problem page to which an answer redirects, of the button's kind."""
    assert answer.status_code == 302
    address, _, way_back = answer.headers["location"].rpartition("/")
    assert way_back == "button"
    found = PROBLEM.fullmatch(address)
    assert found, answer.headers["location"]
    return found[1]


def test_the_answer_counts_only_while_the_session_lasts(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors)
    browser = browser_of(place)
    place.consent()
    back = place.decided(begun(browser))
    infactors["sessions"].delete_many({})
    answer = browser.get(back)
    assert kind(answer) == "logged-out"
    assert place.nothing_is_stored()
    assert not place.is_granted()  # the code was never exchanged

    page = browser.get(answer.headers["location"])
    assert page.status_code == 200
    assert "You are not logged in to Infactor any more" in said(page.text)
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
    place: Place, infactors: Database[dict[str, Any]], meanwhile: Any
) -> None:
    add_user(infactors)
    log_in(infactors)
    browser = browser_of(place)
    place.consent()
    back = place.decided(begun(browser))
    meanwhile(infactors)
    assert kind(browser.get(back)) == "logged-out"
    assert place.nothing_is_stored()


def test_another_users_session_at_the_callback_connects_for_neither(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors)
    add_user(infactors, _id=OTHER_ID, email="other@example.com")
    log_in(infactors, OTHER_SID, OTHER_ID)
    browser = browser_of(place)
    place.consent()
    back = place.decided(begun(browser))
    browser.cookies.set("connect.sid", SIGNED[OTHER_SID])
    assert kind(browser.get(back)) == "logged-out"
    assert place.nothing_is_stored()


def test_an_answer_in_another_browser_counts_for_nobody(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    """As when somebody sends a victim, who is logged in too, the address of the answer."""
    add_user(infactors)
    log_in(infactors)
    browser = browser_of(place)
    place.consent()
    back = place.decided(begun(browser))
    assert kind(browser_of(place).get(back)) == "other-browser"
    assert place.nothing_is_stored()
    assert browser.get(back).headers["location"].startswith("/quickbook/connected/")


def test_an_answer_counts_once(place: Place, infactors: Database[dict[str, Any]]) -> None:
    add_user(infactors)
    log_in(infactors)
    browser = browser_of(place)
    place.consent()
    back = place.decided(begun(browser))
    assert browser.get(back).headers["location"].startswith("/quickbook/connected/")
    answer = browser.get(back)
    assert kind(answer) == "answered-already"
    page = said(browser.get(answer.headers["location"]).text)
    assert "If you saw that your company is connected, all is well." in page
    assert len(place.connections()) == 1


def test_a_denial_stays_open_and_leads_back_to_the_button(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors)
    browser = browser_of(place)
    place.consent(approve=False)
    answer = browser.get(place.decided(begun(browser)))
    assert kind(answer) == "denied"
    page = browser.get(answer.headers["location"]).text
    assert "close this window and press “Connect Quickbook” in Infactor" in said(page)
    assert 'id="popup"' not in page
    assert "your link" not in said(page)


def test_the_button_renews_the_company_that_is_connected(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors)
    browser = browser_of(place)
    whole_journey(place, browser)
    [before] = place.connections()
    answer = whole_journey(place, browser_of(place))
    [after] = place.connections()
    assert answer.headers["location"] == f"/quickbook/connected/{before.id}"
    assert after.renewed_at > before.renewed_at


def test_the_button_connects_no_further_company(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors)
    whole_journey(place, browser_of(place))
    browser = browser_of(place)
    answer = whole_journey(place, browser, OTHER)
    assert kind(answer) == "other-company"
    assert len(place.connections()) == 1
    page = said(browser.get(answer.headers["location"]).text)
    assert "choose the same company as before" in page


def test_a_company_of_another_supplier_is_refused_here_too(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors)
    add_user(infactors, _id=OTHER_ID, email="other@example.com")
    log_in(infactors, OTHER_SID, OTHER_ID)
    whole_journey(place, browser_of(place))
    answer = whole_journey(place, browser_of(place, OTHER_SID))
    assert kind(answer) == "company-taken"


def test_a_session_of_our_own_for_another_supplier_does_not_decide_whose_company_it_is(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    log_in(infactors)
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


class TestAway:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {
            "INFACTOR_MONGODB_URL": away(),
            "INFACTOR_MONGODB_DATABASE": "ifactor",
            "INFACTOR_SESSION_SECRET": SESSION_SECRET,
        }

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
