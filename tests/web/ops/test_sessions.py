"""Operators' sessions: their cookies, and when they end."""

from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.config.loading import settings_from
from service.kit.clock import now
from service.services import build_services
from service.store import login_attempts, sessions
from tests.databases import statements
from tests.web.conftest import PUBLIC_URL, Place, settings_of
from tests.web.ops.operators import BOB, audited, entry, logged_in, try_to_log_in


def test_logging_out_ends_the_session_everywhere(place: Place) -> None:
    browser = logged_in(place)
    cookie = browser.cookies["infactor_ops"]
    answer = browser.post("/ops/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/login")
    assert "infactor_ops" not in browser.cookies
    again = place.browser(cookie=f"infactor_ops={cookie}")
    assert again.get("/ops/").status_code == 303
    assert audited(place) == [("ops:ada", "login", None), ("ops:ada", "logout", None)]


def test_another_log_in_replaces_the_session_of_the_same_browser(place: Place) -> None:
    browser = logged_in(place)
    old = browser.cookies["infactor_ops"]
    assert try_to_log_in(browser, "bob", BOB).status_code == 303
    assert browser.cookies["infactor_ops"] != old
    assert place.only("SELECT name FROM operator_sessions") == "bob"


def test_the_cookie_is_for_operators_pages_alone_and_the_database_does_not_know_it(
    place: Place,
) -> None:
    browser = place.browser()
    session, known = try_to_log_in(browser).headers.get_list("set-cookie")
    assert session.endswith("; HttpOnly; Path=/ops; SameSite=lax")
    assert known.endswith("; HttpOnly; Max-Age=15552000; Path=/ops; SameSite=strict")
    assert browser.cookies["infactor_ops"] not in place.only("SELECT digest FROM operator_sessions")


def test_behind_https_the_cookie_is_bound_to_the_host(place: Place) -> None:
    settings = settings_from(
        {
            **settings_of("", "sqlite://"),
            "QUICKBOOKS_ENVIRONMENT": "production",
            "QUICKBOOKS_SIMULATOR_URL": "",
            "PUBLIC_URL": "https://books.example.com",
            "DATABASE_URL": place.services.settings.database_url.get_secret_value(),
            "OPS_USERS": entry("ada"),
        }
    )
    services = build_services(settings, place.services.jobs.broker)
    with TestClient(
        create_app(services), base_url="https://books.example.com", follow_redirects=False
    ) as browser:
        session, known = try_to_log_in(browser).headers.get_list("set-cookie")
        assert session.startswith("__Host-infactor_ops=")
        assert session.endswith("; HttpOnly; Path=/; SameSite=lax; Secure")
        assert known.startswith("__Host-infactor_ops_known=")
        assert known.endswith("; Path=/; SameSite=strict; Secure")
        assert browser.get("/ops/").status_code == 200


def test_a_session_slides_with_use_but_ends_after_twelve_hours(place: Place) -> None:
    browser = logged_in(place)
    shift = "strftime('%Y-%m-%d %H:%M:%f000', {}, '{}')"

    def older(by: str) -> None:
        created, expires = shift.format("created_at", by), shift.format("expires_at", by)
        place.do(f"UPDATE operator_sessions SET created_at = {created}, expires_at = {expires}")

    older("-50 minutes")
    ends = place.only("SELECT expires_at FROM operator_sessions")
    browser.get("/ops/live")
    assert place.only("SELECT expires_at FROM operator_sessions") == ends
    assert browser.get("/ops/").status_code == 200
    later = place.only("SELECT expires_at FROM operator_sessions")
    assert later > ends
    place.do(
        "UPDATE operator_sessions SET created_at = "
        + shift.format("'now'", "-11 hours', '-50 minutes")
        + ", expires_at = "
        + shift.format("'now'", "+2 minutes")
    )
    assert browser.get("/ops/").status_code == 200
    minutes_left = "(julianday(expires_at) - julianday('now')) * 1440 FROM operator_sessions"
    assert 9 < place.only(f"SELECT {minutes_left}") < 10.1
    place.do("UPDATE operator_sessions SET expires_at = '2020-01-01 00:00:00.000000'")
    assert browser.get("/ops/").status_code == 303


@pytest.mark.parametrize(("name", "password"), [("bob", BOB), ("ada", "a quite new password")])
def test_who_is_gone_or_has_another_password_is_logged_out(
    place: Place, name: str, password: str
) -> None:
    browser = logged_in(place)
    changed = settings_from(
        {
            **settings_of(place.simulator.url, "sqlite://"),
            "DATABASE_URL": place.services.settings.database_url.get_secret_value(),
            "OPS_USERS": entry(name, password),
        }
    )
    services = build_services(changed, place.services.jobs.broker)
    with TestClient(create_app(services), base_url=PUBLIC_URL, follow_redirects=False) as restarted:
        restarted.cookies.set("infactor_ops", browser.cookies["infactor_ops"])
        assert restarted.get("/ops/").status_code == 303


def test_what_has_expired_is_forgotten(place: Place) -> None:
    logged_in(place)
    try_to_log_in(place.browser(), "ada", "wrong")
    with place.services.database.write() as session:
        sessions.prune(session, now())
        login_attempts.prune(session, now())
    assert (place.rows("operator_sessions"), place.rows("login_attempts")) == (1, 3)
    with place.services.database.write() as session:
        sessions.prune(session, now() + timedelta(hours=13))
        login_attempts.prune(session, now() + timedelta(hours=13))
    assert (place.rows("operator_sessions"), place.rows("login_attempts")) == (0, 0)


def test_in_a_sessions_last_hour_pages_do_not_write(place: Place) -> None:
    browser = logged_in(place)
    created = now() - timedelta(hours=11, minutes=30)
    place.do(
        f"UPDATE operator_sessions SET created_at = '{created:%Y-%m-%d %H:%M:%S.%f}',"
        f" expires_at = '{created + timedelta(hours=12):%Y-%m-%d %H:%M:%S.%f}'"
    )
    with statements(place.services.database) as sent:
        assert browser.get("/ops/").status_code == 200
    reading = ("SELECT", "BEGIN", "PRAGMA")
    writing = [one for one in sent if not one.lstrip().upper().startswith(reading)]
    # But for the trial whether the database takes writes.
    assert [one for one in writing if not one.startswith("INSERT INTO heartbeats")] == []
    assert len(sent) > 5
