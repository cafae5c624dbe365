"""Finds who is logged in to Infactor: express-session's cookie `connect.sid`, and its session."""

import base64
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from service.infactor.mongo import InfactorDatabase, infactors_errors

COOKIE = "connect.sid"

_SIGNED = "s:"
_LONGEST = 1024
_USER_ID = re.compile(r"[0-9a-f]{24}")
# npm's express-sessions stores `sid` and `data`, connect-mongo `_id` and `session`.
_FIELDS = ("data", "session", "expires")


def session_id(cookie_header: str, secret: str) -> str | None:
    """Return the id in `connect.sid`, or None unless there is exactly one, signed with `secret`.

    Another site of the same domain may have planted a second one.
    """
    pairs = (pair.strip().partition("=") for pair in cookie_header.split(";"))
    values = {value for name, _, value in pairs if name == COOKIE}
    if len(values) != 1 or not secret:
        return None
    return _unsigned(values.pop(), secret)


def _unsigned(value: str, secret: str) -> str | None:
    if len(value) > _LONGEST:
        return None
    marked = unquote(value)
    found, _, signature = marked.removeprefix(_SIGNED).rpartition(".")
    made = hmac.digest(secret.encode(), found.encode(), "sha256")
    right = base64.b64encode(made).rstrip(b"=")
    matches = hmac.compare_digest(right, signature.encode())
    return found if matches and found and marked.startswith(_SIGNED) else None


class _Passport(msgspec.Struct):
    user: str


class _Session(msgspec.Struct):
    """What passport stores of a log-in; a visitor's session has none."""

    passport: _Passport


class Logins:
    def __init__(self, database: InfactorDatabase) -> None:
        self._sessions = database.sessions

    def user_id(self, session_id: str, now: datetime) -> str | None:
        """Return the id of the session's user, if it is valid at `now`; raises InfactorAway."""
        with infactors_errors():
            # Unsorted: if there are several, Infactor's own server finds the same one.
            found = self._sessions.find_one(
                {"$or": [{"sid": session_id}, {"_id": session_id}]}, _FIELDS
            )
        return _user(found) if found and _is_alive(found, now) else None


def _is_alive(record: Mapping[str, Any], now: datetime) -> bool:
    expires = record.get("expires")
    return isinstance(expires, datetime) and expires > now


def _user(record: Mapping[str, Any]) -> str | None:
    kept = record.get("data") or record.get("session")
    try:
        session = (
            msgspec.json.decode(kept, type=_Session)
            if isinstance(kept, str)
            else msgspec.convert(kept, _Session)
        )
    except (msgspec.MsgspecError, RecursionError):
        return None
    return session.passport.user if _USER_ID.fullmatch(session.passport.user) else None
