"""Log-in and log-out. A wrong name and a wrong password get the same answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Self

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
# A browser that an operator has used before is held up by nothing but its own failures. Any other
# is by those of its address alone: what is guessed elsewhere makes it wait, but keeps nobody out.
_MOST_OF_A_BROWSER = 5
_MOST_OF_A_NAME_HERE = 5
_MOST_OF_A_PEER = 20
_FREE_OF_A_NAME = 20
_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 2.0


def login(request: Request[AppState]) -> Response:
    """Show the log-in form."""
    if session_of(request) is not None:
        return RedirectResponse(HOME, 303)
    query = request.query_params
    onward, ended = inside(query.get("next", HOME)), "ended" in query
    return _page(request, page_of_action(onward) if ended else onward, ended=ended)


def log_in() -> Callable[[Request[AppState]], Awaitable[Response]]:
    """Return the endpoint that begins a session if name and password are right, or asks again.

    Guesses wait for each other in a few threads of their own: the common ones store notices.
    """
    strangers, acquaintances = CapacityLimiter(_AT_ONCE), CapacityLimiter(1)

    async def endpoint(request: Request[AppState]) -> Response:
        form = await form_of(request)
        given = {name: str(form.get(name, "")) for name in ("password", "next")}
        attempt = _Attempt.of(request, words(form, "name", LONGEST_NAME).lower())
        threads = acquaintances if attempt.is_known else strangers
        if not attempt.is_known:
            pause = await to_thread.run_sync(_pause, request, attempt.name, limiter=threads)
            await asyncio.sleep(pause)
        answer = partial(_log_in, request, attempt, **given)
        return await to_thread.run_sync(answer, limiter=threads)

    return endpoint


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Whom somebody says to be, and about what it is noted, `limits` with how often that may fail.

    `own` is the narrowest of them, which a right password forgives.
    """

    name: str
    own: str
    limits: Mapping[str, int]
    is_known: bool

    @classmethod
    def of(cls, request: Request[AppState], name: str) -> Self:
        operator = _named(request.state["services"], name)
        browser = known_browser(request, operator) if operator is not None else None
        if browser is not None:
            own = f"browser:{browser}"
            return cls(name, own, {own: _MOST_OF_A_BROWSER}, is_known=True)
        peer = _network(request.client.host if request.client else "")
        own = f"name:{name} peer:{peer}"
        limits = {own: _MOST_OF_A_NAME_HERE, f"peer:{peer}": _MOST_OF_A_PEER}
        return cls(name, own, limits, is_known=False)

    @property
    def noted(self) -> Sequence[str]:
        """About what it is noted."""
        return [*self.limits] if self.is_known else [*self.limits, f"name:{self.name}"]


def _network(peer: str) -> str:
    """Return the address of IPv4, or the /64 of IPv6: whoever has one has all of its addresses."""
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


def _pause(request: Request[AppState], name: str) -> float:
    """Return for how long a browser that is not known waits, after many guesses at this name."""
    with request.state["services"].database.read() as session:
        guesses = login_attempts.count(session, f"name:{name}", now())
    return min(_LONGEST_PAUSE_SECONDS, _PAUSE_SECONDS * max(0, guesses - _FREE_OF_A_NAME))


def _log_in(request: Request[AppState], attempt: _Attempt, *, password: str, next: str) -> Response:
    services, at, onward = request.state["services"], now(), inside(next)
    name, limits = attempt.name, attempt.limits
    with services.database.write() as session:
        notes = login_attempts.attempt(session, attempt.noted, at)
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
        login_attempts.forgive(session, attempt.own)
        if before is not None:
            sessions.OPERATORS.end(session, before[0].digest)
        cookie = sessions.OPERATORS.begin(session, at, name=operator.name, mark=operator.mark)
        audit.record(session, operator.actor, "login", None, {}, at)
        after_commit(session, log.info, "operator.logged_in", operator=operator.name)
    response = RedirectResponse(onward, 303)
    SESSION.give(response, cookie, services.settings)
    remember_browser(response, operator, services.settings, at)
    return response


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
