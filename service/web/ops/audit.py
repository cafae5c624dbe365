"""The operators' page of the audit: who did what, when."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from service.queries import companies
from service.store import audit
from service.web.ops.companies import chosen
from service.web.ops.flash import page
from service.web.ops.forms import asking, number, page_links, words
from service.web.state import AppState

PAGE = "/ops/audit"
PAGE_SIZE = 50
_LONGEST_ACTOR = 128
_WORDS: Mapping[str, str] = {
    "adopt": "Adopted rows of the old import",
    "acknowledge": "Acknowledged a finding",
    "backfill": "Started a backfill",
    "confirm": "Approved withdrawals",
    "disconnect": "Disconnected",
    "disconnect failed": "Could not disconnect",
    "drop": "Ended a run",
    "forget": "Deleted a company's data",
    "invite": "Invited a supplier",
    "link": "Made a link to reconnect",
    "log out": "Logged a supplier out",
    "login": "Logged in",
    "login locked": "Locked out after failed log-ins",
    "login refused": "Failed to log in",
    "logout": "Logged out",
    "pause": "Paused",
    "reconcile": "Started a reconcile",
    "rekey": "Sealed everything with new keys",
    "release": "Released",
    "replay": "Retried webhook events",
    "reset watermarks": "Reset watermarks",
    "resume": "Resumed",
    "retry": "Retried what had failed",
    "retry events": "Sent refused events again",
    "skip event": "Skipped a refused event",
    "sync": "Started a sync",
}
# Details that have a page of their own.
_PAGES = {
    "run": "/ops/runs/{}",
    "event": "/ops/events/{}",
    "supplier": "/ops/connections?supplier={}",
}
_CALLED = {"notices": "events"}  # of what was sealed anew or deleted
_IDS = frozenset({"run", "event", "finding", "supplier"})


def listing(request: Request[AppState]) -> Response:
    """Show a page of what operators did, the newest first."""
    services, query = request.state["services"], request.query_params
    actor, action = words(query, "who", _LONGEST_ACTOR), words(query, "what")
    company = chosen(request)
    with services.database.read() as session:
        found = audit.newest(
            session,
            number(query.get("before")),
            PAGE_SIZE + 1,
            actor=actor,
            action=action,
            connection_id=company.id if company else None,
        )
        shown = found[:PAGE_SIZE]
        names = companies.names(session, {one.connection_id for one in shown if one.connection_id})
        actors, actions = audit.actors(session), audit.actions(session)
    following = shown[-1].id if len(found) > PAGE_SIZE else None
    kept = {"who": actor, "what": action, "company": company.id if company else ""}
    return page(
        request,
        "ops/audit.html",
        {
            "rows": [
                (one, called(one.action), names.get(one.connection_id or ""), details(one.details))
                for one in shown
            ],
            "actors": actors,
            "actions": [(name, called(name)) for name in actions],
            "actor": actor,
            "action": action,
            "company": company,
            "everyones": asking(PAGE, {**kept, "company": ""}),
            "narrowed": bool(actor or action or company),
            **page_links(PAGE, kept, "before", query, following),
        },
    )


def called(action: str) -> str:
    """Return what was done in words."""
    return _WORDS.get(action, action.capitalize())


def details(kept: Mapping[str, Any]) -> list[tuple[str, str, str | None]]:
    """Return (name, value, address of its page or None) of each detail that says something."""
    return [
        (_CALLED.get(name, name).replace("_", " "), _written(name, value), _address(name, value))
        for name, value in kept.items()
        if value not in (None, False, "", [], {})
    ]


def _written(name: str, value: Any) -> str:
    if value is True:
        return "yes"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and name not in _IDS else str(value)


def _address(name: str, value: Any) -> str | None:
    known = _PAGES.get(name)
    return known.format(value) if known and isinstance(value, int) else None
