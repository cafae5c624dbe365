"""What Intuit's token endpoints answer (reference 2.3 and 2.5)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from service import exact_json
from service.errors import PermanentError, Refused, SyncError, TransientError, Unrecognised
from service.quickbooks.headers import intuit_tid, retry_after

_ACCESS_SECONDS = 3600
_REFRESH_SECONDS = 8_640_000

_REFUSALS = {
    "invalid_client": "QuickBooks does not accept the app's keys: "
    "check QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET",
    "unauthorized_client": "QuickBooks does not let this app ask for tokens in this way",
    "unsupported_grant_type": "QuickBooks does not know this kind of token request",
    "invalid_request": "QuickBooks calls the token request invalid",
    "invalid_scope": "QuickBooks does not give this app access to accounting data",
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """A new pair of tokens; lifetimes are in seconds from the answer on.

    `hard_expires_in` is the end of the whole chain, which no refresh puts off.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int
    hard_expires_in: int | None = None
    intuit_tid: str | None = None


def tokens_of(headers: Mapping[str, str], body: bytes) -> Tokens:
    """Return the tokens of a successful answer; raises TransientError if they are not there.

    A lifetime that is missing or odd is replaced by the documented one: to throw the answer away
    for it would lose a refresh token that has just been rotated.
    """
    answer, tid = _object(body) or {}, intuit_tid(headers)
    access, refresh = answer.get("access_token"), answer.get("refresh_token")
    if "error" in answer or not _is_token(access) or not _is_token(refresh):
        raise TransientError(
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
    """Return what an unsuccessful answer means; `rejected` if it rejects what was presented.

    Only a plain "invalid_grant" does: everything that may pass must not end a connection.
    """
    tid, answer = intuit_tid(headers), _object(body)
    if 300 <= status < 400:
        return Refused("QuickBooks redirected, and redirects are not followed", intuit_tid=tid)
    if answer is None or status in (408, 429) or not 400 <= status < 500:
        words = f"QuickBooks' token service is unwell (HTTP {status})"
        return TransientError(words, intuit_tid=tid, retry_after=retry_after(headers))
    error = answer.get("error")
    if error == "invalid_grant":
        rejected.intuit_tid, rejected.code = tid, error
        return rejected
    if isinstance(error, str) and error in _REFUSALS:
        return Refused(_REFUSALS[error], intuit_tid=tid, code=error)
    words = f"QuickBooks' token service answered what this service does not know (HTTP {status})"
    return Unrecognised(words, intuit_tid=tid)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = exact_json.decode(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _is_token(value: Any) -> TypeGuard[str]:
    """Tell whether the value is text that can stand in a header."""
    return isinstance(value, str) and re.fullmatch(r"[!-~]+", value) is not None


def _seconds(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 2**31 else None
