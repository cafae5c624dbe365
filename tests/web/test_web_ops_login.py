"""Operators: who gets in, how often one may try, and when a session ends."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import unquote

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from service import passwords
from service.app import create_app, routes
from service.bootstrap import bootstrap
from service.errors import ConfigurationError
from service.settings_source import settings_from
from service.web.ops.addresses import inside
from tests.web.conftest import PUBLIC_URL, Place, said, settings_of
from tests.web.ops import PASSWORD, audit, entry, operator, try_to_log_in

BOB = "another long password"


@pytest.fixture
def more_settings() -> dict[str, str]:
    return {"OPS_USERS": f"{entry('ada')}, {entry('bob', BOB)}"}


def every_route(place: Place) -> list[tuple[str, str]]:
    """Return (method, address) of each route of operators but the log-in."""
    return [
        (method, re.sub(r"{\w+(:\w+)?}", "1", route.path))
        for route in routes(place.services.settings)
        if isinstance(route, Route) and route.path.startswith("/ops")
        for method in sorted((route.methods or set()) - {"HEAD"})
        if route.path != "/ops/login"
    ]


def test_nobody_reaches_any_page_of_operators(place: Place) -> None:
    found = every_route(place)
    assert len(found) > 3
    supplier = place.log_in()
    for method, address in found:
        for browser in (place.browser(), supplier):
            answer = browser.request(method, address)
            assert answer.status_code == 303, (method, address)
            assert answer.headers["location"].startswith("/ops/login"), (method, address)
            by_htmx = browser.request(method, address, headers={"hx-request": "true"})
            assert (by_htmx.status_code, by_htmx.text) == (401, ""), (method, address)
            assert by_htmx.headers["hx-refresh"] == "true"
    assert place.rows("audit") == 0


def test_an_operators_cookie_opens_no_page_of_a_supplier(place: Place) -> None:
    browser = operator(place)
    cookie = browser.cookies["infactor_ops"]
    browser.cookies.set("infactor_quickbooks", cookie)
    assert browser.get("/quickbook/").status_code == 401


def test_who_logs_in_comes_to_where_they_wanted_to_go(place: Place) -> None:
    browser = place.browser()
    answer = browser.get("/ops/notices?status=parked")
    where = answer.headers["location"]
    assert where == "/ops/login?next=%2Fops%2Fnotices%3Fstatus%3Dparked"
    page = browser.get(where)
    assert '<input type="hidden" name="next" value="/ops/notices?status=parked">' in page.text
    answer = try_to_log_in(browser, next=unquote(where.partition("next=")[2]))
    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/notices?status=parked")
    assert browser.get("/ops/").status_code == 200
    assert browser.get("/ops/login").headers["location"] == "/ops/"
    assert audit(place) == [("ops:ada", "login", None)]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/quickbook/",
        "/ops/../quickbook/",
        "/ops//evil.example",
        "/ops/%2e%2e/quickbook",
        "/ops/logout",
        "/ops/login?next=/ops/",
        "/ops/notices\r\nset-cookie: a=b",
        "/ops/" + "a" * 500,
        "",
    ],
)
def test_a_log_in_leads_nowhere_else(place: Place, elsewhere: str) -> None:
    assert inside(elsewhere) == "/ops/"
    answer = try_to_log_in(place.browser(), next=elsewhere)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/")


def test_an_address_that_never_ends_is_looked_at_in_no_time() -> None:
    began = time.perf_counter()
    assert inside("/ops/" + "a" * 400 + "!") == "/ops/"
    assert time.perf_counter() - began < 0.1


def test_a_wrong_name_and_a_wrong_password_are_the_same_answer(place: Place) -> None:
    answers = [
        try_to_log_in(place.browser(), name, password)
        for name, password in (("ada", "wrong"), ("eve", PASSWORD), ("ada", BOB), ("", ""))
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert "Name and password do not fit." in said(answers[0].text)
    assert not any("set-cookie" in answer.headers for answer in answers)


def test_a_name_of_nobody_takes_as_long_and_is_not_kept(place: Place) -> None:
    def seconds(name: str) -> float:
        began = time.perf_counter()
        try_to_log_in(place.browser(), name, "wrong password")
        return time.perf_counter() - began

    known, unknown = min(seconds("ada") for _ in "123"), min(seconds("eve") for _ in "123")
    assert 0.5 < unknown / known < 2
    assert known > 0.03
    assert audit(place)[0] == ("ops:ada", "login refused", None)
    assert audit(place)[-1] == ("ops:unknown", "login refused", None)
    assert place.only("SELECT count(*) FROM login_attempts WHERE about LIKE '%eve%'") == 0


def test_five_failures_lock_a_name_even_for_the_right_password(place: Place) -> None:
    for _ in range(5):
        assert try_to_log_in(place.browser(), "ada", "wrong").status_code == 401
    locked = try_to_log_in(place.browser(), "ada")
    assert locked.status_code == 429
    assert 800 < int(locked.headers["retry-after"]) <= 900
    assert re.search(
        r"Too many log-ins have failed\. Try again after \d+ \w+ \d{4}, \d\d:\d\d",
        said(locked.text),
    )
    assert "set-cookie" not in locked.headers
    assert try_to_log_in(place.browser(), "bob", BOB).status_code == 303
    place.do("UPDATE login_attempts SET at = strftime('%Y-%m-%d %H:%M:%f000', at, '-15 minutes')")
    assert try_to_log_in(place.browser(), "ada").status_code == 303


def test_a_crowd_of_guesses_at_once_gets_no_more_of_them(place: Place) -> None:
    with ThreadPoolExecutor(12) as crowd:
        answers = crowd.map(lambda _: try_to_log_in(place.browser(), "ada", "wrong"), range(12))
    found = [answer.status_code for answer in answers]
    assert set(found) <= {401, 429}
    assert found.count(401) <= 5


def test_trying_while_locked_does_not_lock_for_longer(place: Place) -> None:
    for _ in range(5):
        try_to_log_in(place.browser(), "ada", "wrong")
    before = place.rows("login_attempts")
    assert try_to_log_in(place.browser(), "ada").status_code == 429
    assert place.rows("login_attempts") == before == 10


def test_a_right_password_forgives_the_failures_before(place: Place) -> None:
    for _ in range(3):
        for _ in range(4):
            assert try_to_log_in(place.browser(), "ada", "wrong").status_code == 401
        assert try_to_log_in(place.browser(), "ada").status_code == 303


def test_one_place_may_not_try_every_name(place: Place) -> None:
    for number in range(20):
        assert try_to_log_in(place.browser(), f"name{number}", "wrong").status_code == 401
    assert try_to_log_in(place.browser(), "ada").status_code == 429


def test_logging_out_ends_the_session_everywhere(place: Place) -> None:
    browser = operator(place)
    cookie = browser.cookies["infactor_ops"]
    answer = browser.post("/ops/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/login")
    assert "infactor_ops" not in browser.cookies
    again = place.browser(cookie=f"infactor_ops={cookie}")
    assert again.get("/ops/").status_code == 303
    assert audit(place) == [("ops:ada", "login", None), ("ops:ada", "logout", None)]


def test_another_log_in_replaces_the_session_of_the_same_browser(place: Place) -> None:
    browser = operator(place)
    old = browser.cookies["infactor_ops"]
    assert try_to_log_in(browser, "bob", BOB).status_code == 303
    assert browser.cookies["infactor_ops"] != old
    assert place.only("SELECT name FROM operator_sessions") == "bob"


def test_the_cookie_is_for_operators_pages_alone_and_the_database_does_not_know_it(
    place: Place,
) -> None:
    browser = place.browser()
    given = try_to_log_in(browser).headers["set-cookie"]
    assert given.endswith("; HttpOnly; Path=/ops; SameSite=lax")
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
    services = bootstrap(settings, place.services.jobs.broker)
    with TestClient(
        create_app(services), base_url="https://books.example.com", follow_redirects=False
    ) as browser:
        given = try_to_log_in(browser).headers["set-cookie"]
        assert given.startswith("__Host-infactor_ops=")
        assert given.endswith("; HttpOnly; Path=/; SameSite=lax; Secure")
        assert browser.get("/ops/").status_code == 200


def test_a_session_slides_with_use_but_ends_after_twelve_hours(place: Place) -> None:
    browser = operator(place)
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
        + shift.format("'now'", "-11 hours', '-55 minutes")
        + ", expires_at = "
        + shift.format("'now'", "+2 minutes")
    )
    assert browser.get("/ops/").status_code == 200
    minutes_left = "(julianday(expires_at) - julianday('now')) * 1440 FROM operator_sessions"
    assert 4 < place.only(f"SELECT {minutes_left}") < 5.1
    place.do("UPDATE operator_sessions SET expires_at = '2020-01-01 00:00:00.000000'")
    assert browser.get("/ops/").status_code == 303


@pytest.mark.parametrize("users", [entry("bob", BOB), entry("ada", "a quite new password")])
def test_who_is_gone_or_has_another_password_is_logged_out(place: Place, users: str) -> None:
    browser = operator(place)
    changed = settings_from(
        {
            **settings_of(place.simulator.url, "sqlite://"),
            "DATABASE_URL": place.services.settings.database_url.get_secret_value(),
            "OPS_USERS": users,
        }
    )
    services = bootstrap(changed, place.services.jobs.broker)
    with TestClient(create_app(services), base_url=PUBLIC_URL, follow_redirects=False) as restarted:
        restarted.cookies.set("infactor_ops", browser.cookies["infactor_ops"])
        assert restarted.get("/ops/").status_code == 303


def test_another_site_can_neither_log_in_nor_order_anything(place: Place) -> None:
    browser = operator(place)
    for method, address in every_route(place):
        if method == "POST":
            for headers in (
                {"sec-fetch-site": "cross-site"},
                {"sec-fetch-site": "same-site"},
                {"origin": "https://evil.example"},
            ):
                assert browser.post(address, headers=headers).status_code == 403, address
    data = {"name": "ada", "password": PASSWORD}
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        assert place.browser().post("/ops/login", data=data, headers=headers).status_code == 403
    assert audit(place) == [("ops:ada", "login", None)]


def test_pages_of_operators_have_the_headers_of_all_pages(place: Place) -> None:
    answer = operator(place).get("/ops/")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?! src)|<style|\sstyle=|\son\w+=", answer.text)


def test_an_order_after_the_session_has_ended_is_told_to_be_not_done(place: Place) -> None:
    browser = place.browser()
    answer = browser.post("/ops/connections/c1/pause")
    assert answer.headers["location"] == "/ops/login?ended=yes"
    page = said(browser.get("/ops/login?ended=yes").text)
    assert "Your session had ended: nothing was done. Log in, and do it again." in page
    assert browser.post("/ops/logout").headers["location"] == "/ops/login"


def test_an_error_that_nobody_foresaw_is_a_page_with_its_reference(place: Place) -> None:
    browser = operator(place)
    place.do("ALTER TABLE findings RENAME TO gone")
    answer = browser.get("/ops/findings")
    assert answer.status_code == 500
    assert re.search(r"Something went wrong .* [A-Z0-9]{4}-[A-Z0-9]{4} ", said(answer.text))
    assert 'href="/ops/"' in answer.text


@pytest.mark.parametrize("charset", ["utf-7", "punycode", "undefined", "utf-8"])
def test_a_form_of_another_kind_is_refused_before_it_is_read(place: Place, charset: str) -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="name"\r\n\r\n+2AA-\r\n--B--\r\n'
    headers = {"content-type": f"multipart/form-data; boundary=B; charset={charset}"}
    assert place.browser().post("/ops/login", content=body, headers=headers).status_code == 415


def test_a_page_that_is_not_there_says_so_to_operators(place: Place) -> None:
    answer = operator(place).get("/ops/nothing/here")
    assert answer.status_code == 404
    assert "There is no such page" in said(answer.text)


@pytest.mark.parametrize("body", [b"x" * 70_000, b"name=" + b"a" * 65_536])
def test_a_form_without_end_is_refused(place: Place, body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert place.browser().post("/ops/login", content=body, headers=headers).status_code == 413


class TestOff:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {}

    @pytest.mark.parametrize("path", ["/ops", "/ops/", "/ops/login", "/ops/connections/1"])
    def test_without_operators_there_are_no_pages_of_theirs(self, place: Place, path: str) -> None:
        for method in ("GET", "POST"):
            known, unknown = (place.browser().request(method, p) for p in (path, "/no/such/page"))
            assert (known.status_code, known.text) == (404, "Not Found\n")
            assert (known.text, known.headers) == (unknown.text, unknown.headers)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("ada", "entry 1 has no hash after its colon"),
        (":scrypt", "entry 1 has no name of lower-case letters"),
        ("Ada:x", "entry 1 has no name of lower-case letters"),
        ("ada:scrypt.16.8.1.c2FsdHNhbHRzYWx0c2FsdA.x", "entry 1 has no hash after its colon"),
        ("ada:$2b$12$zq", "entry 1 has no hash after its colon"),
        (f"{entry('ada')},{entry('ada', 'other password')}", "entry 2 has the name of an earlier"),
    ],
)
def test_a_wrong_entry_is_told_without_its_value(value: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_from({**settings_of("http://127.0.0.1:1", "sqlite:///x.db"), "OPS_USERS": value})
    assert str(refused.value).startswith(f"OPS_USERS: {problem}")
    assert "scrypt" not in str(refused.value)


def test_a_hash_has_no_character_that_a_file_of_settings_would_change() -> None:
    made = passwords.hashed(PASSWORD)
    assert re.fullmatch(r"scrypt\.32768\.8\.1\.[\w-]{22}\.[\w-]{43}", made)
    assert passwords.fits(PASSWORD, made)
    assert not passwords.fits(PASSWORD + "x", made)
    assert passwords.hashed(PASSWORD) != made


@pytest.mark.parametrize(
    "text",
    [
        "scrypt.8192.8.1.c2FsdHNhbHRzYWx0c2FsdA." + "A" * 43,
        "scrypt.32769.8.1.c2FsdHNhbHRzYWx0c2FsdA." + "A" * 43,
        "scrypt.1048576.8.1.c2FsdHNhbHRzYWx0c2FsdA." + "A" * 43,
        "scrypt.32768.8.9.c2FsdHNhbHRzYWx0c2FsdA." + "A" * 43,
        "scrypt.32768.8.1.c2FsdA." + "A" * 43,
    ],
)
def test_a_hash_that_is_too_cheap_or_too_dear_is_none(text: str) -> None:
    assert not passwords.is_hash(text)


def test_the_dearest_hash_can_be_looked_at() -> None:
    dearest = "scrypt.131072.8.1.c2FsdHNhbHRzYWx0c2FsdA." + "A" * 43
    assert passwords.is_hash(dearest)
    assert not passwords.fits("wrong", dearest)


def test_what_has_expired_is_forgotten(place: Place) -> None:
    from service.store import operators
    from service.times import now

    operator(place)
    try_to_log_in(place.browser(), "ada", "wrong")
    with place.services.database.write() as session:
        operators.prune(session, now())
    assert (place.rows("operator_sessions"), place.rows("login_attempts")) == (1, 2)
    with place.services.database.write() as session:
        operators.prune(session, now() + timedelta(hours=13))
    assert (place.rows("operator_sessions"), place.rows("login_attempts")) == (0, 0)
