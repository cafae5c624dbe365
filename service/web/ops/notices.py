"""Notices: what QuickBooks sent, what became of each, and putting some of them back."""

from collections.abc import Collection, Mapping
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service import orders
from service.store import connections, directory, notices
from service.store.tables import Notice
from service.times import now
from service.watch import flow
from service.web.ops.browser import operator_of
from service.web.ops.forms import number, numbers, words
from service.web.ops.page import page
from service.web.ops.told import then
from service.web.state import State

LIST = "/ops/notices"
PAGE_SIZE = 50
STUCK, PARKED = "stuck", "parked"
FILTERS = ("pending", STUCK, *(name for name in notices.STATUSES if name != "pending"))
_KINDS = {"pending": "plain", "done": "good", "parked": "bad", "ignored": "plain"}


def listing(request: Request[State]) -> Response:
    """Show a page of notices, those that are looked for."""
    services, query = request.state["services"], request.query_params
    environment = services.settings.quickbooks_environment
    text, status = words(query, "q"), _known(query.get("status", ""), FILTERS)
    turned = "after" if status == STUCK else "before"  # what is stuck begins with the oldest
    last, most, at = number(query.get(turned)), PAGE_SIZE + 1, now()
    with services.database.read() as session:
        if status == STUCK:
            since = at - flow.STUCK
            found = notices.stuck(session, environment, since, after=last, text=text, limit=most)
        else:
            statuses = [status] if status in notices.STATUSES else notices.STATUSES
            found = notices.found(
                session, environment, before=last, statuses=statuses, text=text, limit=most
            )
        shown = found[:PAGE_SIZE]
        companies = {one.connection_id for one in shown if one.connection_id is not None}
        names = directory.names(session, companies)
    kept = {name: value for name, value in (("q", text), ("status", status)) if value}
    return page(
        request,
        "ops/notices.html",
        {
            "rows": [(one, names.get(one.connection_id or ""), what(one)) for one in shown],
            "replayable": any(_may_return(one) for one in shown),
            # Of the others, most were done long ago.
            "all_at_once": status == PARKED,
            "may_return": _may_return,
            "kinds": _KINDS,
            "at": at,
            "statuses": [(name, _address({**kept, "status": name})) for name in FILTERS],
            "status": status,
            "oldest_first": status == STUCK,
            "text": text,
            "before": query.get("before", ""),
            "all_statuses": _address({**kept, "status": ""}),
            "first": _address(kept) if turned in query else None,
            "next": _address({**kept, turned: str(shown[-1].id)})
            if len(found) > PAGE_SIZE
            else None,
        },
    )


def search(request: Request[State], form: FormData) -> Response:
    """Redirect to what is looked for; an e-mail address is nothing to look for here."""
    text, status = words(form, "q"), words(form, "status")
    given = {"q": text.replace("@", " "), "status": _known(status, FILTERS)}
    return RedirectResponse(_address(given), 303)


def replay(request: Request[State], form: FormData) -> Response:
    """Put the chosen notices back, or all that were shown, and redirect to where they were."""
    services = request.state["services"]
    status, text = words(form, "status"), words(form, "q")
    here = _address(
        {
            "q": text,
            "status": _known(status, notices.STATUSES),
            "before": str(number(str(form.get("before", ""))) or ""),
        }
    )
    which = "shown" if form.get("all") == "yes" else "notice"
    chosen = numbers(form.getlist(which))[:PAGE_SIZE]
    with services.database.read() as session:
        everyone = connections.everyone(session, services.settings.quickbooks_environment)
    known = {connection.id: connection for connection, _ in everyone}
    count, whose = orders.replay(
        services.database,
        list(known),
        operator_of(request).actor,
        {"notice": chosen[0]} if len(chosen) == 1 else {},
        notice_ids=chosen,
    )
    for connection_id in whose:
        if known[connection_id].state == "connected":
            request.state["nudges"].sync(connection_id)
    return then(request, here, "replayed" if count else "nothing-replayed", count)


def what(notice: Notice) -> str:
    """Return what the notice is about, in QuickBooks' own words."""
    parts = (notice.entity, notice.entity_id, notice.operation)
    return " ".join(part for part in parts if part) or "could not be read"


def _known(word: str, words_: Collection[str]) -> str:
    return word if word in words_ else ""


def _may_return(notice: Notice) -> bool:
    return notice.status in ("parked", "done") and notice.connection_id is not None


def _address(query: Mapping[str, str]) -> str:
    given = {name: value for name, value in query.items() if value}
    return f"{LIST}?{urlencode(given)}" if given else LIST
