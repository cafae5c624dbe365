"""What an operator's page says after an order: once, to whom it was given, and nothing else."""

import re

import httpx
import pytest
from starlette.testclient import TestClient

from tests.web.conftest import OTHER, Place, said
from tests.web.ops.operators import flash_in, operator

PAUSED = "Paused. This company makes no calls to QuickBooks until you resume it."
COOKIE = "infactor_ops_flash"


@pytest.fixture
def pages(place: Place) -> list[str]:
    """Where the pages of two companies are."""
    place.connect(place.browser())
    place.connect(place.browser(), place.token("other@example.com"), OTHER)
    return [f"/ops/connections/{one.id}" for one in place.connections()]


def cookie_of(answer: httpx.Response) -> tuple[str, str]:
    """Return (the value of the cookie that says what was done, what is said of it)."""
    (given,) = answer.headers.get_list("set-cookie")
    match = re.fullmatch(rf"{COOKIE}=([^;]*); (.*)", given)
    assert match is not None
    return match[1], match[2]


def test_what_was_done_is_told_once_and_a_reload_says_nothing(
    pages: list[str], browser: TestClient
) -> None:
    answer = browser.post(f"{pages[0]}/pause")
    assert (answer.status_code, answer.headers["location"]) == (303, pages[0])
    told = browser.get(pages[0])
    assert flash_in(told.text) == PAUSED
    assert re.search(f"Max-Age=0; Path={pages[0]};", cookie_of(told)[1])
    again = browser.get(pages[0])
    assert flash_in(again.text) == ""
    assert "set-cookie" not in again.headers


def test_it_is_told_on_its_page_alone_and_waits_for_that(
    pages: list[str], browser: TestClient
) -> None:
    browser.post(f"{pages[0]}/pause")
    for elsewhere in (pages[1], "/ops/", "/ops/connections", f"{pages[0]}/live"):
        assert PAUSED not in browser.get(elsewhere).text
    assert flash_in(browser.get(pages[0]).text) == PAUSED


def test_the_browser_keeps_it_for_a_minute_and_from_every_script(
    pages: list[str], browser: TestClient
) -> None:
    _, kept = cookie_of(browser.post(f"{pages[0]}/pause"))
    assert kept == f"HttpOnly; Max-Age=60; Path={pages[0]}; SameSite=strict"


def test_an_address_says_nothing(pages: list[str], browser: TestClient) -> None:
    for address in (f"{pages[0]}?told=paused", "/ops/events?told=replayed&count=9"):
        page = browser.get(address).text
        assert flash_in(page) == ""
        assert "Paused: nobody" not in said(page)


def test_nobody_else_can_put_it_there(place: Place, pages: list[str], browser: TestClient) -> None:
    value, _ = cookie_of(browser.post(f"{pages[0]}/pause"))
    word, count, proof = value.split(".")
    session = f"infactor_ops={browser.cookies['infactor_ops']}"
    others = f"infactor_ops={operator(place).cookies['infactor_ops']}"
    for whose, where, forged in (
        (session, pages[0], f"resumed.{count}.{proof}"),
        (session, pages[0], f"{word}.7.{proof}"),
        (session, pages[0], f"{word}.{count}.{'0' * 64}"),
        (session, pages[0], f"<b>send.{count}.{proof}"),
        (session, pages[0], word),
        (session, pages[1], value),
        (others, pages[0], value),
    ):
        page = place.browser(cookie=f"{whose}; {COOKIE}={forged}").get(where)
        assert page.status_code == 200
        assert flash_in(page.text) == "", (where, forged)
    assert (
        flash_in(place.browser(cookie=f"{session}; {COOKIE}={value}").get(pages[0]).text) == PAUSED
    )
