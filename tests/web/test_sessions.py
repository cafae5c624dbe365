"""Browsers: whose session it is, and how it becomes another one's."""

from datetime import datetime, timedelta

import pytest
from starlette.testclient import TestClient

from service.kit.clock import now
from tests.databases import statements
from tests.web.conftest import Place, said


def about_sessions(sent: list[str]) -> list[str]:
    """Return the statements that touch the table of sessions."""
    return [statement for statement in sent if "sessions" in statement]


OPEN_PAGES = [
    "/quickbook/problem/denied/K7QM-2F4T",
    "/quickbook/welcome",
    "/quickbook/disconnected",
    "/quickbook/launch",
    "/quickbook/goodbye",
]


@pytest.mark.parametrize("path", OPEN_PAGES)
@pytest.mark.parametrize("cookie", ["", "x", "a" * 42, "a" * 44, "a" * 42 + ".", "a" * 4000])
def test_a_cookie_that_cannot_be_ours_costs_no_question(
    place: Place, path: str, cookie: str
) -> None:
    browser = place.browser(cookie=f"infactor_quickbooks={cookie}")
    with statements(place.services.database) as sent:
        assert browser.get(path).status_code in (200, 303)
    assert about_sessions(sent) == []


def test_a_cookie_that_could_be_ours_is_looked_up(place: Place) -> None:
    browser = place.browser(cookie="infactor_quickbooks=" + "a" * 43)
    with statements(place.services.database) as sent:
        assert browser.get("/quickbook/welcome").status_code == 200
    assert len(about_sessions(sent)) == 1


@pytest.fixture
def browser(place: Place) -> TestClient:
    """The browser of a supplier who is logged in."""
    return place.log_in("first@example.com")


def sessions(place: Place) -> list[tuple[str, ...]]:
    """Return every session with its supplier's address."""
    with place.services.database.engine.connect() as connection:
        query = "SELECT digest, email FROM sessions JOIN suppliers ON suppliers.id = supplier_id"
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_another_suppliers_link_asks_first_and_changes_nothing(
    place: Place, browser: TestClient
) -> None:
    before = sessions(place)
    token = place.token("second@example.com", "view", name="Second & Sons")
    page = browser.get(f"/quickbook/view?token={token}")
    assert page.status_code == 200
    assert "set-cookie" not in page.headers
    assert "Second & Sons second@example.com In this browser you are logged in as:" in said(
        page.text
    )
    assert "Example Supplies first@example.com If you continue" in said(page.text)
    assert '<button class="wide">Continue as Second &amp; Sons</button>' in page.text
    assert sessions(place) == before
    assert [email for _, email in before] == ["first@example.com"]
    assert place.rows("suppliers") == 1
    assert "first@example.com" in said(browser.get("/quickbook/").text)


def test_no_request_but_the_answered_question_makes_a_browser_somebody_elses(
    place: Place, browser: TestClient
) -> None:
    """HEAD counts as safe, and other pages of our site can send it."""
    before = sessions(place)
    token = place.token("second@example.com", "view")
    answer = browser.head(f"/quickbook/view?token={token}")
    assert (answer.status_code, answer.headers.get("set-cookie")) == (200, None)
    assert sessions(place) == before


def test_whoever_continues_is_the_other_supplier_from_then_on(
    place: Place, browser: TestClient
) -> None:
    old = browser.cookies["infactor_quickbooks"]
    token = place.token("second@example.com", "view")
    answer = browser.post(f"/quickbook/view?token={token}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/quickbook/")
    assert [email for _, email in sessions(place)] == ["second@example.com"]
    page = said(browser.get("/quickbook/").text)
    assert "second@example.com" in page
    assert "first@example.com" not in page
    assert place.browser(cookie=f"infactor_quickbooks={old}").get("/quickbook/").status_code == 401


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nobody_is_logged_in_unasked(place: Place, method: str) -> None:
    """Not by an image of another site's page, nor by whoever looks ahead."""
    browser, token = place.browser(), place.token("first@example.com", "view")
    answer = browser.request(
        method,
        f"/quickbook/view?token={token}",
        headers={"sec-fetch-site": "cross-site", "sec-fetch-dest": "image"},
    )
    assert (answer.status_code, answer.headers.get("set-cookie")) == (200, None)
    assert answer.headers["content-type"].startswith("text/html")
    assert (place.rows("sessions"), place.rows("suppliers")) == (0, 0)
    assert browser.get("/quickbook/").status_code == 401
    page = browser.get(f"/quickbook/view?token={token}")
    assert "Example Supplies first@example.com Not you? Close this page" in said(page.text)
    assert '<button class="wide">Continue as Example Supplies</button>' in page.text
    assert "Stay as you are" not in page.text
    assert browser.post(f"/quickbook/view?token={token}").status_code == 303
    assert browser.get("/quickbook/").status_code == 200


def test_the_same_suppliers_link_goes_straight_through(place: Place, browser: TestClient) -> None:
    token = place.token("first@example.com", "view")
    answer = browser.get(f"/quickbook/view?token={token}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/quickbook/")
    assert [email for _, email in sessions(place)] == ["first@example.com"]


def test_another_site_cannot_make_a_browser_continue(place: Place, browser: TestClient) -> None:
    token = place.token("second@example.com", "view")
    address = f"/quickbook/view?token={token}"
    assert browser.post(address, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert [email for _, email in sessions(place)] == ["first@example.com"]


def test_logging_out_ends_the_session_everywhere(place: Place, browser: TestClient) -> None:
    cookie = browser.cookies["infactor_quickbooks"]
    answer = browser.post("/quickbook/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/quickbook/goodbye")
    assert browser.get("/quickbook/goodbye").status_code == 200
    assert "infactor_quickbooks" not in browser.cookies
    again = place.browser()
    again.cookies.set("infactor_quickbooks", cookie)
    assert again.get("/quickbook/").status_code == 401


def test_a_session_ends_by_itself_and_is_put_off_by_use_alone(place: Place) -> None:
    browser = place.log_in()
    soon = "strftime('%Y-%m-%d %H:%M:%f000', 'now', '+10 minutes')"
    place.do(f"UPDATE sessions SET expires_at = {soon}")
    ends = place.only("SELECT expires_at FROM sessions")
    browser.get("/quickbook/live")
    assert place.only("SELECT expires_at FROM sessions") == ends
    browser.get("/quickbook/")
    assert place.only("SELECT expires_at FROM sessions") > ends
    place.do("UPDATE sessions SET expires_at = '2020-01-01 00:00:00.000000'")
    assert browser.get("/quickbook/").status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/quickbook/", "/quickbook/live", "/quickbook/invoices/qbk-a", "/quickbook/connected/a"],
)
def test_without_a_session_a_page_says_how_to_get_in(place: Place, path: str) -> None:
    stranger = place.browser()
    place.begin(stranger, place.token())  # a cookie, of nobody yet
    for browser in (place.browser(), stranger):
        answer = browser.get(path)
        assert answer.status_code == 401
        assert "Open the link that Infactor gave you" in answer.text


def test_a_session_that_was_about_to_end_outlives_the_journey_that_begins_in_it(
    place: Place,
) -> None:
    browser = place.browser()
    place.begin(browser, place.token())
    soon = f"{now() + timedelta(seconds=90):%Y-%m-%d %H:%M:%S.%f}"
    place.do(f"UPDATE sessions SET expires_at = '{soon}'")
    place.begin(browser, place.token())
    left = place.only("SELECT (julianday(expires_at) - julianday('now')) * 24 FROM sessions")
    assert 11 < left <= 12.01


def as_sql(moment: datetime) -> str:
    return f"'{moment:%Y-%m-%d %H:%M:%S.%f}'"


def test_a_session_is_put_off_until_its_thirtieth_day_alone(place: Place) -> None:
    browser = place.log_in()
    begun = now() - timedelta(days=29, hours=20)
    place.do(f"UPDATE sessions SET created_at = {as_sql(begun)}")
    place.do(f"UPDATE sessions SET expires_at = {as_sql(now() + timedelta(hours=1))}")
    assert browser.get("/quickbook/").status_code == 200
    days = place.only("SELECT julianday(expires_at) - julianday(created_at) FROM sessions")
    assert days == pytest.approx(30)


def test_in_a_sessions_last_minutes_a_journey_begins_in_another(place: Place) -> None:
    browser = place.log_in("supplier@example.com")
    begun = now() - timedelta(days=29, hours=23, minutes=51)
    place.do(f"UPDATE sessions SET created_at = {as_sql(begun)}")
    place.consent()
    consent = place.begin(browser, place.token())
    assert place.rows("sessions") == 2
    place.do(f"DELETE FROM sessions WHERE created_at = {as_sql(begun)}")  # it has ended
    answer = browser.get(place.decided(consent))
    assert answer.headers["location"].startswith("/quickbook/connected/")
    assert browser.get("/quickbook/").status_code == 200


def test_a_journey_does_not_go_on_in_another_suppliers_session(place: Place) -> None:
    browser = place.browser()
    place.consent()
    consent = place.begin(browser, place.token())
    link = place.token("other@example.com", "view")
    assert place.opened(browser, link).headers["location"] == "/quickbook/"
    answer = browser.get(place.decided(consent))
    assert answer.headers["location"].startswith("/quickbook/problem/other-browser/")
    assert place.connections() == []
