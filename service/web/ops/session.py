"""The operator's session, and the browsers that an operator has logged in with before."""

import hmac
import re
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.config.parsers import Operator
from service.config.settings import Settings
from service.database.tables import OperatorSession
from service.kit.clock import now
from service.kit.vault import derived_key
from service.store import sessions
from service.web.cookies import Cookie
from service.web.ops import forms
from service.web.state import AppState

SESSION = Cookie("infactor_ops", "/ops", "lax")
"""Lax, so that a link in an alert opens its page."""

# Use extends a session, but not with a write for each page.
_KEPT_ALIVE_EVERY = timedelta(minutes=5)

_PURPOSE = "known browser"
_LIFETIME = timedelta(days=180)
_KNOWN = Cookie("infactor_ops_known", "/ops", "strict", max_age=int(_LIFETIME.total_seconds()))
_KNOWN_FORM = re.compile(r"([\w-]{22})\.(\d{10})\.([0-9a-f]{64})", re.ASCII)


def session_of(request: Request[AppState]) -> tuple[OperatorSession, Operator] | None:
    """Return the valid session and its operator, whose password must still be the same."""
    services = request.state["services"]
    cookie = SESSION.read(request, services.settings)
    with services.database.read() as session:
        found = sessions.OPERATORS.find(session, cookie, now())
    if found is None:
        return None
    known = {operator.name: operator for operator in services.settings.ops_users}
    operator = known.get(found.name)
    return (found, operator) if operator is not None and operator.mark == found.mark else None


def keep_alive(request: Request[AppState], known: OperatorSession) -> None:
    """Extend the session, as it is used."""
    at = now()
    if sessions.OPERATORS.end_of(known, at) - known.expires_at > _KEPT_ALIVE_EVERY:
        with request.state["services"].database.write() as session:
            sessions.OPERATORS.keep_alive(session, known, at)


def operator_of(request: Request[Any]) -> Operator:
    """Return the operator who is logged in; only for routes with OperatorsOnly."""
    operator: Operator = request.scope["operator"]
    return operator


class OperatorsOnly:
    """ASGI middleware of a route: redirects to the log-in without a session.

    The answer never depends on whether the page exists.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request[AppState] = Request(scope)
        found = await run_in_threadpool(session_of, request)
        if found is None:
            await _to_log_in(request)(scope, receive, send)
            return
        known, scope["operator"] = found
        # A page's own polling does not keep the session alive.
        if not request.url.path.endswith("/live"):
            await run_in_threadpool(keep_alive, request, known)
        await self.app(scope, receive, send)


def _to_log_in(request: Request[AppState]) -> Response:
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Refresh": "true"})
    where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    # After a lost action the log-in says so, and leads back to its page.
    query = {"ended": "yes"} if request.method == "POST" else {}
    wanted = request.method in ("GET", "POST") and forms.inside(where) == where
    if wanted and where != forms.HOME:
        query["next"] = where
    return RedirectResponse(forms.asking(forms.LOGIN, query), 303)


def known_browser(request: Request[AppState], operator: Operator) -> str | None:
    """Return this browser's id if this operator has logged in with it before."""
    settings = request.state["services"].settings
    match = _KNOWN_FORM.fullmatch(_KNOWN.read(request, settings))
    if match is None:
        return None
    browser, ends, given = match.groups()
    if int(ends) <= now().timestamp():
        return None
    about = (operator.name, operator.mark, browser, ends)
    return browser if is_proof(given, settings, _PURPOSE, *about) else None


def remember_browser(
    response: Response, operator: Operator, settings: Settings, at: datetime
) -> None:
    """Give the browser a proof that this operator has logged in with it, for 180 days."""
    browser, ends = secrets.token_urlsafe(16), str(int((at + _LIFETIME).timestamp()))
    proved = proof(settings, _PURPOSE, operator.name, operator.mark, browser, ends)
    _KNOWN.give(response, f"{browser}.{ends}.{proved}", settings)


def proof(settings: Settings, purpose: str, *about: str) -> str:
    """Return a MAC of these texts, which must not contain spaces."""
    key = derived_key(settings.secret_key.get_secret_value(), purpose.encode())
    return hmac.new(key, " ".join(about).encode(), sha256).hexdigest()


def is_proof(given: str, settings: Settings, purpose: str, *about: str) -> bool:
    """Return whether this is the MAC of these texts."""
    return hmac.compare_digest(given.encode(), proof(settings, purpose, *about).encode())
