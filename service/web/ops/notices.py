"""The operators' list of notices, and their replay."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.database.tables import Notice
from service.domain import ConnectionState, NoticeStatus
from service.kit.clock import now
from service.monitoring.notices import STUCK as STUCK_AFTER
from service.operations import actions
from service.queries import companies, notices
from service.store import connections
from service.web.ops.flash import page, redirect_with
from service.web.ops.forms import asking, number, numbers, words
from service.web.ops.session import operator_of
from service.web.state import AppState
from service.web.templating import render
from service.wording import what, why

LIST = "/ops/notices"
NEWS = f"{LIST}/live"
PAGE_SIZE = 50
STUCK = "stuck"
FILTERS: tuple[str, ...] = (
    NoticeStatus.PENDING,
    STUCK,
    NoticeStatus.DONE,
    NoticeStatus.PARKED,
    NoticeStatus.IGNORED,
)
_ASK_NO_MORE = 286  # tells htmx to stop polling; it shows the answer
_KINDS = {
    NoticeStatus.PENDING: "plain",
    NoticeStatus.DONE: "good",
    NoticeStatus.PARKED: "bad",
    NoticeStatus.IGNORED: "plain",
}


@dataclass(frozen=True, slots=True)
class NoticeQuery:
    """Which notices an address asks for; invalid parameters are ignored."""

    text: str
    status: str
    last: int | None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "NoticeQuery":
        status = _known(query.get("status", ""), FILTERS)
        return cls(words(query, "q"), status, number(query.get(cls._turned(status))))

    @staticmethod
    def _turned(status: str) -> str:
        return "after" if status == STUCK else "before"  # what is stuck begins with the oldest

    def address(self, path: str = LIST, *, last: int | None = None, **more: str) -> str:
        """Return the address of this list, or of its page after `last`."""
        turned = {self._turned(self.status): "" if last is None else str(last)}
        return asking(path, {"q": self.text, "status": self.status, **turned, **more})

    def found(self, session: Session, environment: str, at: datetime) -> Sequence[Notice]:
        """Return one page of the notices, and one more if there are others."""
        narrowed: Any = {"text": self.text, "limit": PAGE_SIZE + 1}
        if self.status == STUCK:
            since = at - STUCK_AFTER
            return notices.stuck(session, environment, since, after=self.last, **narrowed)
        statuses = [self.status] if self.status else tuple(NoticeStatus)
        return notices.found(session, environment, before=self.last, statuses=statuses, **narrowed)


def listing(request: Request[AppState]) -> Response:
    """Show a page of the notices that match."""
    services, asked, at = request.state["services"], NoticeQuery.of(request.query_params), now()
    with services.database.read() as session:
        found = asked.found(session, services.settings.quickbooks_environment, at)
        shown = found[:PAGE_SIZE]
        ids = {one.connection_id for one in shown if one.connection_id is not None}
        names = companies.names(session, ids)
        called = notices.numbers(session, shown)
        decided = notices.decided(session, shown)
    rows = [
        (one, names.get(one.connection_id or ""), what(one, called.get(one.id)), one.id in called)
        for one in shown
    ]
    return page(
        request,
        "ops/notices.html",
        {
            "rows": rows,
            "decided": decided,
            "replayable": any(_may_return(one) for one in shown),
            # Most of the others were done long ago.
            "all_at_once": asked.status == NoticeStatus.PARKED,
            "may_return": _may_return,
            "why": why,
            "kinds": _KINDS,
            "at": at,
            "statuses": [(name, replace(asked, status=name).address()) for name in FILTERS],
            "status": asked.status,
            "oldest_first": asked.status == STUCK,
            "text": asked.text,
            "before": request.query_params.get("before", ""),
            "all_statuses": replace(asked, status="").address(),
            "here": asked.address(last=asked.last),
            "news": asked.address(NEWS, last=asked.last, seen=_version(found)),
            "first": asked.address() if asked.last is not None else None,
            "next": asked.address(last=shown[-1].id) if len(found) > PAGE_SIZE else None,
        },
    )


def news(request: Request[AppState]) -> Response:
    """Say once that the page is out of date, or 204; a swapped list would lose ticked boxes."""
    services, asked = request.state["services"], NoticeQuery.of(request.query_params)
    with services.database.read() as session:
        found = asked.found(session, services.settings.quickbooks_environment, now())
    if request.query_params.get("seen") == _version(found):
        return Response(status_code=204)
    here = {"here": asked.address(last=asked.last)}
    return render(request, "ops/notices_news.html", here, status=_ASK_NO_MORE)


def _version(found: Sequence[Notice]) -> str:
    seen = [(one.id, one.status, one.attempts, one.handled_at) for one in found]
    return sha256(repr(seen).encode()).hexdigest()[:16]


def search(request: Request[AppState], form: FormData) -> Response:
    """Redirect to the matching list; e-mail addresses are not searched for."""
    text, status = words(form, "q"), words(form, "status")
    given = {"q": text.replace("@", " "), "status": _known(status, FILTERS)}
    return RedirectResponse(asking(LIST, given), 303)


def replay(request: Request[AppState], form: FormData) -> Response:
    """Make the chosen notices pending again, or all that are shown, and redirect to the list."""
    services = request.state["services"]
    status, text = words(form, "status"), words(form, "q")
    here = asking(
        LIST,
        {
            "q": text,
            "status": _known(status, tuple(NoticeStatus)),
            "before": str(number(str(form.get("before", ""))) or ""),
        },
    )
    which = "shown" if form.get("all") == "yes" else "notice"
    chosen = numbers(form.getlist(which))[:PAGE_SIZE]
    with services.database.read() as session:
        everyone = connections.everyone(session, services.settings.quickbooks_environment)
    known = {connection.id: connection for connection, _ in everyone}
    count, whose = actions.replay(
        services.database,
        list(known),
        operator_of(request).actor,
        {"notice": chosen[0]} if len(chosen) == 1 else {},
        notice_ids=chosen,
    )
    for connection_id in whose:
        if known[connection_id].state == ConnectionState.CONNECTED:
            request.state["nudges"].sync(connection_id)
    return redirect_with(request, here, "replayed" if count else "nothing-replayed", count)


def _known(word: str, words_: Collection[str]) -> str:
    return word if word in words_ else ""


def _may_return(notice: Notice) -> bool:
    return (
        notice.status in (NoticeStatus.PARKED, NoticeStatus.DONE)
        and notice.connection_id is not None
    )
