"""What every answer carries, what is refused at the door, and what is logged."""

import asyncio
import re
from typing import Any
from urllib.parse import unquote

import pytest
import structlog

from service.app import consent_origins
from service.config.loading import settings_from
from tests.web.conftest import OURS, Place, settings_of


def test_every_answer_tells_browsers_what_our_pages_never_do(place: Place) -> None:
    browser = place.browser()
    for path in (
        f"/quickbook/authorise?token={place.token()}",
        "/quickbook/",
        "/quickbook/connect",
        "/quickbook/no-such-page",
        "/livez",
    ):
        headers = browser.get(path).headers
        assert headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
            f" connect-src 'self'; form-action 'self' {place.simulator.url};"
            " frame-ancestors 'none'; base-uri 'none'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in headers


def test_no_page_has_script_or_style_of_its_own(place: Place) -> None:
    browser = place.browser()
    landed = place.connect(browser).headers["location"]
    for path in (landed, "/quickbook/", "/quickbook/welcome"):
        page = browser.get(path).text
        assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
        assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []
        assert re.findall(r"(?:src|href)=\"(?!/quickbook|#)[^\"]", page) == []


def test_files_are_kept_by_browsers_until_they_change(place: Place) -> None:
    browser = place.browser()
    page = browser.get("/quickbook/welcome").text
    address = re.search(r'href="(/quickbook/static/style\.css\?[0-9a-f]{12})"', page)[1]
    answer = browser.get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    # Of another version, whose page may ask us while one is rolled out.
    for query in ("", "?000000000000", "?c"):
        answer = browser.get(f"/quickbook/static/style.css{query}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    missing = browser.get("/quickbook/static/missing.css")
    assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 302),
        ({"sec-fetch-site": "none"}, 302),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost:3000"}, 403),
        ({"sec-fetch-site": ""}, 403),
        ({"origin": "http://localhost:3000"}, 302),
        ({"origin": "http://localhost:3001"}, 403),
        ({"origin": "null"}, 403),
        ({}, 302),
    ],
)
def test_another_sites_page_cannot_press_our_buttons(
    place: Place, headers: dict[str, str], status: int
) -> None:
    address = f"/quickbook/authorise?token={place.token()}"
    assert place.browser().post(address, headers=headers).status_code == status


def test_intuits_servers_are_no_browsers_and_pass(place: Place) -> None:
    answer = place.browser().post("/quickbook/webhook", content=b"[]")
    assert answer.status_code == 401  # for want of a signature


def test_what_is_not_there_is_a_page_for_people_and_text_for_machines(place: Place) -> None:
    browser = place.browser()
    page = browser.get("/quickbook/no-such-page")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Page not found" in page.text
    text = browser.get("/no-such-page")
    assert (text.status_code, text.text) == (404, "Not Found\n")
    wrong = browser.get("/quickbook/start")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert "open this page directly" in wrong.text


@pytest.mark.parametrize(
    "path", ["/quickbook/connect/", "/quickbook/authorise/", "/quickbook/view/"]
)
def test_no_redirect_repeats_the_parameters_of_an_address(place: Place, path: str) -> None:
    answer = place.browser().get(f"{path}?token=a&code=b")
    assert answer.status_code == 302
    assert re.fullmatch("/quickbook/problem/incomplete/.{9}", answer.headers["location"])
    assert place.browser().post("/quickbook/connect?code=b").status_code == 302
    assert place.browser().get("/quickbook?code=b").headers["location"] == "/quickbook/"


def test_an_error_that_nobody_foresaw_is_logged_under_the_number_that_it_shows(
    place: Place,
) -> None:
    browser = place.log_in()
    place.do("DROP TABLE invoices")
    with structlog.testing.capture_logs() as events:
        answer = browser.get("/quickbook/")
    assert answer.status_code == 500
    assert answer.headers["referrer-policy"] == "no-referrer"
    reference = re.search(r'<p class="reference">(.*?)</p>', answer.text)[1]
    crash = next(event for event in events if event["event"] == "request.crashed")
    assert (crash["reference"], crash["route"]) == (reference, "/quickbook/")
    assert "invoices" not in answer.text.replace("To your invoices", "").replace(
        "QuickBooks invoices", ""
    )


def test_the_access_log_names_routes_and_never_addresses(place: Place) -> None:
    browser, token = place.browser(), place.token()
    place.consent()
    with structlog.testing.capture_logs() as events:
        back = place.decided(place.begin(browser, token))
        landed = browser.get(back).headers["location"]
        browser.get(landed)
        browser.get(f"/quickbook/{token}")
    lines = [e for e in events if e["event"] == "request.answered"]
    assert [(e["method"], e["route"], e["status"]) for e in lines] == [
        ("GET", "/quickbook/authorise", 200),
        ("POST", "/quickbook/authorise", 302),
        ("GET", "/quickbook/connect", 302),
        ("GET", "/quickbook/connected/{id}", 200),
        ("GET", None, 404),
    ]
    assert lines[0].keys() == {"event", "log_level", "method", "route", "status", "ms"}
    private: list[Any] = [token, back.split("?")[1], OURS, "supplier@example.com"]
    assert [value for value in private if value in str(events)] == []


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("/quickbook/", "GET, HEAD"),
        ("/quickbook/logout", "POST"),
        ("/quickbook/authorise", "GET, HEAD, POST"),
        ("/quickbook/connections/c1/disconnect", "GET, HEAD, POST"),
        ("/quickbook/static/style.css", "GET, HEAD"),
    ],
)
def test_a_method_that_an_address_has_not_is_told_all_that_it_has(
    place: Place, address: str, allowed: str
) -> None:
    answer = place.browser().delete(address)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_what_open_pages_ask_all_the_time_is_not_logged(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    place.imported(place.connections()[0].id)
    invoice = f"/quickbook/invoices/{place.invoice_id('1')}"
    with structlog.testing.capture_logs() as events:
        for address in (
            *("/quickbook/live", "/quickbook/attention/live", f"{invoice}/live"),
            "/quickbook/arrived?since=0",
        ):
            assert browser.get(address).status_code == 200
        browser.get(invoice)
    lines = [(e["route"], e["log_level"]) for e in events if e["event"] == "request.answered"]
    assert [route for route, level in lines if level == "info"] == ["/quickbook/invoices/{id}"]


class TestOverHttps:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"PUBLIC_URL": "https://localhost:8443"}

    def test_cookies_are_secure_and_browsers_stay_on_https(self, place: Place) -> None:
        answer = place.authorised(place.browser(), place.token())
        assert "; Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"] == "max-age=31536000"

    def test_the_origin_that_counts_is_the_public_one(self, place: Place) -> None:
        address = f"/quickbook/authorise?token={place.token()}"
        browser = place.browser()
        ours = browser.post(address, headers={"origin": "https://localhost:8443"})
        assert ours.status_code == 302
        local = browser.post(address, headers={"origin": "http://localhost:3000"})
        assert local.status_code == 403


def test_outside_the_simulator_forms_may_lead_to_intuit_alone() -> None:
    values = settings_of("", "sqlite:///unused.db", QUICKBOOKS_ENVIRONMENT="sandbox")
    assert consent_origins(settings_from(values)) == (
        "https://appcenter.intuit.com",
        "https://*.intuit.com",
    )


@pytest.mark.parametrize(
    "path",
    [
        "/ops/x/../../quickbook/",
        "/ops/..%2f..%2fquickbook/",
        "/ops/%2e%2e/quickbook/",
        "/ops//quickbook/",
        "//ops/",
        "/quickbook/./",
        "/quickbook/..",
        "/quickbook/static/..%5c..%5cops",
    ],
)
def test_a_path_that_a_proxy_reads_otherwise_is_refused(place: Place, path: str) -> None:
    found: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        found.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "state": place.client.app_state,
    }
    asyncio.run(place.client.app(scope, receive, send))
    assert found[0]["status"] == 400
    assert place.browser().get("/quickbook/welcome?q=a/../b//c").status_code == 200
