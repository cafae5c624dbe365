"""Logging in as an operator: where it leads, and how little it tells."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import pytest

from service.kit import passwords
from service.web.ops.forms import inside
from tests.servers import wait_until
from tests.web.conftest import Place, said
from tests.web.ops.operators import BOB, PASSWORD, audited, try_to_log_in


def test_who_logs_in_comes_to_where_they_wanted_to_go(place: Place) -> None:
    browser = place.browser()
    answer = browser.get("/ops/events?status=failed")
    where = answer.headers["location"]
    assert where == "/ops/login?next=%2Fops%2Fevents%3Fstatus%3Dfailed"
    page = browser.get(where)
    assert '<input type="hidden" name="next" value="/ops/events?status=failed">' in page.text
    answer = try_to_log_in(browser, next=unquote(where.partition("next=")[2]))
    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/events?status=failed")
    assert browser.get("/ops/").status_code == 200
    assert browser.get("/ops/login").headers["location"] == "/ops/"
    assert audited(place) == [("ops:ada", "login", None)]


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
        "/ops/login?next=/ops/",
        "/ops/events\r\nset-cookie: a=b",
        "/ops/" + "a" * 500,
        "",
    ],
)
def test_a_log_in_leads_nowhere_else(place: Place, elsewhere: str) -> None:
    assert inside(elsewhere) == "/ops/"
    answer = try_to_log_in(place.browser(), next=elsewhere)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/")


@pytest.mark.timeout(60)  # an expression that goes back would take for ever
def test_an_address_that_never_ends_is_looked_at_in_no_time() -> None:
    assert inside("/ops/" + "a" * 400 + "!") == "/ops/"


def test_a_wrong_name_and_a_wrong_password_are_the_same_answer(place: Place) -> None:
    answers = [
        try_to_log_in(place.browser(), name, password)
        for name, password in (("ada", "wrong"), ("eve", PASSWORD), ("ada", BOB), ("", ""))
    ]
    assert {answer.status_code for answer in answers} == {401}
    pages = [answer.text for answer in answers[:3]]
    assert pages[1].replace('value="eve"', 'value="ada"') == pages[0] == pages[2]
    assert "Name and password do not fit." in said(answers[0].text)
    assert not any("set-cookie" in answer.headers for answer in answers)


def test_a_name_is_kept_after_a_wrong_password_and_the_password_is_not(place: Place) -> None:
    page = try_to_log_in(place.browser(), "Ada", "not the password").text
    name, password = re.findall(r'<input id="(?:name|password)"[^>]*>', page)
    assert 'value="ada"' in name
    assert "autofocus" not in name
    assert "autofocus" in password
    assert "value" not in password
    assert "not the password" not in page
    for _ in range(5):
        locked = try_to_log_in(place.browser(), "ada", "wrong")
    assert locked.status_code == 429
    assert 'value="ada"' in locked.text


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ('"><b>x', "&#34;&gt;&lt;b&gt;x"),
        (" a\r\nb\x00c ", "a b c"),
        ("x" * 33, "x" * 32),
        ("", ""),
    ],
)
def test_a_name_is_kept_as_text_and_within_bounds(place: Place, typed: str, kept: str) -> None:
    page = try_to_log_in(place.browser(), typed, "wrong").text
    (name,) = re.findall(r'<input id="name"[^>]*>', page)
    assert f' value="{kept}">' in name


def test_a_name_of_nobody_is_proved_too_and_is_not_kept(place: Place) -> None:
    """One that was refused sooner would tell guessers which names there are."""
    try_to_log_in(place.browser(), "ada", "wrong password")
    noted = place.rows("login_attempts")
    with ThreadPoolExecutor(1) as guesser:
        with passwords._one_at_a_time:
            answer = guesser.submit(try_to_log_in, place.browser(), "eve", "wrong password")
            wait_until(lambda: place.rows("login_attempts") > noted, what="the attempt")
            with pytest.raises(TimeoutError):
                answer.result(0.2)  # it waits for its turn to be hashed
        assert answer.result(30).status_code == 401
    assert audited(place)[0] == ("ops:ada", "login refused", None)
    assert audited(place)[-1] == ("ops:unknown", "login refused", None)
    assert place.only("SELECT count(*) FROM login_attempts WHERE about LIKE '%eve%'") == 0


@pytest.mark.parametrize("charset", ["utf-7", "punycode", "undefined", "utf-8"])
def test_a_form_of_another_kind_is_refused_before_it_is_read(place: Place, charset: str) -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="name"\r\n\r\n+2AA-\r\n--B--\r\n'
    headers = {"content-type": f"multipart/form-data; boundary=B; charset={charset}"}
    assert place.browser().post("/ops/login", content=body, headers=headers).status_code == 415


@pytest.mark.parametrize("body", [b"x" * 70_000, b"name=" + b"a" * 65_536])
def test_a_form_without_end_is_refused(place: Place, body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert place.browser().post("/ops/login", content=body, headers=headers).status_code == 413


def test_whoever_hangs_up_while_sending_is_no_crash(place: Place, logged: list[Any]) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/ops/login",
        "raw_path": b"/ops/login",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", b"application/x-www-form-urlencoded")],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 3000),
        "state": dict(place.client.app_state),
    }
    asyncio.run(place.client.app(scope, receive, send))
    assert sent == []
    assert [e for e in logged if e["event"] == "request.crashed"] == []
