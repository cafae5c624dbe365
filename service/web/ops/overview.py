"""The overview: whether anything is wrong now, what to do about it, and how things stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from service.store import pace, samples
from service.store.samples import Span
from service.times import now
from service.watch import flow
from service.watch.condition import Condition, span
from service.watch.look import look
from service.watch.processes import CLOCK, SILENT_SECONDS
from service.watch.vitals import Vitals
from service.web.ops import chart
from service.web.ops.alarm import alarm_of, title_of
from service.web.ops.chart import Chart, Frame, Series
from service.web.ops.page import page
from service.web.pages import part, render
from service.web.state import State


@dataclass(frozen=True, slots=True)
class Range:
    """How far back the charts go, and how many samples are one value of them."""

    name: str
    words: str
    back: timedelta
    slots: int

    @property
    def step(self) -> timedelta:
        """The time for which one value stands."""
        return timedelta(seconds=samples.SECONDS * self.slots)


RANGES = {
    one.name: one
    for one in (
        Range("24h", "24 hours", timedelta(hours=24), 1),
        Range("7d", "7 days", timedelta(days=7), 6),
        Range("30d", "30 days", timedelta(days=30), 24),
    )
}
_MOST = 30
_MOST_READERS = 5
_PAGES = {
    "withdrawals.stopped": "/ops/connections/{subject}#stopped",
    "finding.critical": "/ops/findings?severity=critical&company={subject}",
    "notices.stuck": "/ops/notices?status=stuck",
    "notices.parked": "/ops/notices?status=parked",
    "webhooks.broken": "/ops/notices",
    "webhooks.forged": "/ops/notices",
    "deliveries.stuck": "/ops/connections?state=late",
    "deliveries.refused": "/ops/connections?state=late",
    "reads.high": "/ops/#reads",
    "throttled.lasting": "/ops/connections",
}


def overview(request: Request[State]) -> Response:
    """Show whether anything is wrong, and how things stand."""
    return page(request, "ops/overview.html", {**_seen_now(request), "swapped": False})


def live(request: Request[State]) -> Response:
    """Show the changing part of the overview, or 204 while it is what the browser has."""
    context, query = _seen_now(request), request.query_params
    if query.get("seen") == context["version"]:
        return Response(status_code=204)
    # Read aloud only when something else is wrong than before.
    news = query.get("wrong") != context["alarm"].version
    return render(request, "ops/overview_live.html", {**context, "swapped": True, "news": news})


def _seen_now(request: Request[State]) -> dict[str, Any]:
    """Return the changing part, and `version` with it: of ages it shows whole minutes at most."""
    services, at = request.state["services"], now()
    which = RANGES.get(request.query_params.get("range", ""), RANGES["24h"])
    with services.database.read() as session:
        wrong, figures = look(session, services.settings, at)
        context = _context(session, wrong, figures, which, at)
    content = part("ops/standing.html", context)
    version = sha256(content.encode()).hexdigest()[:16]
    return {"range": which, "content": content, "version": version, "alarm": alarm_of(wrong)}


def _context(
    session: Session, wrong: Sequence[Condition], figures: Vitals, which: Range, at: datetime
) -> dict[str, Any]:
    slot = samples.slot_of(at)
    known = tuple(samples.spans(session, samples.begin_of(slot + 1) - which.back, which.slots))
    return {
        "wrong": [(one, title_of(one), page_of(one)) for one in wrong[:_MOST]],
        "any_critical": any(one.severity == "critical" for one in wrong),
        "more": max(0, len(wrong) - _MOST),
        "figures": figures,
        "share": figures.reads / figures.reads_per_month,
        "high": flow.READS_HIGH,
        "readers": _readers(session, figures, at),
        "no_clock": figures.beats.get(CLOCK, SILENT_SECONDS) >= SILENT_SECONDS,
        "ranges": RANGES.values(),
        "range": which,
        "known": bool(known),
        "charts": charts(known, which, slot),
    }


def _readers(session: Session, figures: Vitals, at: datetime) -> Sequence[tuple[str, str, int]]:
    """Return whose reads are the most, once that matters."""
    high = figures.reads >= flow.READS_HIGH * figures.reads_per_month
    return pace.most(session, f"{at:%Y-%m}", _MOST_READERS) if high else ()


def page_of(condition: Condition) -> str | None:
    """Return the page where one can act upon this, if there is one."""
    known = "/ops/connections/{subject}" if condition.subject else None
    page = _PAGES.get(condition.cause, known)
    return page and page.format(subject=condition.subject)


@lru_cache(maxsize=8)
def charts(known: tuple[Span, ...], which: Range, slot: int) -> tuple[Chart, ...]:
    """Return the pictures of what is known, to the end of the sample that is under way.

    Open pages ask every few seconds, and between two samples nothing moves: they are kept.
    """
    end = samples.begin_of(slot + 1)
    frame = Frame(end - which.back, end, which.step)
    minutes = which.step / timedelta(minutes=1)

    def values(field: str, per: float = 1.0) -> list[tuple[datetime, float | None]]:
        return [
            (max(one.at, frame.begin), None if (v := getattr(one, field)) is None else v / per)
            for one in known
        ]

    lag = (Series("95 of 100 within", values("lag_p95")), Series("Half within", values("lag_p50")))
    ended = [
        Series(words, values(field, minutes))
        for field, words in (("done", "Done"), ("ignored", "Ignored"), ("parked", "Parked"))
    ]
    return (
        chart.lines("lag", "From change in QuickBooks to record", lag, frame, span_of),
        chart.bars("ended", "Notices per minute, by what became of them", ended, frame, rate),
        chart.lines(
            "oldest",
            "How long the oldest due notice has waited",
            [Series("Oldest", values("oldest_pending"))],
            frame,
            span_of,
        ),
    )


def span_of(seconds: float) -> str:
    """Write a length of time; of less than ten seconds, a tenth counts."""
    return f"{seconds:.1f} s" if 0 < seconds < 10 else span(seconds)


def rate(per_minute: float) -> str:
    """Write how many there are a minute."""
    return f"{per_minute:.1f}" if 0 < per_minute < 10 else f"{per_minute:,.0f}"
