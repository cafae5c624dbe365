"""Intuit's OAuth 2.0 (reference 2.2 to 2.5), on Authlib."""

import base64
import hmac
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeGuard

import httpx
from authlib.deprecate import AuthlibDeprecationWarning

from service.errors import (
    Disconnected,
    PermanentError,
    Refused,
    SyncError,
    TransientError,
    Unrecognised,
)
from service.kit import exact_json
from service.kit.bounded_http import BoundedTransport
from service.kit.version import user_agent
from service.quickbooks.endpoints import Endpoints
from service.quickbooks.faults import (
    date_of,
    intuit_tid,
    known_fault,
    no_cookies,
    reaching_intuit,
    retry_after,
)

_NAMES = {
    "authorization_endpoint": "authorize",
    "token_endpoint": "token",
    "revocation_endpoint": "revoke",
}

_LONGEST_ANSWER = 2**20
_ACCESS_SECONDS = 3600
_REFRESH_SECONDS = 8_640_000

REFUSALS = {
    "invalid_client": "QuickBooks does not accept the app's keys: "
    "check QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET",
    "unauthorized_client": "QuickBooks does not let this app ask for tokens in this way",
    "unsupported_grant_type": "QuickBooks does not know this kind of token request",
    "invalid_request": "QuickBooks calls the token request invalid",
    "invalid_scope": "QuickBooks does not give this app access to accounting data",
}
"""What each error that refuses the app itself, and no single grant, means."""

with warnings.catch_warnings():
    # Authlib prefers httpx2, and says so on stderr at every start; this project uses httpx.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.httpx_client import OAuth2Client

SCOPE = "com.intuit.quickbooks.accounting"

_HEADERS = {
    "Accept": "application/json",
    # Asks for the end of the whole token chain (reference 2.3).
    "x-include-refresh-token-hard-expires-in": "true",
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """A new pair of tokens; lifetimes are in seconds from the answer on.

    `hard_expires_in` is the end of the whole chain, which no refresh extends.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int
    hard_expires_in: int | None = None
    intuit_tid: str | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """The endpoints whose address Intuit has changed, and the time of the answer."""

    moved: tuple[str, ...]
    time: datetime | None


class _Client(OAuth2Client):  # type: ignore[misc]
    """Authlib's client, without the token that it would store.

    Authlib stores each answer on the client and returns what is stored. Of two threads, one could
    get the other's tokens: another company's. Here each answer goes to its caller.
    """

    def parse_response_token(self, response: httpx.Response) -> httpx.Response:
        return response


class OAuth:
    """This app at Intuit's authorisation service; threads may share it."""

    def __init__(
        self, endpoints: Endpoints, client_id: str, client_secret: str, redirect_uri: str
    ) -> None:
        self._endpoints = endpoints
        self._client = _Client(
            client_id=client_id,
            client_secret=client_secret,
            token_endpoint_auth_method="client_secret_basic",  # noqa: S106 - a method's name
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            transport=BoundedTransport(_LONGEST_ANSWER),
            timeout=10,
            follow_redirects=False,
            trust_env=False,
            cookies=no_cookies(),
            headers={"User-Agent": user_agent()},
        )

    def authorize_url(self, state: str) -> str:
        """Return the address of the consent page, which will return `state`."""
        url: str
        url, _ = self._client.create_authorization_url(
            self._endpoints.authorize, state=state, scope=SCOPE, code_verifier=self._verifier(state)
        )
        return url

    def exchange(self, code: str, state: str) -> Tokens:
        """Return the tokens for a fresh authorisation code, which is then spent.

        `state` is that of the flow: the code of another one is refused. Raises Refused if the
        code is spent, too old or not one.
        """
        rejected = Refused("the authorisation code was refused")
        verifier = self._verifier(state)
        return self._fetch(
            rejected, grant_type="authorization_code", code=code, code_verifier=verifier
        )

    def refresh(self, refresh_token: str) -> Tokens:
        """Return new tokens; raises Disconnected only if QuickBooks says that the refresh token is
        dead.
        """
        rejected = Disconnected("QuickBooks no longer accepts the refresh token")
        return self._fetch(rejected, grant_type="refresh_token", refresh_token=refresh_token)

    def revoke(self, token: str) -> None:
        """End the whole connection of a refresh or access token; raises Refused if it may be dead
        already.
        """
        with reaching_intuit():
            response: httpx.Response = self._client.post(
                self._endpoints.revoke,
                json={"token": token},
                headers={"Accept": "application/json"},
                auth=self._client.client_auth("client_secret_basic"),
            )
        if response.is_success:
            return
        rejected = Refused(
            "QuickBooks did not accept the token to revoke",
            intuit_tid=intuit_tid(response.headers),
        )
        if response.status_code == 400:  # documented without a body
            raise rejected
        raise refusal_of(response.status_code, response.headers, response.content, rejected)

    def discovery(self) -> Discovery:
        """Return how Intuit's discovery document compares with our endpoints; raises SyncError."""
        with reaching_intuit():
            response: httpx.Response = self._client.request(
                "GET",
                self._endpoints.discovery,
                headers={"Accept": "application/json"},
                withhold_token=True,
            )
        return discovery_of(
            response.status_code, response.headers, response.content, self._endpoints
        )

    def close(self) -> None:
        self._client.close()

    def _verifier(self, state: str) -> str:
        """Return the secret of this flow (PKCE, RFC 7636), which nobody has to keep.

        Intuit names no such method in its discovery document, and has to ignore what it does not
        know (RFC 6749, 3.1).
        """
        secret = hmac.digest(
            self._client.client_secret.encode(), b"pkce:" + state.encode(), "sha256"
        )
        return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()

    def _fetch(self, rejected: PermanentError, **grant: Any) -> Tokens:
        with reaching_intuit():
            response: httpx.Response = self._client.fetch_token(
                self._endpoints.token, headers=_HEADERS, **grant
            )
        if not response.is_success:
            raise refusal_of(response.status_code, response.headers, response.content, rejected)
        return tokens_of(response.headers, response.content)


def tokens_of(headers: Mapping[str, str], body: bytes) -> Tokens:
    """Return the tokens of a successful answer; raises TransientError if there are none.

    A missing or odd lifetime is replaced by the documented one: discarding the answer would lose a
    refresh token that has just been rotated.
    """
    answer, tid = _object(body) or {}, intuit_tid(headers)
    access, refresh = answer.get("access_token"), answer.get("refresh_token")
    if "error" in answer or not _is_token(access) or not _is_token(refresh):
        raise _named(200, headers, body) or TransientError(
            "QuickBooks answered something that is not a pair of tokens", intuit_tid=tid
        )
    return Tokens(
        access_token=access,
        refresh_token=refresh,
        expires_in=_seconds(answer.get("expires_in")) or _ACCESS_SECONDS,
        refresh_expires_in=_seconds(answer.get("x_refresh_token_expires_in")) or _REFRESH_SECONDS,
        hard_expires_in=_seconds(answer.get("x_refresh_token_hard_expires_in")),
        intuit_tid=tid,
    )


def refusal_of(
    status: int, headers: Mapping[str, str], body: bytes, rejected: PermanentError
) -> SyncError:
    """Return the error that an unsuccessful answer stands for; `rejected` for "invalid_grant" only.

    Anything that may pass must not end a connection. Nor must "Incorrect Token type or clientID",
    which Intuit says of good tokens when the app's keys are wrong. A refusal of the app or the
    company is known by its code, whatever the status.
    """
    if named := _named(status, headers, body):
        return named
    tid, answer = intuit_tid(headers), _object(body)
    if 300 <= status < 400:
        return Refused("QuickBooks redirected, and redirects are not followed", intuit_tid=tid)
    if answer is None or status in (408, 429) or not 400 <= status < 500:
        words = f"QuickBooks' token service is down (HTTP {status})"
        return TransientError(
            words,
            intuit_tid=tid,
            retry_after=retry_after(headers),
            is_outage=status == 408 or status >= 500,
        )
    if (error := answer.get("error")) == "invalid_grant":
        rejected.intuit_tid, rejected.code = tid, error
        return rejected
    words = f"QuickBooks' token service answered what this service does not know (HTTP {status})"
    return Unrecognised(words, intuit_tid=tid)


def _blames_the_app(answer: Mapping[str, Any]) -> bool:
    """Return whether a rejected grant is said to be another app's."""
    description = answer.get("error_description")
    rejected = answer.get("error") == "invalid_grant" and isinstance(description, str)
    return rejected and re.search(r"client", str(description), re.I) is not None


def _named(status: int, headers: Mapping[str, str], body: bytes) -> SyncError | None:
    """Return the error that a known code stands for, or None without one."""
    answer, tid = _object(body) or {}, intuit_tid(headers)
    error = "invalid_client" if _blames_the_app(answer) else answer.get("error")
    if isinstance(error, str) and error in REFUSALS:
        return Refused(REFUSALS[error], intuit_tid=tid, code=error)
    fault = known_fault(status, headers, body)
    if fault is None or isinstance(fault, TransientError | Refused):
        return fault
    # This endpoint has no records that could be deleted or bad.
    return TransientError(str(fault), intuit_tid=tid, code=fault.code)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = exact_json.decode(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _is_token(value: Any) -> TypeGuard[str]:
    """Return whether the value is text that fits into a header."""
    return isinstance(value, str) and re.fullmatch(r"[!-~]+", value) is not None


def _seconds(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 2**31 else None


def discovery_of(
    status: int, headers: Mapping[str, str], body: bytes, ours: Endpoints
) -> Discovery:
    """Return how Intuit's endpoints compare with ours; raises Unrecognised for any other answer."""
    try:
        document = json.loads(body) if status == 200 else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Unrecognised(f"the discovery document could not be read (HTTP {status})")
    moved = tuple(
        name for name, attribute in _NAMES.items() if document.get(name) != getattr(ours, attribute)
    )
    return Discovery(moved, date_of(headers))
