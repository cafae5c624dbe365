"""Who is logged in to Infactor, by the sessions that its own server keeps in its database."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from service.infactor.mongo import InfactorDatabase, infactors_errors
from service.infactor.users import tolerant

_USER_ID = re.compile(r"[0-9a-f]{24}")
# npm's express-sessions keeps `sid` and `data`, connect-mongo `_id` and `session`.
_FIELDS = ("data", "session", "expires")


class _Passport(msgspec.Struct):
    user: str


class _Session(msgspec.Struct):
    """What passport keeps of a log-in; a session without one is a visitor's."""

    passport: _Passport


class Logins:
    """The sessions of Infactor; raises InfactorAway when nobody answers."""

    def __init__(self, database: InfactorDatabase) -> None:
        self._sessions = tolerant(database.sessions)

    def user_id(self, session_id: str, now: datetime) -> str | None:
        """Return the id of the user whose session this is; None unless it is alive at `now`."""
        with infactors_errors():
            # Unsorted, so that of several it is the one that Infactor's own server finds.
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
