"""Log-in and log-out. A wrong name and a wrong password get the same answer."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.config.parsers import LONGEST_NAME, Operator
from service.database.engine import after_commit
from service.kit import passwords
from service.kit.clock import now
from service.services import Services
from service.store import audit, login_attempts, sessions
from service.web.ops.forms import HOME, LOGIN, form_of, inside, page_of_action, words
from service.web.ops.session import (
    SESSION,
    known_browser,
    operator_of,
    remember_browser,
    session_of,
)
from service.web.state import AppState
from service.web.templating import render

log = structlog.get_logger(__name__)

_AT_ONCE = 2
# A browser that an operator has used before is limited by its own failures only. Any other is
# limited by those of its address, and by more guesses at the name than one address can make.
_MOST_OF_A_BROWSER = 5
_MOST_OF_A_NAME_HERE = 5
_MOST_OF_A_PEER = 20
_MOST_OF_A_NAME = 100


def login(request: Request[AppState]) -> Response:
    """Show the log-in form."""
    if session_of(request) is not None:
        return RedirectResponse(HOME, 303)
    query = request.query_params
    onward, ended = inside(query.get("next", HOME)), "ended" in query
    return _page(request, page_of_action(onward) if ended else onward, ended=ended)


def log_in() -> Callable[[Request[AppState]], Awaitable[Response]]:
    """Return the endpoint of the log-in form; it checks passwords in a few threads of its own."""
    threads = CapacityLimiter(_AT_ONCE)

    async def endpoint(request: Request[AppState]) -> Response:
        form = await form_of(request)
        given = {name: str(form.get(name, "")) for name in ("password", "next")}
        name = words(form, "name", LONGEST_NAME).lower()
        attempt = partial(_log_in, request, name=name, **given)
        return await to_thread.run_sync(attempt, limiter=threads)

    return endpoint


def _log_in(request: Request[AppState], *, name: str, password: str, next: str) -> Response:
    services, at, onward = request.state["services"], now(), inside(next)
    narrowest, limits = _limits(request, name)
    with services.database.write() as session:
        notes = login_attempts.attempt(session, limits, at)
    with services.database.write() as session:
        found = (login_attempts.free_at(session, about, most, at) for about, most in limits.items())
        free_at = max(filter(None, found), default=None)
        if free_at is not None:
            login_attempts.take_back(session, notes)
    if free_at is not None:
        log.warning("operator.too_many_attempts", operator=_actor(services, name))
        return _page(request, onward, status=429, name=name, free_at=free_at)
    operator = _proved(services, name, password[: passwords.MOST])
    if operator is None:
        return _refused(request, name, onward, limits, at)
    before = session_of(request)
    with services.database.write() as session:
        login_attempts.take_back(session, notes)
        login_attempts.forgive(session, narrowest)
        if before is not None:
            sessions.OPERATORS.end(session, before[0].digest)
        cookie = sessions.OPERATORS.begin(session, at, name=operator.name, mark=operator.mark)
        audit.record(session, operator.actor, "login", None, {}, at)
        after_commit(session, log.info, "operator.logged_in", operator=operator.name)
    response = RedirectResponse(onward, 303)
    SESSION.give(response, cookie, services.settings)
    remember_browser(response, operator, services.settings, at)
    return response


def _limits(request: Request[AppState], name: str) -> tuple[str, Mapping[str, int]]:
    """Return the narrowest subject of an attempt, and how often each subject may fail."""
    operator = _named(request.state["services"], name)
    browser = known_browser(request, operator) if operator is not None else None
    if browser is not None:
        return (own := f"browser:{browser}"), {own: _MOST_OF_A_BROWSER}
    peer = request.client.host if request.client else ""
    return (here := f"name:{name} peer:{peer}"), {
        here: _MOST_OF_A_NAME_HERE,
        f"peer:{peer}": _MOST_OF_A_PEER,
        f"name:{name}": _MOST_OF_A_NAME,
    }


def _named(services: Services, name: str) -> Operator | None:
    return next((one for one in services.settings.ops_users if one.name == name), None)


def _proved(services: Services, name: str, password: str) -> Operator | None:
    """Return the operator of this name and password; takes as long for an unknown name."""
    operator = _named(services, name)
    some = operator or services.settings.ops_users[0]
    fits = passwords.fits(password, some.password_hash)
    return operator if fits else None


def _actor(services: Services, name: str) -> str:
    """Return the audit's name for this operator; an unknown name may be a mistyped password."""
    operator = _named(services, name)
    return operator.actor if operator else "ops:unknown"


def _refused(
    request: Request[AppState], name: str, onward: str, limits: Mapping[str, int], at: datetime
) -> Response:
    services = request.state["services"]
    actor = _actor(services, name)
    with services.database.write() as session:
        audit.record(session, actor, "login refused", None, {}, at)
        # The next attempt is refused without a check, which leaves no entry of its own.
        if any(login_attempts.free_at(session, about, n - 1, at) for about, n in limits.items()):
            audit.record(session, actor, "login locked", None, {}, at)
        after_commit(session, log.warning, "operator.refused", operator=actor)
    return _page(request, onward, status=401, name=name, refused=True)


def _page(request: Request[AppState], onward: str, status: int = 200, **more: Any) -> Response:
    context: dict[str, Any] = {
        "operator": None,
        "next": onward,
        "name": "",
        "refused": False,
        "free_at": None,
        "ended": False,
    }
    context |= more
    response = render(request, "ops/login.html", context, status)
    free_at = context["free_at"]
    if isinstance(free_at, datetime):
        response.headers["Retry-After"] = str(max(1, round((free_at - now()).total_seconds())))
    return response


def log_out(request: Request[AppState]) -> Response:
    """End the session."""
    services, found = request.state["services"], session_of(request)
    with services.database.write() as session:
        if found is not None:
            sessions.OPERATORS.end(session, found[0].digest)
        audit.record(session, operator_of(request).actor, "logout", None, {}, now())
    response = RedirectResponse(LOGIN, 303)
    SESSION.take(response, services.settings)
    return response


def home(request: Request[AppState]) -> Response:
    """Redirect to the overview."""
    return RedirectResponse(HOME, 303)


def nowhere(request: Request) -> Response:
    raise HTTPException(404)
