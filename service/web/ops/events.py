"""The operators' list of notices, the page of each, and their replay."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.database.tables import Notice, NoticeAttempt
from service.domain import ConnectionState, NoticeStatus
from service.errors import ConfigurationError
from service.kit import exact_json
from service.kit.clock import now
from service.monitoring.webhooks import STUCK as STUCK_AFTER
from service.operations import actions
from service.queries import companies, notices
from service.services import Services
from service.store import inbox
from service.web.ops.flash import page, redirect_with
from service.web.ops.forms import asking, number, numbers, one_of, words
from service.web.ops.session import operator_of
from service.web.state import AppState
from service.web.templating import render, unless_seen, version_of
from service.wording import exact_span, what, why

LIST = "/ops/events"
NEWS = f"{LIST}/live"
PAGE_SIZE = 50
STUCK = "stuck"
FILTERS: tuple[str, ...] = (
    NoticeStatus.PENDING,
    STUCK,
    NoticeStatus.DONE,
    NoticeStatus.FAILED,
    NoticeStatus.IGNORED,
)
_ASK_NO_MORE = 286  # tells htmx to stop polling; it shows the answer
_MOST_ATTEMPTS = 50
_LONGEST_BODY = 100_000
_SECRETS = "realm|account|token|secret|password|signature|auth|bearer|refresh|code|key"
_SECRET = re.compile(_SECRETS, re.IGNORECASE)
# In texts and keys: `token=…`, `"token": "Bearer …"` in cut JSON, `Bearer …`, and realm ids.
_IN_TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            rf"((?:{_SECRETS})[\w-]{{0,40}}[\"'\\]{{0,4}}\s{{0,4}}[=:]\s{{0,4}}[\"'\\]{{0,4}})"
            r"(?:bearer\s+|basic\s+)?[^\s\"'\\&,;]+",
            re.IGNORECASE,
        ),
        r"\1…",
    ),
    (re.compile(r"\b(bearer\s+)[\w.~+/=-]+", re.IGNORECASE), r"\1…"),
    (re.compile(r"((?:realm|account|company)[^\d\n]{0,12})\d{6,}", re.IGNORECASE), r"\1(id)"),
    (re.compile(r"\d{14,}"), "(id)"),
)
_FORMATS = {"cloudevents": "CloudEvents", "legacy": "QuickBooks' older format", "own": "our own"}
_KINDS = {
    NoticeStatus.PENDING: "plain",
    NoticeStatus.DONE: "good",
    NoticeStatus.FAILED: "bad",
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
        status = one_of(query, "status", FILTERS)
        return cls(words(query, "q"), status, number(query.get(cls.turned(status))))

    @staticmethod
    def turned(status: str) -> str:
        """Return the parameter that says where a page begins."""
        return "after" if status == STUCK else "before"  # what is stuck begins with the oldest

    def address(self, path: str = LIST, *, last: int | None = None, **more: str) -> str:
        """Return the address of this list, or of its page after `last`."""
        turned = {self.turned(self.status): "" if last is None else str(last)}
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
        "ops/events.html",
        {
            "rows": rows,
            "decided": decided,
            "replayable": any(_may_return(one) for one in shown),
            # Most of the others were done long ago.
            "all_at_once": asked.status == NoticeStatus.FAILED,
            "may_return": _may_return,
            "why": why,
            "kinds": _KINDS,
            "at": at,
            "statuses": [
                (name, name.capitalize() or "All", replace(asked, status=name).address())
                for name in ("", *FILTERS)
            ],
            "status": asked.status,
            "oldest_first": asked.status == STUCK,
            "text": asked.text,
            "turned": asked.turned(asked.status),
            "last": "" if asked.last is None else asked.last,
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
    here = {"here": asked.address(last=asked.last)}
    return unless_seen(
        request,
        _version(found),
        lambda: render(request, "ops/events_news.html", here, status=_ASK_NO_MORE),
    )


def _version(found: Sequence[Notice]) -> str:
    return version_of([(one.id, one.status, one.attempts, one.handled_at) for one in found])


def search(request: Request[AppState], form: FormData) -> Response:
    """Redirect to the matching list; e-mail addresses are not searched for."""
    given = {"q": words(form, "q").replace("@", " "), "status": one_of(form, "status", FILTERS)}
    return RedirectResponse(asking(LIST, given), 303)


def replay(request: Request[AppState], form: FormData) -> Response:
    """Make the chosen notices pending again, or all that are shown, and redirect to the list."""
    asked = NoticeQuery.of({name: str(value) for name, value in form.items()})
    which = "shown" if form.get("all") == "yes" else "notice"
    chosen = numbers(form.getlist(which))[:PAGE_SIZE]
    return _replay(request, asked.address(last=asked.last), chosen)


def replay_one(request: Request[AppState], form: FormData) -> Response:
    """Make the notice in the address pending again, and redirect to its page."""
    notice = _notice(request)
    return _replay(request, f"{LIST}/{notice.id}", [notice.id])


def _replay(request: Request[AppState], address: str, chosen: Sequence[int]) -> Response:
    """Make these notices pending again, and redirect to the address, which says how many were."""
    services = request.state["services"]
    with services.database.read() as session:
        environment = services.settings.quickbooks_environment
        known = {one.id: one for one in notices.companies_of(session, environment, chosen)}
    count, whose = actions.replay(
        services.database,
        list(known),
        operator_of(request).actor,
        {"event": chosen[0]} if len(chosen) == 1 else {},
        notice_ids=chosen,
    )
    for connection_id in whose:
        if known[connection_id].state == ConnectionState.CONNECTED:
            request.state["nudges"].sync(connection_id)
    return redirect_with(request, address, "replayed" if count else "nothing-replayed", count)


def detail(request: Request[AppState]) -> Response:
    """Show one notice: what it says, each attempt at it, and what came with it."""
    return page(request, "ops/event.html", _facts(request.state["services"], _notice(request)))


def live(request: Request[AppState]) -> Response:
    """Show the notice again, or 204 if the browser has it already."""
    facts = _facts(request.state["services"], _notice(request))
    return unless_seen(
        request, facts["version"], lambda: render(request, "ops/event_live.html", facts)
    )


def _facts(services: Services, notice: Notice) -> dict[str, Any]:
    """Return what ops/event_live.html shows; it follows a notice that is `active`."""
    with services.database.read() as session:
        names = companies.names(session, [notice.connection_id] if notice.connection_id else [])
        called = notices.numbers(session, [notice]).get(notice.id)
        failed = notices.failed_attempts(session, notice.id, _MOST_ATTEMPTS + 1)
        invoice_id = notices.invoice_of(session, notice)
    shown = attempts_of(notice, failed[:_MOST_ATTEMPTS])
    is_due = notice.due_at is None or notice.due_at <= now()
    waits = notice.status == NoticeStatus.PENDING and notice.connection_id is not None
    seen = (_version([notice]), notice.claimed_by, notice.due_at, is_due, why(notice), shown)
    return {
        "notice": notice,
        "what": what(notice, called),
        "why": why(notice),
        "verified": _verified(notice),
        "formats": _FORMATS,
        "company": names.get(notice.connection_id or ""),
        "invoice_id": invoice_id,
        "kind": _KINDS[NoticeStatus(notice.status)],
        "attempts": shown,
        "more": len(failed) > _MOST_ATTEMPTS,
        "may_return": _may_return(notice),
        "body": _body(services, notice),
        "is_due": is_due,
        "active": waits or notice.claimed_by is not None,
        "version": version_of(seen),
    }


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a notice: when it began, its result, and how long it took.

    `took` is in seconds, None while it is under way; `due_at` is when the next was planned.
    """

    began_at: datetime
    result: str
    kind: str  # good | bad | plain
    took: str | None
    intuit_tid: str | None = None
    due_at: datetime | None = None


def attempts_of(notice: Notice, failed: Sequence[NoticeAttempt]) -> list[Attempt]:
    """Return the attempts, the newest first: the latest, kept by the notice, then failed ones."""
    made = [
        Attempt(
            began_at=one.began_at,
            result=one.error_message,
            kind="plain" if one.error_class == inbox.LOST else "bad",
            took=took(one.began_at, one.ended_at),
            intuit_tid=one.intuit_tid,
            due_at=one.due_at,
        )
        for one in failed
    ]
    began = notice.last_attempt_at
    if began is None or (failed and failed[0].began_at >= began):
        return made
    if notice.claimed_by is not None:
        return [Attempt(began, "", "plain", None), *made]
    if notice.status == NoticeStatus.DONE and notice.handled_at is not None:
        done = Attempt(began, notice.reason or "recorded", "good", took(began, notice.handled_at))
        return [done, *made]
    return made


def took(began: datetime, ended: datetime) -> str:
    """Return how long something took, in milliseconds below a second."""
    seconds = max(0.0, (ended - began).total_seconds())
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else exact_span(seconds)


def _notice(request: Request[AppState]) -> Notice:
    """Return the notice in the address; 404 for another environment."""
    services, notice_id = request.state["services"], number(request.path_params["id"])
    if notice_id is not None:
        with services.database.read() as session:
            environment = services.settings.quickbooks_environment
            found = notices.one(session, environment, notice_id)
        if found is not None:
            return found
    raise HTTPException(404)


def _verified(notice: Notice) -> str:
    if notice.format == "own":
        return "Not needed: this service sent it to itself"
    return "Yes, by its intuit-signature (HMAC-SHA256); unsigned webhooks are never stored"


def _body(services: Services, notice: Notice) -> str | None:
    """Return the kept body for people, without what may be secret; None if none is kept."""
    if notice.body_sealed is None or notice.dedupe_key is None:
        return None
    try:
        kept = services.vault.open(notice.body_sealed, notice.dedupe_key).encode("latin-1")
    except ConfigurationError:
        return "It cannot be opened: none of ENCRYPTION_KEYS fits."
    try:
        told = msgspec.json.format(exact_json.encode(_masked(exact_json.decode(kept))), indent=2)
    except (ValueError, TypeError, RecursionError):
        told = kept
    text = told.decode(errors="replace")
    for pattern, instead in _IN_TEXT:
        text = pattern.sub(instead, text)
    return text[:_LONGEST_BODY]


def _masked(value: Any) -> Any:
    """Return this JSON value without what is called a realm id or a secret."""
    if isinstance(value, dict):
        return {
            name: "…" if _SECRET.search(str(name)) else _masked(one) for name, one in value.items()
        }
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return value


def _may_return(notice: Notice) -> bool:
    return (
        notice.status in (NoticeStatus.FAILED, NoticeStatus.DONE)
        and notice.connection_id is not None
    )
