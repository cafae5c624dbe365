"""OAuth over real HTTP, answered as the protocol reference shows (2.3 and 2.5)."""

import base64
import json
import logging
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client

from service.errors import (
    Barred,
    Disconnected,
    Refused,
    SyncError,
    Throttled,
    TransientError,
    Unrecognised,
)
from service.quickbooks.endpoints import Endpoints, endpoints
from service.quickbooks.oauth import OAuth, Tokens

if TYPE_CHECKING:
    from tests.quickbooks.conftest import Scripted

REDIRECT = "http://localhost:3000/quickbook/connect"
STATE = "state-1"
VERIFIER = "5eBYj1znjqKigzy5eMvXi_BIlsIiLULiF-kKQZmkLDw"
CODE = "AB11759335557kCODEkCODEkCODE"
OLD = "AB11768061440OLDREFRESHTOKEN"
ACCESS = "eyJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiYWxnIjoiZGlyIn0..ACCESSTOKEN"
ANSWER: dict[str, Any] = {
    "token_type": "bearer",
    "expires_in": 3600,
    "access_token": ACCESS,
    "refresh_token": "AB11768061441NEWREFRESHTOKEN",
    "x_refresh_token_expires_in": 8726400,
}
SECRETS = [CODE, VERIFIER, OLD, ACCESS, "AB11768061441NEWREFRESHTOKEN", "s3cret"]
TID = "1-5f7349e0-0fd2bee86a8a83c67a77fbb2"


@pytest.fixture
def oauth(intuit: "Scripted") -> Iterator[OAuth]:
    with closing(OAuth(endpoints("simulator", intuit.url), "app", "s3cret", REDIRECT)) as oauth:
        yield oauth


Ask = Callable[[OAuth], Tokens]
ASKS: list[Ask] = [lambda oauth: oauth.exchange(CODE, STATE), lambda oauth: oauth.refresh(OLD)]


def without_secrets(error: SyncError) -> SyncError:
    shown = "".join([repr(error), repr(vars(error)), *traceback.format_exception(error)])
    assert not [secret for secret in SECRETS if secret in shown]
    return error


def test_a_supplier_is_sent_to_intuit_with_the_accounting_scope_alone() -> None:
    with closing(OAuth(endpoints("sandbox"), "app", "s3cret", REDIRECT)) as oauth:
        url = urlsplit(oauth.authorize_url("state&+=é"))
    assert url._replace(query="").geturl() == "https://appcenter.intuit.com/connect/oauth2"
    assert dict(parse_qsl(url.query)) == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": REDIRECT,
        "scope": "com.intuit.quickbooks.accounting",
        "state": "state&+=é",
        "code_challenge": "wo1DrRXTzqGUKugurkbL3ZwXy25MUpGNahh0_aqiTmI",
        "code_challenge_method": "S256",
    }


def test_a_code_is_exchanged(intuit: "Scripted", oauth: OAuth) -> None:
    hard = {**ANSWER, "x_refresh_token_hard_expires_in": 157680000}
    intuit.will_answer(json.dumps(hard).encode(), intuit_tid=TID)
    assert oauth.exchange(CODE, STATE) == Tokens(
        access_token=ACCESS,
        refresh_token="AB11768061441NEWREFRESHTOKEN",
        expires_in=3600,
        refresh_expires_in=8726400,
        hard_expires_in=157680000,
        intuit_tid=TID,
    )
    [asked] = intuit.asked
    assert (asked.method, asked.path) == ("POST", "/oauth2/v1/tokens/bearer")
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["authorization_code"],
        "code": [CODE],
        "redirect_uri": [REDIRECT],
        "code_verifier": [VERIFIER],
    }
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"app:s3cret").decode()
    assert asked.headers["accept"] == "application/json"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["x-include-refresh-token-hard-expires-in"] == "true"


def test_a_refresh_token_is_refreshed(intuit: "Scripted", oauth: OAuth) -> None:
    intuit.will_answer(json.dumps(ANSWER).encode())
    tokens = oauth.refresh(OLD)
    assert tokens.refresh_token == "AB11768061441NEWREFRESHTOKEN"
    assert tokens.hard_expires_in is None
    [asked] = intuit.asked
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": [OLD],
    }
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"app:s3cret").decode()
    assert asked.headers["x-include-refresh-token-hard-expires-in"] == "true"


def test_tokens_do_not_show_themselves() -> None:
    tokens = Tokens(ACCESS, OLD, 3600, 8726400)
    assert repr(tokens) == (
        "Tokens(expires_in=3600, refresh_expires_in=8726400, hard_expires_in=None, intuit_tid=None)"
    )


@pytest.mark.parametrize("ask", ASKS, ids=["exchange", "refresh"])
@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": ...},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "line\nbreak"},
        {"access_token": "é"},
        {"refresh_token": ...},
        {"refresh_token": ["AB11"]},
        {"error": "invalid_grant"},
    ],
    ids=str,
)
def test_an_answer_without_both_tokens_is_no_success(
    intuit: "Scripted", oauth: OAuth, ask: Ask, changes: dict[str, Any]
) -> None:
    answer = {name: value for name, value in {**ANSWER, **changes}.items() if value is not ...}
    intuit.will_answer(json.dumps(answer).encode(), intuit_tid=TID)
    with pytest.raises(TransientError) as caught:
        ask(oauth)
    assert without_secrets(caught.value).intuit_tid == TID


@pytest.mark.parametrize("odd", [..., None, "3600", 0, -1, 1.5, True, 10**30], ids=str)
def test_an_odd_lifetime_does_not_cost_the_tokens(
    intuit: "Scripted", oauth: OAuth, odd: Any
) -> None:
    names = ("expires_in", "x_refresh_token_expires_in", "x_refresh_token_hard_expires_in")
    answer = {**ANSWER, **dict.fromkeys(names, odd)}
    body = {name: value for name, value in answer.items() if value is not ...}
    intuit.will_answer(json.dumps(body).encode())
    tokens = oauth.refresh(OLD)
    lifetimes = (tokens.expires_in, tokens.refresh_expires_in, tokens.hard_expires_in)
    assert lifetimes == (3600, 8_640_000, None)
    assert tokens.access_token == ACCESS


@pytest.mark.parametrize(
    "body",
    [
        b'{"error_description":"Token invalid","error":"invalid_grant"}',
        b'{"error":"invalid_grant"}',
        b'{"error":"invalid_grant","error_description":"Invalid authorization code"}',
    ],
)
def test_a_rejected_grant_ends_the_connection_or_the_attempt(
    intuit: "Scripted", oauth: OAuth, body: bytes
) -> None:
    intuit.will_answer(body, 400, intuit_tid=TID)
    intuit.will_answer(body, 400, intuit_tid=TID)
    with pytest.raises(Disconnected) as dead:
        oauth.refresh(OLD)
    with pytest.raises(Refused, match="the authorisation code was refused") as refused:
        oauth.exchange(CODE, STATE)
    for error in (without_secrets(dead.value), without_secrets(refused.value)):
        assert (error.code, error.intuit_tid) == ("invalid_grant", TID)


@pytest.mark.parametrize("ask", ASKS, ids=["exchange", "refresh"])
@pytest.mark.parametrize(
    "description",
    ["Incorrect Token type or clientID", "incorrect TOKEN type or clientid", "Invalid client_id"],
)
def test_a_grant_that_is_rejected_because_of_the_app_ends_nothing(
    intuit: "Scripted", oauth: OAuth, ask: Ask, description: str
) -> None:
    body = {"error": "invalid_grant", "error_description": description}
    intuit.will_answer(json.dumps(body).encode(), 400, intuit_tid=TID)
    with pytest.raises(Refused, match="QUICKBOOKS_CLIENT_ID") as refused:
        ask(oauth)
    assert without_secrets(refused.value).code == "invalid_client"


@pytest.mark.parametrize("ask", ASKS, ids=["exchange", "refresh"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (500, b'{"error":"invalid_grant"}'),
        (502, b"<html>Bad Gateway</html>"),
        (503, b'{"error":"invalid_grant"}'),
        (429, b'{"error":"invalid_grant"}'),
        (408, b""),
        (400, b""),
        (400, b"<html>invalid_grant</html>"),
        (400, b'["invalid_grant"]'),
        (401, b"denied"),
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"error":"invalid_grant"}'),
        (204, b""),
    ],
)
def test_what_may_pass_never_ends_a_connection(
    intuit: "Scripted", oauth: OAuth, ask: Ask, status: int, body: bytes
) -> None:
    intuit.will_answer(body, status, intuit_tid=TID, Retry_After="7")
    with pytest.raises(TransientError) as caught:
        ask(oauth)
    assert without_secrets(caught.value).intuit_tid == TID
    assert caught.value.retry_after == (None if status < 300 else 7.0)


@pytest.mark.parametrize("ask", ASKS, ids=["exchange", "refresh"])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
def test_wrong_keys_are_named_by_their_settings(
    intuit: "Scripted", oauth: OAuth, ask: Ask, status: int
) -> None:
    intuit.will_answer(b'{"error":"invalid_client"}', status)
    with pytest.raises(Refused, match="QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET") as e:
        ask(oauth)
    assert without_secrets(e.value).code == "invalid_client"


@pytest.mark.parametrize(
    "error", ["unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope"]
)
def test_other_documented_errors_are_refusals(intuit: "Scripted", oauth: OAuth, error: str) -> None:
    intuit.will_answer(json.dumps({"error": error}).encode(), 400)
    with pytest.raises(Refused) as caught:
        oauth.refresh(OLD)
    assert caught.value.code == error


@pytest.mark.parametrize("ask", ASKS, ids=["exchange", "refresh"])
@pytest.mark.parametrize("status", [200, 400, 401, 404, 500])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"fault":{"error":[{"code":"003001"}]}}', Throttled),
        (b'<Fault type="SERVICE"><Error code="3001"/></Fault>', Throttled),
        (b'{"Fault":{"Error":[{"code":"3100"}]}}', Barred),
        (b'[{"Fault":{"Error":[{"code":"6190"}]}}]', Barred),
        (b'{"Fault":{"Error":[{"code":"610"}]}}', TransientError),
        (b'{"Fault":{"Error":[{"code":"4002"}]}}', TransientError),
    ],
)
def test_a_fault_s_code_decides_here_too(
    intuit: "Scripted", oauth: OAuth, ask: Ask, status: int, body: bytes, error: type[SyncError]
) -> None:
    intuit.will_answer(body, status, intuit_tid=TID)
    with pytest.raises(SyncError) as caught:
        ask(oauth)
    assert (type(caught.value), caught.value.intuit_tid) == (error, TID)


@pytest.mark.parametrize("body", [b"{}", b'{"error":"surprise"}', b'{"error":["invalid_grant"]}'])
def test_an_unknown_error_is_neither_transient_nor_permanent(
    intuit: "Scripted", oauth: OAuth, body: bytes
) -> None:
    intuit.will_answer(body, 400)
    with pytest.raises(Unrecognised) as caught:
        oauth.refresh(OLD)
    assert type(caught.value) is Unrecognised


def test_a_redirect_is_not_followed(intuit: "Scripted", oauth: OAuth) -> None:
    intuit.will_answer(b"", 307, Location=f"{intuit.url}/elsewhere")
    with pytest.raises(Refused, match="redirect"):
        oauth.refresh(OLD)
    assert len(intuit.asked) == 1


def test_a_broken_answer_may_pass_and_is_not_repeated(intuit: "Scripted", oauth: OAuth) -> None:
    intuit.will_send(f"{ACCESS}\r\n\r\n".encode())
    with pytest.raises(TransientError, match="RemoteProtocolError") as caught:
        oauth.refresh(OLD)
    without_secrets(caught.value)


@pytest.mark.parametrize("ask", ASKS, ids=["exchange", "refresh"])
def test_nobody_there_may_pass(ask: Ask) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with closing(OAuth(endpoints("simulator", url), "app", "s3cret", REDIRECT)) as oauth:
            with pytest.raises(TransientError, match="ConnectError") as caught:
                ask(oauth)
            without_secrets(caught.value)


def test_a_token_is_revoked_as_json(intuit: "Scripted", oauth: OAuth) -> None:
    intuit.will_answer(b"")
    oauth.revoke(OLD)
    [asked] = intuit.asked
    assert (asked.method, asked.path) == ("POST", "/v2/oauth2/tokens/revoke")
    assert json.loads(asked.body) == {"token": OLD}
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"app:s3cret").decode()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b"", Refused),
        (400, b'{"error":"invalid_request"}', Refused),
        (401, b'{"error":"invalid_client"}', Refused),
        (500, b"", TransientError),
        (302, b"", Refused),
    ],
)
def test_a_revocation_may_fail(
    intuit: "Scripted", oauth: OAuth, status: int, body: bytes, error: type[SyncError]
) -> None:
    intuit.will_answer(body, status, intuit_tid=TID)
    with pytest.raises(error) as caught:
        oauth.revoke(OLD)
    assert without_secrets(caught.value).intuit_tid == TID


def test_each_of_many_threads_gets_its_own_tokens(intuit: "Scripted", oauth: OAuth) -> None:
    class Echo(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            presented = parse_qs(request.read().decode())["refresh_token"][0]
            barrier.wait(60)
            return httpx.Response(
                200, json={**ANSWER, "access_token": f"access-of-{presented}"}, request=request
            )

    barrier, wrong = threading.Barrier(8), []
    oauth._client._transport = Echo()

    def refresh(name: str) -> None:
        for _ in range(50):
            if oauth.refresh(name).access_token != f"access-of-{name}":
                wrong.append(name)

    threads = [threading.Thread(target=refresh, args=(f"company-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_nothing_secret_is_logged(
    intuit: "Scripted", oauth: OAuth, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    intuit.will_answer(json.dumps(ANSWER).encode())
    oauth.exchange(CODE, STATE)
    assert not [secret for secret in SECRETS if secret in caplog.text]


def test_authlib_stands_on_httpx_and_not_on_another_library() -> None:
    assert issubclass(OAuth2Client, httpx.Client)


def test_importing_says_nothing() -> None:
    command = [sys.executable, "-W", "always", "-c", "import service.quickbooks.oauth"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_slow_token_service_is_given_ten_seconds() -> None:
    nowhere = Endpoints(*["http://x"] * 5)
    with closing(OAuth(nowhere, "app", "s3cret", REDIRECT)) as oauth:
        assert oauth._client.timeout == httpx.Timeout(10)
        assert oauth._client.trust_env is False
