"""Browsers in which an operator has logged in before, so that nobody else can keep them out.

These are OWASP's device cookies. One opens nothing: it only lets failures be counted by itself, and
not with those of whoever guesses at the same name elsewhere. Another password ends it.
"""

import re
import secrets
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from service.operators import Operator
from service.settings import Settings
from service.times import now
from service.web.cookies import Cookie
from service.web.ops.proofs import is_proof, proof
from service.web.state import State

_PURPOSE = "known browser"
_LIFETIME = timedelta(days=180)
_KNOWN = Cookie("infactor_ops_known", "/ops", "strict", max_age=int(_LIFETIME.total_seconds()))
_FORM = re.compile(r"([\w-]{22})\.(\d{10})\.([0-9a-f]{64})", re.ASCII)


def known_browser(request: Request[State], operator: Operator) -> str | None:
    """Return what this browser is known by if this operator has logged in with it before."""
    settings = request.state["services"].settings
    match = _FORM.fullmatch(_KNOWN.read(request, settings))
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
    """Let the browser prove from now on that this operator has logged in with it."""
    browser, ends = secrets.token_urlsafe(16), str(int((at + _LIFETIME).timestamp()))
    proved = proof(settings, _PURPOSE, operator.name, operator.mark, browser, ends)
    _KNOWN.give(response, f"{browser}.{ends}.{proved}", settings)
