"""Infactor's page in a browser, and the button on it."""

import httpx
from starlette.testclient import TestClient

from tests.people import SID, SIGNED
from tests.web.conftest import OURS, PUBLIC_URL, Place

BUTTON = "/quickbook/setupQuickbook"
FROM_THE_PAGE = {"origin": PUBLIC_URL, "sec-fetch-site": "same-origin"}


def browser_of(place: Place, sid: str = SID) -> TestClient:
    """Return a browser with Infactor's cookie."""
    browser = place.browser()
    browser.cookies.set("connect.sid", SIGNED[sid])
    return browser


def press(browser: TestClient, **headers: str) -> httpx.Response:
    """Press the button on Infactor's page."""
    return browser.post(BUTTON, json={}, headers={**FROM_THE_PAGE, **headers})


def begun(browser: TestClient) -> str:
    """Press the button; return where QuickBooks' consent is."""
    answer = press(browser)
    assert answer.status_code == 200
    assert answer.json()["status"] is True, answer.text
    return answer.json()["authUrl"]


def whole_journey(place: Place, browser: TestClient, realm: str = OURS) -> httpx.Response:
    """Press the button and give consent; return the callback's answer."""
    place.consent(realm=realm)
    return browser.get(place.decided(begun(browser)))
