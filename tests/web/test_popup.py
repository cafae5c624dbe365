"""Before connecting: what is told, the pop-up, and the page behind it that goes on by itself."""

import re
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from service.kit.clock import now
from service.web.templating import STATIC
from tests.web.conftest import OTHER, Place, release, said


@pytest.fixture
def more_settings() -> dict[str, str]:
    """With the pages that Intuit asks for."""
    return {
        "TERMS_URL": "https://infactor.example/terms?a=1&b=2",
        "PRIVACY_URL": "https://infactor.example/privacy",
    }


def authorise(place: Place, browser: TestClient) -> str:
    """Return the page that a connect link opens."""
    return browser.get(f"/quickbook/authorise?token={place.token()}").text


def test_the_terms_and_the_privacy_policy_stand_before_the_button(place: Place) -> None:
    page = authorise(place, place.browser())
    assert 'href="https://infactor.example/terms?a=1&amp;b=2" target="_blank"' in page
    assert page.index("infactor.example/privacy") < page.index('class="connect"')
    assert "By connecting you agree to the terms of use and the privacy policy ." in said(page)


def test_a_supplier_is_told_what_is_read_what_is_not_and_how_to_stop_it(place: Place) -> None:
    page = said(authorise(place, place.browser()))
    for words in (
        "What we read",
        "We never change anything in QuickBooks",
        "Disconnect at any time",
    ):
        assert words in page


def test_the_button_is_an_ordinary_form_that_a_script_sends_into_a_window(place: Place) -> None:
    page = authorise(place, place.browser())
    assert '<form method="post" data-popup data-here-if-opened><button class="connect">' in page
    assert re.search(r'<script src="/quickbook/static/connect\.js\?\w+" defer></script>', page)
    script = (STATIC / "connect.js").read_text()
    assert "WIDTH = 800" in script
    assert "HEIGHT = 650" in script


def since(page: str) -> str:
    """Return the moment that a page remembers."""
    found = re.search(r'id="waiting"[^>]* data-since="(\d+)"', page)
    assert found is not None
    return found[1]


def test_the_page_behind_learns_that_a_company_has_been_connected(place: Place) -> None:
    browser = place.browser()
    begun = since(authorise(place, browser))
    address = f"/quickbook/arrived?since={begun}"
    assert browser.get(address).status_code == 204
    place.connect(browser)
    assert browser.get(address).status_code == 200
    assert browser.get(address).content == b""
    assert browser.get(f"/quickbook/arrived?since={int(begun) + 60}").status_code == 204


def test_only_a_company_of_ones_own_that_is_connected_counts(place: Place) -> None:
    browser, other = place.browser(), place.browser()
    place.connect(browser)
    place.connect(other, place.token("other@example.com"), OTHER)
    assert other.get("/quickbook/arrived?since=0").status_code == 200
    release(place)
    assert browser.get("/quickbook/arrived?since=0").status_code == 204


@pytest.mark.parametrize(
    "odd", ["", "?since=x", "?since=-1", "?since=99999999999", "?since=%D9%A3"]
)
def test_an_odd_moment_is_never(place: Place, odd: str) -> None:
    browser = place.browser()
    place.connect(browser)
    assert browser.get(f"/quickbook/arrived{odd}").status_code == 204


def test_the_dashboards_buttons_open_the_same_window(place: Place) -> None:
    page = place.log_in().get("/quickbook/").text
    assert 'action="/quickbook/start" class="start" data-popup>' in page
    assert since(page).isdigit()


def test_whoever_waits_does_not_keep_the_session_alive(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    soon = f"{now() + timedelta(hours=1):%Y-%m-%d %H:%M:%S.%f}"
    place.do(f"UPDATE sessions SET expires_at = '{soon}'")
    assert browser.get("/quickbook/arrived?since=0").status_code == 200
    assert place.only("SELECT expires_at FROM sessions") == soon
