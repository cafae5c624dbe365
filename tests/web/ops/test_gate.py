"""Who is let through to the operators' pages, and what everybody else is told."""

import re
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from starlette.routing import Route

from service.app import routes
from tests.web.conftest import Place, said
from tests.web.ops.operators import PASSWORD, audited, operator

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "ANYTHING")


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


@pytest.mark.parametrize("method", METHODS)
def test_nobody_learns_which_pages_and_orders_there_are(place: Place, method: str) -> None:
    def answered(address: str) -> tuple[int, str, dict[str, str]]:
        answer = place.browser().request(method, address)
        location = answer.headers["location"].replace(quote(address, safe=""), "HERE")
        return answer.status_code, answer.text, {**answer.headers, "location": location}

    unknown = {suffix: answered(f"/ops/nothing/here{suffix}") for suffix in ("", ".csv")}
    assert [status for status, *_ in unknown.values()] == [303, 303]
    leads_there_anyway = {"/ops", "/ops/"} if method in ("GET", "POST") else set()
    for address in {address for _, address in every_route(place)} - leads_there_anyway:
        assert answered(address) == unknown[Path(address).suffix], address


@pytest.mark.parametrize("method", sorted({*METHODS} - {"GET", "HEAD", "POST"}))
def test_a_method_that_no_page_has_is_no_page(place: Place, method: str) -> None:
    browser = operator(place)
    for address in ("/ops", "/ops/", "/ops/connections", "/ops/login", "/ops/nothing/here"):
        assert browser.request(method, address).status_code == 404, address


def test_an_operators_cookie_opens_no_page_of_a_supplier(place: Place) -> None:
    browser = operator(place)
    cookie = browser.cookies["infactor_ops"]
    browser.cookies.set("infactor_quickbooks", cookie)
    assert browser.get("/quickbook/").status_code == 401


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
    assert audited(place) == [("ops:ada", "login", None)]


def test_pages_of_operators_have_the_headers_of_all_pages(place: Place) -> None:
    answer = operator(place).get("/ops/")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?! src)|<style|\sstyle=|\son\w+=", answer.text)


@pytest.mark.parametrize(
    ("path", "onward"),
    [
        ("/ops/connections/c1/pause", "/ops/connections/c1"),
        ("/ops/runs/5/confirm", "/ops/runs/5"),
        ("/ops/events/replay", "/ops/events"),
        ("/ops/findings/7/acknowledge", "/ops/findings"),
        ("/ops/connections", "/ops/"),
    ],
)
def test_an_order_after_the_session_has_ended_is_told_to_be_not_done(
    place: Place, path: str, onward: str
) -> None:
    browser = place.browser()
    answer = browser.post(path)
    assert answer.headers["location"] == f"/ops/login?{urlencode({'ended': 'yes', 'next': path})}"
    page = browser.get(answer.headers["location"]).text
    assert f'name="next" value="{onward}"' in page
    page = said(page)
    assert (
        "Your session had ended: what you asked for was not done. Log in, and do it again" in page
    )


def test_an_error_that_nobody_foresaw_is_a_page_with_its_reference(place: Place) -> None:
    browser = operator(place)
    place.do("ALTER TABLE findings RENAME TO gone")
    answer = browser.get("/ops/findings")
    assert answer.status_code == 500
    assert re.search(r"Something went wrong .* [A-Z0-9]{4}-[A-Z0-9]{4} ", said(answer.text))
    assert 'href="/ops/"' in answer.text


def test_a_page_that_is_not_there_says_so_to_operators(place: Place) -> None:
    answer = operator(place).get("/ops/nothing/here")
    assert answer.status_code == 404
    assert "Page not found" in said(answer.text)


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
