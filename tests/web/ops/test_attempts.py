"""How often one may try to log in as an operator."""

import asyncio
import re
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.config.parsers import Operator
from service.kit import passwords
from service.kit.clock import now
from service.store import login_attempts
from service.web.ops.login import _network, _pause
from service.web.ops.session import remember_browser
from tests.web.conftest import PUBLIC_URL, Place, said
from tests.web.ops.operators import BOB, audited, browser_at, logged_in, try_to_log_in


def test_five_failures_lock_a_name_where_they_were_made_even_for_the_right_password(
    place: Place,
) -> None:
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
    assert "Where you have logged in before, you still can." in said(locked.text)
    assert try_to_log_in(place.browser(), "bob", BOB).status_code == 303
    place.do("UPDATE login_attempts SET at = strftime('%Y-%m-%d %H:%M:%f000', at, '-15 minutes')")
    assert try_to_log_in(place.browser(), "ada").status_code == 303


def test_a_lock_is_in_the_audit_and_the_log_says_whom_it_keeps_out(
    place: Place, logged: list[Any]
) -> None:
    for name in ("ada", "nobody"):
        for _ in range(7):
            try_to_log_in(place.browser(), name, "wrong")
    known, unknown = ("ops:ada", "login refused", None), ("ops:unknown", "login refused", None)
    assert audited(place) == [
        *(*[known] * 5, ("ops:ada", "login locked", None)),
        *(*[unknown] * 5, ("ops:unknown", "login locked", None)),
    ]
    kept_out = [e["operator"] for e in logged if e["event"] == "operator.too_many_attempts"]
    assert kept_out == ["ops:ada", "ops:ada", "ops:unknown", "ops:unknown"]


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
    assert place.rows("login_attempts") == before == 15


def test_a_right_password_forgives_the_failures_before(place: Place) -> None:
    for _ in range(3):
        for _ in range(4):
            assert try_to_log_in(place.browser(), "ada", "wrong").status_code == 401
        assert try_to_log_in(place.browser(), "ada").status_code == 303


def test_one_place_may_not_try_every_name(place: Place) -> None:
    for number in range(20):
        assert try_to_log_in(place.browser(), f"name{number}", "wrong").status_code == 401
    assert try_to_log_in(place.browser(), "ada").status_code == 429


def lock(place: Place, name: str = "ada") -> None:
    """Let somebody guess at this name until nobody in a new browser may try here any more."""
    for _ in range(5):
        assert try_to_log_in(place.browser(), name, "wrong").status_code == 401
    assert try_to_log_in(place.browser(), name).status_code == 429


def test_whoever_guesses_elsewhere_keeps_nobody_out(place: Place) -> None:
    lock(place)
    assert try_to_log_in(browser_at(place, "10.0.0.9"), "ada").status_code == 303


def test_a_browser_in_which_one_has_logged_in_before_is_held_up_by_nobody_else(
    place: Place,
) -> None:
    known = logged_in(place)
    assert known.post("/ops/logout").status_code == 303
    with place.services.database.write() as session:
        everywhere = ["name:ada", "name:ada peer:testclient", "peer:testclient"]
        for _ in range(200):
            login_attempts.attempt(session, everywhere, now())
    assert try_to_log_in(place.browser()).status_code == 429
    assert try_to_log_in(known).status_code == 303


@pytest.mark.parametrize("places", [20, 60])
def test_guesses_at_very_many_addresses_keep_nobody_out_of_a_new_browser(
    place: Place, places: int
) -> None:
    with place.services.database.write() as session:
        for n in range(places):
            peer = f"10.0.{n // 100}.{n % 100}"
            for _ in range(5):
                about = [f"name:ada peer:{peer}", f"peer:{peer}", "name:ada"]
                login_attempts.attempt(session, about, now())
    assert try_to_log_in(browser_at(place, "10.9.9.9"), "ada").status_code == 303


@pytest.mark.parametrize(
    ("guesses", "seconds"), [(0, 0), (20, 0), (21, 0.01), (100, 0.8), (220, 2), (400, 2)]
)
def test_the_more_is_guessed_the_longer_a_new_browser_waits(
    place: Place, guesses: int, seconds: float
) -> None:
    request: Request[Any] = Request({"type": "http", "state": place.client.app_state})
    with place.services.database.write() as session:
        login_attempts.attempt(session, ["name:ada"] * guesses, now())
        login_attempts.attempt(session, ["name:ada"] * 500, now() - timedelta(minutes=16))
        # Noted before the clock was set back by a day.
        login_attempts.attempt(session, ["name:ada"] * 500, now() + timedelta(days=1))
    assert _pause(request, "ada") == pytest.approx(seconds)


def test_a_browser_that_is_known_does_not_wait_behind_the_guesses_of_others(place: Place) -> None:
    """Three of which wait for their hash; its own failures are known without one."""
    known = logged_in(place)
    for _ in range(5):
        assert try_to_log_in(known, "ada", "wrong").status_code == 401
    cookie = f"infactor_ops_known={known.cookies['infactor_ops_known']}"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await place.client.app({**scope, "state": dict(place.client.app_state)}, receive, send)

    def post(address: str, name: str, **headers: str) -> Awaitable[httpx.Response]:
        transport = httpx.ASGITransport(app, client=(address, 50000))
        browser = httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=headers)
        return browser.post("/ops/login", data={"name": name, "password": "wrong"})

    async def crowd() -> int:
        guesses = [asyncio.ensure_future(post(f"10.0.0.{n}", "bob")) for n in range(3)]
        while place.rows("login_attempts") < before + 2 * 3:  # two are noted, and at their hash
            await asyncio.sleep(0.01)
        try:
            async with asyncio.timeout(5):
                answer = await post("10.0.1.1", "ada", cookie=cookie)
        finally:
            passwords._one_at_a_time.release()
        await asyncio.gather(*guesses)
        return answer.status_code

    before = place.rows("login_attempts")
    passwords._one_at_a_time.acquire()
    assert asyncio.run(crowd()) == 429


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("10.0.0.2", "10.0.0.2"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_address_of_a_network_is_as_good_as_all(peer: str, network: str) -> None:
    assert _network(peer) == network


def test_whoever_has_a_network_guesses_five_times(place: Place) -> None:
    for n in range(5):
        browser = browser_at(place, f"2001:db8::{n}:1")
        assert try_to_log_in(browser, "ada", "wrong").status_code == 401
    assert try_to_log_in(browser_at(place, "2001:db8::f:1"), "ada").status_code == 429


def test_a_browser_that_is_known_may_not_guess_more_often(place: Place) -> None:
    known, another = logged_in(place), logged_in(place)
    for _ in range(5):
        assert try_to_log_in(known, "ada", "wrong").status_code == 401
    assert try_to_log_in(known).status_code == 429
    assert try_to_log_in(another).status_code == 303
    assert try_to_log_in(place.browser()).status_code == 303


def test_a_browser_is_known_by_one_name_alone(place: Place) -> None:
    known = logged_in(place, "ada")
    lock(place, "bob")
    assert try_to_log_in(known, "bob", BOB).status_code == 429
    assert try_to_log_in(known, "ada").status_code == 303


def test_a_browser_that_only_says_so_is_not_known(place: Place) -> None:
    cookie = logged_in(place).cookies["infactor_ops_known"]
    browser, ends, proof = cookie.split(".")
    lock(place)
    for forged in (
        "",
        f"{browser}.{ends}.{'0' * 64}",
        f"{'A' * 22}.{ends}.{proof}",
        f"{browser}.9999999999.{proof}",
        f"{browser}.{ends}.",
        f"{cookie}1",
    ):
        forger = place.browser(cookie=f"infactor_ops_known={forged}")
        assert try_to_log_in(forger).status_code == 429, forged
    assert try_to_log_in(place.browser(cookie=f"infactor_ops_known={cookie}")).status_code == 303


def test_a_browser_is_known_for_half_a_year(place: Place) -> None:
    settings, ada = place.services.settings, place.services.settings.ops_users[0]
    lock(place)
    for days, status in ((179, 303), (181, 429)):
        given = Response()
        remember_browser(given, ada, settings, now() - timedelta(days=days))
        cookie = given.headers["set-cookie"].partition(";")[0]
        assert try_to_log_in(place.browser(cookie=cookie)).status_code == status


def test_another_password_makes_every_browser_unknown(place: Place) -> None:
    settings, (ada, bob) = place.services.settings, place.services.settings.ops_users
    given = Response()
    changed = Operator(ada.name, bob.password_hash)
    remember_browser(given, changed, settings, now())
    lock(place)
    cookie = given.headers["set-cookie"].partition(";")[0]
    assert try_to_log_in(place.browser(cookie=cookie)).status_code == 429


def test_a_crowd_of_guesses_leaves_threads_to_everybody_else(place: Place) -> None:
    """Forty-five at once, more than there are common threads, and the hash lets none through."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await place.client.app({**scope, "state": dict(place.client.app_state)}, receive, send)

    def browser(address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app, client=(address, 50000))
        return httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL)

    async def crowd() -> int:
        form = {"name": "ada", "password": "wrong"}
        guesses = [
            asyncio.create_task(browser(f"10.0.0.{n}").post("/ops/login", data=form))
            for n in range(45)
        ]
        await asyncio.sleep(0)  # each is on its way
        try:
            async with asyncio.timeout(30):
                page = await browser("10.0.1.1").get("/quickbook/welcome")
        finally:
            passwords._one_at_a_time.release()
        assert {answer.status_code for answer in await asyncio.gather(*guesses)} == {401}
        return page.status_code

    passwords._one_at_a_time.acquire()
    assert asyncio.run(crowd()) == 200
