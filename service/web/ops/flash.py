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
    "paused": (True, "Paused. This company makes no calls to QuickBooks until you resume it."),
    "was-paused": (True, "It was already paused."),
    "resumed": (True, "Resumed. We are catching up on every change."),
    "was-not-paused": (True, "It was not paused."),
    "retried": (True, "Retrying now. This takes a few seconds."),
    "still-dead": (
        False,
        "QuickBooks does not accept the last token. Send the supplier a link to reconnect.",
    ),
    "not-tried": (
        False,
        "Nothing was changed. QuickBooks did not answer about the last token. Try again later.",
    ),
    "sync": (True, "Sync started. It reads every change since the last sync."),
    "backfill": (True, "Backfill started. Progress is shown below."),
    "reconcile": (True, "Reconcile started. Progress is shown below."),
    "halted": (
        False,
        "Nothing was started. An earlier run needs a decision, see below.",
    ),
    "confirmed": (True, "Confirmed. The run continues without a limit."),
    "confirmed-for-later": (
        True,
        "Confirmed. The run continues once the company is connected and not paused.",
    ),
    "dropped": (True, "Ended. The run withdraws nothing more."),
    "not-waiting": (
        False,
        "Nothing was decided. The run no longer waits, or has stopped again since.",
    ),
    "not-readable": (False, "Nothing was done. The company is paused or not connected."),
    "disconnected": (True, "Disconnected. Its tokens were given back to QuickBooks."),
    "disconnected-here": (
        False,
        "Disconnected here, but QuickBooks has not confirmed it: to be sure, let the supplier"
        " disconnect the app in QuickBooks.",
    ),
    "was-disconnected": (True, "It was already disconnected."),
    "not-revoked": (
        False,
        "Left as it is here, because QuickBooks has not confirmed it, though it may have ended it"
        " all the same. Try again later, or tick there that our tokens are deleted even if"
        " QuickBooks does not answer.",
    ),
    "connected-again": (
        False,
        "Nothing was changed. The supplier has reconnected it since.",
    ),
    "released": (True, "Released. Any supplier can now connect this company."),
    "is-connected": (False, "Nothing was changed. Disconnect the company first."),
    "replayed": (True, "{count} will be retried."),
    "nothing-replayed": (
        False,
        "Nothing to retry. Choose events that have failed or are done.",
    ),
    "acknowledged": (True, "Acknowledged. It alerts again only if it changes."),
    "no-link": (
        False,
        "No link was made: the supplier's name or address has characters that a link cannot carry."
        " Make one with connect-url and --name.",
    ),
    "no-note": (False, "Nothing was saved. Say what you did about it."),
    "no-finding": (
        False,
        "Nothing was saved. The finding has ended, changed or been acknowledged since.",
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
    notices = "1 event" if count == "1" else f"{int(count):,} events"
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
