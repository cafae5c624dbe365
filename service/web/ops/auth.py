"""Logging in and out. Who asks learns as much of a wrong name as of a wrong password: nothing."""

from datetime import datetime
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service import passwords
from service.bootstrap import Services
from service.operators import LONGEST_NAME, Operator
from service.store import audit, operators
from service.times import now
from service.web.ops.addresses import HOME, LOGIN, inside
from service.web.ops.browser import give_cookie, operator_of, session_of, take_cookie
from service.web.ops.forms import form_of, words
from service.web.pages import render
from service.web.state import State

log = structlog.get_logger(__name__)

# Behind a proxy all operators are one peer, so that one may fail more often than one name.
_MOST_OF_A_NAME = 5
_MOST_OF_A_PEER = 20


def login(request: Request[State]) -> Response:
    """Ask for name and password."""
    if session_of(request) is not None:
        return RedirectResponse(HOME, 303)
    query = request.query_params
    return _page(request, inside(query.get("next", HOME)), ended="ended" in query)


async def log_in(request: Request[State]) -> Response:
    """Begin a session if name and password are right; else ask again."""
    form = await form_of(request)
    given = {name: str(form.get(name, "")) for name in ("password", "next")}
    name = words(form, "name", LONGEST_NAME).lower()
    return await run_in_threadpool(_log_in, request, name=name, **given)


def _log_in(request: Request[State], *, name: str, password: str, next: str) -> Response:
    services, at, onward = request.state["services"], now(), inside(next)
    password = password[: passwords.MOST]
    peer = request.client.host if request.client else ""
    about = [f"name:{name}", f"peer:{peer}"]
    with services.database.write() as session:
        notes = operators.attempt(session, about, at)
    with services.database.write() as session:
        free_at = max(
            filter(
                None,
                (
                    operators.free_at(session, about[0], _MOST_OF_A_NAME, at),
                    operators.free_at(session, about[1], _MOST_OF_A_PEER, at),
                ),
            ),
            default=None,
        )
        if free_at is not None:
            operators.take_back(session, notes)
    if free_at is not None:
        log.warning("operator.too_many_attempts")
        return _page(request, onward, status=429, name=name, free_at=free_at)
    operator = _proved(services, name, password)
    if operator is None:
        return _refused(request, name, onward, at)
    before = session_of(request)
    with services.database.write() as session:
        operators.take_back(session, notes)
        operators.forgive(session, about[0])
        if before is not None:
            operators.end(session, before[0].digest)
        cookie = operators.begin(session, operator.name, operator.mark, at)
        audit.record(session, operator.actor, "login", None, {}, at)
    log.info("operator.logged_in", operator=operator.name)
    response = RedirectResponse(onward, 303)
    give_cookie(response, cookie, services.settings)
    return response


def _proved(services: Services, name: str, password: str) -> Operator | None:
    """Return the operator of this name and password; for a name of nobody it takes as long."""
    known = services.settings.ops_users
    operator = next((one for one in known if one.name == name), None)
    fits = passwords.fits(password, (operator or known[0]).password_hash)
    return operator if fits else None


def _refused(request: Request[State], name: str, onward: str, at: datetime) -> Response:
    services = request.state["services"]
    # What nobody is called may be a password in the wrong field, and the audit is for ever.
    known = any(one.name == name for one in services.settings.ops_users)
    actor = f"ops:{name}" if known else "ops:unknown"
    with services.database.write() as session:
        audit.record(session, actor, "login refused", None, {}, at)
    log.warning("operator.refused", operator=actor)
    return _page(request, onward, status=401, name=name, refused=True)


def _page(request: Request[State], onward: str, status: int = 200, **more: Any) -> Response:
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


def log_out(request: Request[State]) -> Response:
    """End the session; its cookie opens nothing any more."""
    services, found = request.state["services"], session_of(request)
    with services.database.write() as session:
        if found is not None:
            operators.end(session, found[0].digest)
        audit.record(session, operator_of(request).actor, "logout", None, {}, now())
    response = RedirectResponse(LOGIN, 303)
    take_cookie(response, services.settings)
    return response


def home(request: Request[State]) -> Response:
    """Redirect to the overview's own address."""
    return RedirectResponse(HOME, 303)


def nowhere(request: Request) -> Response:
    """Answer 404."""
    raise HTTPException(404)
