"""Browsers in which an operator has logged in before, so that nobody else can keep them out.

These are OWASP's device cookies. One opens nothing: it only lets failures be counted by itself, and
not with those of whoever guesses at the same name elsewhere. Another password ends it.
"""

import hmac
import re
import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from service.operators import Operator
from service.settings import Settings
from service.times import now
from service.vault import derived_key
from service.web.ops.browser import cookie_name, cookie_path
from service.web.state import State

_NAME = "known"
_LIFETIME = timedelta(days=180)
_FORM = re.compile(r"([\w-]{22})\.(\d{10})\.([0-9a-f]{64})", re.ASCII)


def known_browser(request: Request[State], operator: Operator) -> str | None:
    """Return what this browser is known by if this operator has logged in with it before."""
    settings = request.state["services"].settings
    match = _FORM.fullmatch(request.cookies.get(cookie_name(settings, _NAME), ""))
    if match is None:
        return None
    browser, ends, proof = match[1], int(match[2]), match[3]
    if ends <= now().timestamp():
        return None
    genuine = hmac.compare_digest(proof, _proof(settings, operator, browser, ends))
    return browser if genuine else None


def remember_browser(
    response: Response, operator: Operator, settings: Settings, at: datetime
) -> None:
    """Let the browser prove from now on that this operator has logged in with it."""
    browser, ends = secrets.token_urlsafe(16), int((at + _LIFETIME).timestamp())
    response.set_cookie(
        cookie_name(settings, _NAME),
        f"{browser}.{ends}.{_proof(settings, operator, browser, ends)}",
        max_age=int(_LIFETIME.total_seconds()),
        path=cookie_path(settings),
        secure=settings.secure_cookies,
        httponly=True,
        samesite="strict",
    )


def _proof(settings: Settings, operator: Operator, browser: str, ends: int) -> str:
    key = derived_key(settings.secret_key.get_secret_value(), b"known browser")
    about = f"{operator.name} {operator.mark} {browser} {ends}"
    return hmac.new(key, about.encode(), sha256).hexdigest()
