"""The operator's browser: its cookie, its session, and who it has proved to be."""

import re
from datetime import timedelta
from typing import Any

from starlette.requests import Request

from service.operators import Operator
from service.store import operators
from service.store.tables import OperatorSession
from service.times import now
from service.web.cookies import Cookie
from service.web.state import State

SESSION = Cookie("infactor_ops", "/ops", "lax")
"""Lax, so that a link in an alert opens its page."""

_FORM = re.compile(r"[A-Za-z0-9_-]{43}")  # of what operators.begin returns

# The end of a session is put off by whoever uses it, but not with a write for each page.
_KEPT_ALIVE_EVERY = timedelta(minutes=5)


def session_of(request: Request[State]) -> tuple[OperatorSession, Operator] | None:
    """Return the living session of the browser's cookie, and whose it is.

    It is nobody's once the operator is gone from OPS_USERS, or has another password there.
    """
    services = request.state["services"]
    cookie = SESSION.read(request, services.settings)
    if not _FORM.fullmatch(cookie):
        return None
    with services.database.read() as session:
        found = operators.find(session, cookie, now())
    if found is None:
        return None
    known = {operator.name: operator for operator in services.settings.ops_users}
    operator = known.get(found.name)
    return (found, operator) if operator is not None and operator.mark == found.mark else None


def keep_alive(request: Request[State], known: OperatorSession) -> None:
    """Put the end of the session off, as somebody uses it."""
    at = now()
    if operators.end_of(known, at) - known.expires_at > _KEPT_ALIVE_EVERY:
        with request.state["services"].database.write() as session:
            operators.keep_alive(session, known, at)


def operator_of(request: Request[Any]) -> Operator:
    """Return the operator in front of a page that only operators reach."""
    operator: Operator = request.scope["operator"]
    return operator
