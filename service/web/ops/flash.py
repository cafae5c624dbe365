"""Flash messages: what a page says once, after an action."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.web.cookies import Cookie
from service.web.ops.session import SESSION, is_proof, operator_of, proof
from service.web.state import AppState
from service.web.templating import render

_PURPOSE = "flash"
_SECONDS = 60
_FORM = re.compile(r"([a-z-]{1,32})\.([0-9]{1,7})\.([0-9a-f]{64})")

_TEXTS: Mapping[str, tuple[bool, str]] = {
    "paused": (True, "Paused: nobody calls QuickBooks for this company until you resume it."),
    "was-paused": (True, "It was paused already."),
    "resumed": (True, "Resumed: what changed meanwhile is read now."),
    "was-not-paused": (True, "It was not paused."),
    "retried": (True, "Tried again now: what waits is done within seconds."),
    "still-dead": (
        False,
        "QuickBooks does not accept its last token, or none is left: send its supplier a link.",
    ),
    "not-tried": (
        False,
        "Nothing was changed: QuickBooks did not say whether its last token is good. Try later.",
    ),
    "sync": (True, "Asked for: what changed since the last sync is read within seconds."),
    "backfill": (True, "Asked for: a backfill; below is how far it is."),
    "reconcile": (True, "Asked for: a reconcile; below is how far it is."),
    "halted": (
        False,
        "Nothing was begun: an earlier run has stopped and waits for a decision, see below.",
    ),
    "confirmed": (True, "Confirmed: the run goes on within seconds, and is not stopped any more."),
    "confirmed-for-later": (
        True,
        "Confirmed: the run goes on once the company is connected and not paused.",
    ),
    "dropped": (True, "Ended: the run withdraws nothing more."),
    "not-waiting": (
        False,
        "Nothing was decided: the run does not wait any more, or has stopped once more meanwhile.",
    ),
    "not-readable": (False, "Nothing was done: the company is paused or not connected."),
    "disconnected": (True, "Disconnected: its tokens were given back to QuickBooks."),
    "disconnected-here": (
        False,
        "Disconnected here, but QuickBooks has not confirmed it: to be sure, let the supplier"
        " disconnect the app in QuickBooks.",
    ),
    "was-disconnected": (True, "It was disconnected already."),
    "not-revoked": (
        False,
        "Left as it is here, because QuickBooks has not confirmed it, though it may have ended it"
        " all the same. Try again later, or tick there that our tokens are deleted even if"
        " QuickBooks does not answer.",
    ),
    "connected-again": (
        False,
        "Nothing was changed: its supplier has connected it again meanwhile.",
    ),
    "released": (True, "Released: whoever connects the company next has it."),
    "is-connected": (False, "Nothing was changed: disconnect the company first."),
    "replayed": (True, "{count} will be retried."),
    "nothing-replayed": (
        False,
        "Nothing to retry: choose notices that are parked or done.",
    ),
    "acknowledged": (True, "Acknowledged: it is reported again only if it changes."),
    "no-link": (
        False,
        "No link was made: the supplier's name or address has characters that a link cannot carry."
        " Make one with connect-url and --name.",
    ),
    "no-note": (False, "Nothing was noted: say what was done about it."),
    "no-finding": (
        False,
        "Nothing was noted: meanwhile the finding is over, has changed or was acknowledged.",
    ),
}


@dataclass(frozen=True, slots=True)
class Flash:
    text: str
    good: bool


def redirect_with(request: Request[AppState], address: str, word: str, count: int = 0) -> Response:
    """Redirect to a page that shows this message once, from a cookie of that page."""
    path, settings = address.partition("?")[0], request.state["services"].settings
    response = RedirectResponse(address, 303)
    proved = proof(settings, _PURPOSE, *_about(request, path, word, str(count)))
    _cookie(path).give(response, f"{word}.{count}.{proved}", settings)
    return response


def read(request: Request[AppState]) -> Flash | None:
    """Return the message of this session's last action for this page, if any."""
    settings = request.state["services"].settings
    match = _FORM.fullmatch(_cookie(request.url.path).read(request, settings))
    if match is None or match[1] not in _TEXTS:
        return None
    word, count, given = match.groups()
    about = _about(request, request.url.path, word, count)
    if not is_proof(given, settings, _PURPOSE, *about):
        return None
    good, text = _TEXTS[word]
    notices = "1 notice" if count == "1" else f"{int(count):,} notices"
    return Flash(text.format(count=notices), good)


def clear(request: Request[AppState], response: Response) -> None:
    """Delete the message that this page has shown."""
    settings, cookie = request.state["services"].settings, _cookie(request.url.path)
    if cookie.read(request, settings):
        cookie.take(response, settings)


def _cookie(path: str) -> Cookie:
    return Cookie("infactor_ops_flash", path, "strict", max_age=_SECONDS, of_page=True)


def _about(request: Request[AppState], path: str, word: str, count: str) -> tuple[str, ...]:
    return SESSION.read(request, request.state["services"].settings), path, word, count


def page(request: Request[AppState], name: str, context: Mapping[str, Any]) -> Response:
    """Return the page that this template makes, with the message, which it shows once."""
    more = {"operator": operator_of(request), "flash": read(request)}
    response = render(request, name, {**more, **context})
    clear(request, response)
    return response
