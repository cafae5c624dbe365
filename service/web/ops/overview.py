"""The overview: what is wrong now, what to do about it, and the key figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from service.coordination import rate_limit
from service.domain import Severity
from service.kit.clock import now
from service.monitoring import webhooks
from service.monitoring.checks import current_status
from service.monitoring.condition import Condition
from service.monitoring.pages import guide_of, page_of, title_of
from service.monitoring.processes import CLOCK, SILENT_SECONDS
from service.monitoring.summary import Summary
from service.queries import measures
from service.queries.measures import Span
from service.web.ops import chart
from service.web.ops.chart import Chart, Frame, Measure, Series
from service.web.ops.flash import page
from service.web.state import AppState
from service.web.templating import part, render, unless_seen, version_of
from service.wording import exact_span, several

_MOST_NAMED = 5
_MOST = 30
_MOST_READERS = 5


@dataclass(frozen=True, slots=True)
class Alarm:
    """How much is wrong, and what; `version` changes with the conditions, not with their age."""

    count: int
    sentence: str
    version: str

    @property
    def title(self) -> str:
        return f"{self.count:,} wrong · Overview" if self.count else "Overview"


@dataclass(frozen=True, slots=True)
class Range:
    """How far back the charts go, how many samples make one value, and the time between ticks."""

    name: str
    words: str
    back: timedelta
    slots: int
    every: timedelta

    @property
    def step(self) -> timedelta:
        """The time that one value stands for."""
        return timedelta(seconds=measures.SECONDS * self.slots)


RANGES = {
    one.name: one
    for one in (
        Range("24h", "24 hours", timedelta(hours=24), 1, timedelta(hours=6)),
        Range("7d", "7 days", timedelta(days=7), 6, timedelta(days=1)),
        Range("30d", "30 days", timedelta(days=30), 24, timedelta(days=5)),
    )
}


def overview(request: Request[AppState]) -> Response:
    return page(request, "ops/overview.html", {**_seen_now(request), "swapped": False})


def live(request: Request[AppState]) -> Response:
    """Show the changing part of the overview, or 204 if the browser has it already."""
    context, query = _seen_now(request), request.query_params
    # Screen readers read it only if something else is wrong than before.
    news = query.get("wrong") != context["alarm"].version
    shown = {**context, "swapped": True, "news": news}
    return unless_seen(
        request, context["version"], lambda: render(request, "ops/overview_live.html", shown)
    )


def _seen_now(request: Request[AppState]) -> dict[str, Any]:
    """Return the changing part with its version; it shows ages in minutes, so that it changes
    rarely.
    """
    services, at = request.state["services"], now()
    which = RANGES.get(request.query_params.get("range", ""), RANGES["24h"])
    refused = request.state["probes"].refusals()
    with services.database.read() as session:
        wrong, figures = current_status(session, services.settings, at, refused)
        context = _context(session, wrong, figures, which, at)
    content = part("ops/status.html", context)
    return {
        "range": which,
        "content": content,
        "version": version_of(content),
        "alarm": alarm_of(wrong),
    }


def _context(
    session: Session, wrong: Sequence[Condition], figures: Summary, which: Range, at: datetime
) -> dict[str, Any]:
    slot = measures.slot_of(at)
    known = tuple(measures.spans(session, measures.begin_of(slot + 1) - which.back, which.slots))
    return {
        "wrong": [(one, *_about(one)) for one in wrong[:_MOST]],
        "any_critical": any(one.severity == Severity.CRITICAL for one in wrong),
        "more": max(0, len(wrong) - _MOST),
        "figures": figures,
        "share": figures.reads / figures.reads_per_month,
        "high": webhooks.READS_HIGH,
        "readers": _readers(session, figures, at),
        "no_clock": figures.beats.get(CLOCK, SILENT_SECONDS) >= SILENT_SECONDS,
        "ranges": RANGES.values(),
        "range": which,
        "known": bool(known),
        "charts": charts(known, which, slot),
    }


def _about(one: Condition) -> tuple[str, str | None, str]:
    """Return its title, the page where one acts on it, and where the guide says what to do."""
    return title_of(one.cause), page_of(one.cause, one.subject, one.page), guide_of(one.cause)


def _readers(session: Session, figures: Summary, at: datetime) -> Sequence[tuple[str, str, int]]:
    """Return the companies with the most reads, once the month's reads run short."""
    high = figures.reads >= webhooks.READS_HIGH * figures.reads_per_month
    return rate_limit.most_reads(session, f"{at:%Y-%m}", _MOST_READERS) if high else ()


def alarm_of(wrong: Sequence[Condition]) -> Alarm:
    which = sorted(" ".join(condition.key) for condition in wrong)
    return Alarm(len(wrong), _sentence(wrong), version_of(which))


def _sentence(wrong: Sequence[Condition]) -> str:
    if not wrong:
        return "Nothing is wrong any more."
    named = [_name(condition) for condition in wrong[:_MOST_NAMED]]
    more = f" and {len(wrong) - _MOST_NAMED:,} more" if len(wrong) > _MOST_NAMED else ""
    return f"{several(len(wrong), 'thing is', 'things are')} wrong: {', '.join(named)}{more}."


def _name(condition: Condition) -> str:
    title = title_of(condition.cause)
    return f"{title} ({condition.company})" if condition.company else title


@lru_cache(maxsize=8)
def charts(known: tuple[Span, ...], which: Range, slot: int) -> tuple[Chart, ...]:
    """Return the charts up to the current sample; cached, because open pages poll every few
    seconds.
    """
    end = measures.begin_of(slot + 1)
    frame = Frame(end - which.back, end, which.step, which.every)
    minutes = which.step / timedelta(minutes=1)

    def values(field: str, per: float = 1.0) -> list[tuple[datetime, float | None]]:
        return [
            (max(one.at, frame.begin), None if (v := getattr(one, field)) is None else v / per)
            for one in known
        ]

    lag = (Series("p95", values("lag_p95")), Series("Median", values("lag_p50")))
    ended = [
        Series(words, values(field, minutes))
        for field, words in (("done", "Done"), ("ignored", "Ignored"), ("failed", "Failed"))
    ]
    return (
        chart.lines("lag", "Sync latency", lag, frame, _SECONDS),
        chart.bars("ended", "Events a minute", ended, frame, _RATE),
        chart.lines(
            "oldest",
            "Wait of the oldest event",
            [Series("Oldest", values("oldest_pending"))],
            frame,
            _SECONDS,
        ),
    )


def rate(per_minute: float) -> str:
    return f"{per_minute:.1f}" if 0 < per_minute < 10 else f"{per_minute:,.0f}"


_SECONDS = Measure("seconds", chart.span_axis, exact_span)
_RATE = Measure("rate", chart.count_axis, rate)
