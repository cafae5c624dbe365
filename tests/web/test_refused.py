"""The connect journey: every way in which it ends without a connection."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from starlette.testclient import TestClient

from service.kit.clock import now
from service.web.connect.problems import Problem
from tests.web.conftest import OTHER, OURS, Place, said
from tests.web.problems import PROBLEM, kind


def consented(
    place: Place, browser: TestClient, email: str = "supplier@example.com", **consent: Any
) -> str:
    """Return the address to which QuickBooks sends this browser back."""
    place.consent(**consent)
    return place.decided(place.begin(browser, place.token(email)))


def test_denied(place: Place) -> None:
    browser = place.browser()
    answer = browser.get(consented(place, browser, approve=False))
    assert kind(answer) == "denied"
    assert place.nothing_is_stored()
    page = browser.get(answer.headers["location"])
    assert page.status_code == 200
    assert "You did not give permission" in page.text
    assert "open your link again. It still works" in page.text
    assert "Try again" not in page.text


def test_who_has_a_session_can_try_again_at_once(place: Place) -> None:
    browser = place.log_in()
    place.consent(approve=False)
    answer = browser.get(place.decided(browser.post("/quickbook/start").headers["location"]))
    assert kind(answer) == "denied"
    page = browser.get(answer.headers["location"]).text
    assert '<form method="post" action="/quickbook/start"' in page
    assert "Try again for Example Supplies , supplier@example.com" in said(page)
    place.consent()
    done = browser.get(place.decided(browser.post("/quickbook/start").headers["location"]))
    assert done.headers["location"].startswith("/quickbook/connected/")


def test_the_link_still_works_after_a_denial(place: Place) -> None:
    browser, token = place.browser(), place.token()
    place.consent(approve=False)
    browser.get(place.decided(place.begin(browser, token)))
    assert place.connect(browser, token).headers["location"].startswith("/quickbook/connected/")


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        ("invalid_scope", "refused-by-quickbooks"),
        ("server_error", "unavailable"),
        ("<b>supplier@example.com</b>", "refused-by-quickbooks"),
    ],
)
def test_another_error_of_quickbooks(
    place: Place, logged: list[Any], error: str, wanted: str
) -> None:
    browser = place.browser()
    consent = urlsplit(place.begin(browser, place.token()))
    state = parse_qs(consent.query)["state"][0]
    answer = browser.get("/quickbook/connect", params={"error": error, "state": state})
    assert kind(answer) == wanted
    assert "supplier@example.com" not in str(logged)


def test_an_answer_after_more_than_ten_minutes(place: Place) -> None:
    browser = place.browser()
    back = consented(place, browser)
    place.do("UPDATE oauth_states SET expires_at = '2020-01-01 00:00:00.000000'")
    assert kind(browser.get(back)) == "too-late"
    assert place.nothing_is_stored()


def test_an_answer_that_comes_twice(place: Place) -> None:
    browser = place.browser()
    back = consented(place, browser)
    assert browser.get(back).headers["location"].startswith("/quickbook/connected/")
    assert kind(browser.get(back)) == "answered-already"
    assert len(place.connections()) == 1
    assert place.is_granted()


@pytest.mark.parametrize("state", ["forged", "", "\0", "x" * 5000])
def test_a_forged_state(place: Place, state: str) -> None:
    browser = place.browser()
    place.begin(browser, place.token())
    forged = {"code": "c", "realmId": OURS, "state": state}
    assert kind(browser.get("/quickbook/connect", params=forged)) == "unknown-answer"
    assert kind(browser.get("/quickbook/connect")) == "unknown-answer"
    assert place.nothing_is_stored()


def test_an_answer_in_another_browser_counts_for_neither_and_spoils_nothing(
    place: Place,
) -> None:
    browser = place.browser()
    back = consented(place, browser)
    assert kind(place.browser().get(back)) == "other-browser"
    assert kind(place.log_in("other@example.com").get(back)) == "other-browser"
    assert place.nothing_is_stored()
    assert browser.get(back).headers["location"].startswith("/quickbook/connected/")


def test_a_journey_that_began_in_another_environment(place: Place) -> None:
    browser = place.browser()
    back = consented(place, browser)
    place.do("UPDATE oauth_states SET environment = 'sandbox'")
    assert kind(browser.get(back)) == "unknown-answer"
    assert place.nothing_is_stored()


@pytest.mark.parametrize(
    "change",
    [
        {"realmId": ""},
        {"realmId": "12ab"},
        {"realmId": "1" * 21},
        {"realmId": "\u0661\u0662"},
        {"realmId": OURS.translate({48 + n: 0xFF10 + n for n in range(10)})},
        {"realmId": "0000"},
        {"realmId": f"{OURS}/../{OTHER}"},
        {"code": ""},
        {"code": "c" * 513},
        {"code": "a\r\nb"},
    ],
)
def test_an_answer_with_something_missing_or_odd(place: Place, change: dict[str, str]) -> None:
    browser = place.browser()
    back = urlsplit(consented(place, browser))
    query = {name: values[0] for name, values in parse_qs(back.query).items()} | change
    assert kind(browser.get("/quickbook/connect", params=query)) == "incomplete"
    assert place.nothing_is_stored()


def test_a_code_of_another_journey_connects_nothing(place: Place) -> None:
    """Whoever has found somebody's code cannot use it with a state of their own."""
    victim, thief = place.browser(), place.browser()
    found, own = (
        dict(parse_qsl(urlsplit(consented(place, browser)).query)) for browser in (victim, thief)
    )
    answer = thief.get("/quickbook/connect", params=own | {"code": found["code"]})
    assert kind(answer) == "not-accepted"
    assert place.nothing_is_stored()


def test_a_company_that_another_supplier_holds(place: Place, logged: list[Any]) -> None:
    place.connect(place.browser(), place.token("first@example.com", name="First & Sons"))
    [held] = place.connections()
    browser = place.browser()
    answer = place.connect(browser, place.token("second@example.com"))
    assert kind(answer) == "company-taken"
    page = browser.get(answer.headers["location"]).text
    assert "First" not in page
    assert "first@example.com" not in page
    assert "Our" not in page.replace("Your", "")
    assert [c.refresh_sealed for c in place.connections()] == [held.refresh_sealed]
    assert place.rows("spent_links") == 1
    assert place.is_granted()
    event = next(e for e in logged if e["event"] == "connect.failed")
    assert event["connection"] == held.id


@pytest.mark.parametrize("written", [f"00{OURS}", f" {OURS} ", f"\u3000{OURS}\n", f"+{OURS}"])
def test_a_company_that_another_supplier_holds_in_another_spelling(
    place: Place, written: str
) -> None:
    place.connect(place.browser(), place.token("first@example.com"))
    browser = place.browser()
    back = urlsplit(consented(place, browser, "second@example.com"))
    query = {name: values[0] for name, values in parse_qs(back.query).items()}
    answer = browser.get("/quickbook/connect", params=query | {"realmId": written})
    assert kind(answer) == ("incomplete" if "+" in written else "company-taken")
    assert place.rows("connections") == 1


def test_a_company_that_another_supplier_has_lost_stays_theirs(place: Place) -> None:
    place.connect(place.browser(), place.token("first@example.com"))
    place.do("UPDATE connections SET state = 'disconnected'")
    answer = place.connect(place.browser(), place.token("second@example.com"))
    assert kind(answer) == "company-taken"
    assert place.connections()[0].state == "disconnected"


@pytest.mark.parametrize("state", ["connected", "disconnected"])
def test_another_company_than_before(place: Place, state: str) -> None:
    place.connect(place.browser())
    place.do(f"UPDATE connections SET state = '{state}'")
    answer = place.connect(place.browser(), realm=OTHER)
    assert kind(answer) == "other-company"
    assert len(place.connections()) == 1
    assert not place.is_granted(OTHER)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "token", "status": 503, "body": "<html>"},
        {"kind": "token", "drop": True},
        {"kind": "companyinfo", "preset": "5xx", "status": 503},
        {"kind": "companyinfo", "preset": "429-xml"},
        {"kind": "companyinfo", "preset": "truncated"},
        {"kind": "companyinfo", "drop": True},
    ],
    ids=lambda fault: " ".join(map(str, fault.values())),
)
def test_quickbooks_unwell_stores_nothing_and_the_link_works_afterwards(
    place: Place, fault: dict[str, Any]
) -> None:
    browser, token = place.browser(), place.token()
    place.sim("POST", "/faults", {**fault, "count": None})
    place.consent()
    assert kind(browser.get(place.decided(place.begin(browser, token)))) == "unavailable"
    assert place.nothing_is_stored()
    place.sim("DELETE", "/faults")
    assert place.connect(browser, token).headers["location"].startswith("/quickbook/connected/")


def test_quickbooks_unwell_while_renewing_leaves_the_connection_as_it_was(place: Place) -> None:
    place.connect(place.browser())
    [before] = place.connections()
    place.sim("POST", "/faults", {"kind": "companyinfo", "preset": "5xx", "status": 503})
    assert kind(place.connect(place.browser())) == "unavailable"
    [after] = place.connections()
    assert (after.state, after.refresh_sealed) == ("connected", before.refresh_sealed)
    assert place.is_granted()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "companyinfo", "preset": "403-3100"},
        {"kind": "companyinfo", "preset": "401"},
        {"kind": "token", "preset": "invalid_client"},
        {"kind": "token", "preset": "invalid_grant"},
    ],
    ids=lambda fault: " ".join(fault.values()),
)
def test_tokens_that_do_not_open_the_company_store_nothing(
    place: Place, fault: dict[str, Any]
) -> None:
    place.sim("POST", "/faults", {**fault, "count": None})
    assert kind(place.connect(place.browser())) == "not-accepted"
    assert place.nothing_is_stored()


def test_a_code_of_one_company_does_not_connect_another_one(place: Place) -> None:
    browser = place.browser()
    back = consented(place, browser, realm=OTHER)
    assert kind(browser.get(back.replace(OTHER, OURS))) == "not-accepted"
    assert place.nothing_is_stored()


def test_a_used_link_opens_nothing(place: Place) -> None:
    browser, token = place.browser(), place.token()
    place.connect(browser, token)
    assert kind(browser.get(f"/quickbook/authorise?token={token}")) == "link-used"
    assert kind(browser.post(f"/quickbook/authorise?token={token}")) == "link-used"


def test_a_link_that_was_used_in_the_meantime_stores_no_second_company(place: Place) -> None:
    token = place.token(another_company=True)
    first, second = place.browser(), place.browser()
    place.consent()
    one = place.decided(place.begin(first, token))
    place.consent(realm=OTHER)
    other = place.decided(place.begin(second, token))
    assert first.get(one).headers["location"].startswith("/quickbook/connected/")
    assert kind(second.get(other)) == "link-used"
    assert len(place.connections()) == 1


def test_an_expired_link(place: Place) -> None:
    token = place.token(at=now() - timedelta(days=7, seconds=1))
    assert kind(place.browser().get(f"/quickbook/authorise?token={token}")) == "link-expired"
    assert kind(place.browser().post(f"/quickbook/authorise?token={token}")) == "link-expired"
    token = place.token(purpose="view", at=now() - timedelta(hours=24, seconds=1))
    assert kind(place.browser().get(f"/quickbook/view?token={token}")) == "link-expired"


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "e30.e30.", "\0", "x" * 9000])
def test_a_forged_link(place: Place, token: str) -> None:
    for path in ("authorise", "view"):
        answer = place.browser().get(f"/quickbook/{path}", params={"token": token})
        assert kind(answer) == "link-invalid"


def test_a_link_for_one_purpose_does_not_serve_the_other(place: Place) -> None:
    view = place.token(purpose="view")
    assert kind(place.browser().get(f"/quickbook/authorise?token={view}")) == "link-invalid"
    assert kind(place.browser().get(f"/quickbook/view?token={place.token()}")) == "link-invalid"


def test_an_error_that_nobody_foresaw_is_a_redirect_too(place: Place) -> None:
    browser = place.browser()
    back = consented(place, browser)
    place.do("DROP TABLE spent_links")
    answer = browser.get(back)
    assert kind(answer) == "unexpected"
    assert browser.get(answer.headers["location"]).status_code == 200


@pytest.mark.parametrize("problem", list(Problem))
def test_every_problem_has_a_page_of_its_own_that_stays_open(
    place: Place, problem: Problem
) -> None:
    page = place.browser().get(f"/quickbook/problem/{problem}/K7QM-2F4T")
    assert page.status_code == 200
    assert '<span class="reference">K7QM-2F4T</span>' in page.text
    assert 'id="popup"' not in page.text  # which would close by itself


@pytest.mark.parametrize(
    ("problem", "again"),
    [
        ("link-invalid", False),
        ("link-expired", False),
        ("link-used", False),
        ("not-in-infactor", False),
        ("not-a-supplier", False),
        ("not-verified", False),
        ("infactor-away", False),
        ("logged-out", False),
        ("unknown-answer", False),
        ("other-browser", True),
        ("too-late", True),
        ("answered-already", False),
        ("denied", True),
        ("refused-by-quickbooks", True),
        ("incomplete", True),
        ("company-taken", True),
        ("other-company", True),
        ("not-accepted", True),
        ("unavailable", True),
        ("unexpected", True),
    ],
)
def test_trying_again_is_offered_where_it_can_help(place: Place, problem: str, again: bool) -> None:
    page = place.log_in().get(f"/quickbook/problem/{problem}/K7QM-2F4T").text
    assert ('<button id="again" class="connect">Try again</button>' in page) is again
    assert ('class="button" href="/quickbook/">To your invoices</a>' in page) is not again
    page = place.browser().get(f"/quickbook/problem/{problem}/K7QM-2F4T").text
    assert "<form" not in page


@pytest.mark.parametrize(
    "path", ["made-up/K7QM-2F4T", "denied/k7qm-2f4t", "denied/K7QM-2F4T0", "denied/%3Cb%3E"]
)
def test_a_made_up_problem_is_no_page(place: Place, path: str) -> None:
    assert place.browser().get(f"/quickbook/problem/{path}").status_code == 404


def test_support_finds_the_journey_by_its_reference_and_intuits_trace_id(
    place: Place, logged: list[Any]
) -> None:
    place.sim("POST", "/faults", {"kind": "companyinfo", "preset": "403-3100"})
    answer = place.connect(place.browser())
    reference = PROBLEM.fullmatch(answer.headers["location"])[2]
    [event] = [e for e in logged if e["event"] == "connect.failed"]
    assert event["reference"] == reference
    assert event["kind"] == "not-accepted"
    assert event["intuit_tid"].startswith("1-")


def test_who_cancels_a_renewal_stays_connected_and_is_told_so(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    place.consent(approve=False)
    answer = browser.get(place.decided(browser.post("/quickbook/start").headers["location"]))
    page = browser.get(answer.headers["location"]).text
    assert "You did not give permission" in page
    assert "Companies that were connected before stay connected." in said(page)
    assert "Not connected" not in page
    place.do("UPDATE connections SET state = 'disconnected'")
    page = browser.get(answer.headers["location"]).text
    assert '<p class="tag plain">Not connected</p>' in page
    assert "stays so" not in page
    # Without a session it may be connected for all that is known.
    page = place.browser().get(answer.headers["location"]).text
    assert "Not connected" not in page
    assert '<p class="tag plain">Nothing was changed</p>' in page


def test_a_pop_up_in_which_nothing_came_of_it_can_be_closed(place: Place) -> None:
    page = place.browser().get("/quickbook/problem/denied/AAAA-AAAA").text
    assert '<p id="popup-back" hidden><button type="button"' in page
    assert "/quickbook/static/popup.js?" in page
