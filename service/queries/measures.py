"""Figures about the service as a whole, right whichever process did the work.

A scrape reads these every few seconds, so each says what it costs. With 1,000 companies and a
million notices, all take about 20 ms on PostgreSQL, because nothing reads all notices. Partial
indexes need their condition literally in the query. A sample is kept every five minutes for charts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from sqlalchemy import (
    ColumnElement,
    Float,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    or_,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.coordination import circuit_breaker, heartbeats
from service.database.tables import Alert, Connection, Notice, Reads, Run, Sample
from service.database.types import among, written_out
from service.database.upsert import insert
from service.domain import CompanyState, ConnectionState, NoticeStatus, RunKind, RunState
from service.queries import notices
from service.store import (
    connections,
    counters,
    documents,
    event_feed,
    findings,
    infactor_outbox,
    watermarks,
)
from service.store.counters import Counted

RECENT = timedelta(hours=1)
QUANTILES = (0.5, 0.95, 0.99)
_MOST_LAGS = 5000
MOST_COMPANIES = 20
"""So many companies are measured by name, the worst: a series for each of 1,000 would cost more
than it tells, and what is well has no story. How many are late is measured of all."""
LATE_SECONDS = 60.0
"""A company is late whose oldest notice has waited for longer."""

SECONDS = 300
_STATUSES = (NoticeStatus.DONE, NoticeStatus.FAILED, NoticeStatus.IGNORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The figures of one moment; times are in seconds."""

    open_notices: Mapping[str, int]
    oldest_due: float
    oldest_watermark: float
    watermark_ages: Mapping[str, float]  # of the companies reconciled least lately, by connection
    waits: Mapping[str, float]  # of those whose oldest notice has waited longest
    late: Mapping[str, int]  # how many companies are late, by what
    ended_notices: Mapping[tuple[str, str], int]  # ever, by status and outcome
    lags: Mapping[float, float]  # by quantile
    lags_known: int
    reads: Mapping[str, int]
    refreshes: int
    connections: Mapping[str, int]
    active_runs: Mapping[str, int]
    open_alerts: Mapping[tuple[str, str], int]  # by cause and severity
    heartbeats: Mapping[str, float]
    findings: Mapping[str, int]
    unsent_events: int
    oldest_event: float
    infactor: "InfactorMeasures | None"  # None where nothing is delivered into another database


@dataclass(frozen=True, slots=True, kw_only=True)
class InfactorMeasures:
    """The figures of deliveries into Infactor's own database."""

    up: bool
    outgoing: int
    oldest_outgoing: float
    refused: int
    receipts: Mapping[str, int]  # ever, by outcome


def measure(
    session: Session, environment: str, now: datetime, *, delivers: bool = False
) -> Measures:
    """Return the figures of this moment; lags are of the last hour, totals of all time."""
    recent = lags_between(session, now - RECENT, now)
    ages, waits = watermark_ages(session, environment, now), _waits(session, environment, now)
    unsent = event_feed.backlog(session, environment)
    return Measures(
        open_notices={
            status: _open(session, status) for status in (NoticeStatus.PENDING, NoticeStatus.FAILED)
        },
        oldest_due=max(waits.values(), default=0.0),
        oldest_watermark=max(ages.values(), default=0.0),
        watermark_ages=ages,
        waits=dict(list(waits.items())[:MOST_COMPANIES]),
        late={
            "watermark": _late_watermarks(session, environment, now),
            "notices": sum(waited > LATE_SECONDS for waited in waits.values()),
        },
        ended_notices=counters.totals(session, Counted.NOTICES_ENDED),
        lags=quantiles(recent),
        lags_known=len(recent),
        reads=_reads(session, now.strftime("%Y-%m")),
        refreshes=session.execute(
            select(func.coalesce(func.sum(Connection.refreshes), 0))
        ).scalar_one(),
        connections=_connections(session, environment),
        active_runs=_active_runs(session),
        open_alerts=_open_alerts(session),
        heartbeats=heartbeats.ages(session),
        findings=findings.by_severity(session, environment),
        unsent_events=unsent.count,
        oldest_event=max(0.0, (now - unsent.since).total_seconds()) if unsent.since else 0.0,
        infactor=_infactor(session, environment, now) if delivers else None,
    )


def _infactor(session: Session, environment: str, now: datetime) -> InfactorMeasures:
    """Measure deliveries, from the partial index of outgoing invoices."""
    waiting = infactor_outbox.backlog(session, environment)
    waited = (now - (waiting.oldest or now)).total_seconds()
    return InfactorMeasures(
        up=circuit_breaker.broken(session, circuit_breaker.INFACTOR) is None,
        outgoing=waiting.count,
        oldest_outgoing=max(0.0, waited),
        refused=waiting.refused,
        receipts={
            outcome: total
            for (outcome, _), total in counters.totals(session, Counted.RECEIPTS).items()
        },
    )


_waits_since = (
    select(
        Notice.connection_id,
        func.min(
            case(
                (Notice.attempts > 0, Notice.received_at),
                else_=func.coalesce(Notice.due_at, Notice.received_at),
            )
        ).label("since"),
    )
    .where(*notices.has_waited(bindparam("now")))
    .group_by(Notice.connection_id)
    .subquery()
)


def oldest_due(session: Session, environment: str, now: datetime) -> float:
    """Return for how many seconds the oldest notice has waited, over all companies."""
    return max(_waits(session, environment, now).values(), default=0.0)


def _waits(session: Session, environment: str, now: datetime) -> dict[str, float]:
    """Return for how many seconds the oldest notice of each company has waited, the longest first.

    As with `waiting_since`.
    """
    waiting = waiting_since(session, environment, now)
    return {connection_id: _seconds(now, since) for connection_id, since in waiting.items()}


def waiting_since(
    session: Session, environment: str, now: datetime, ids: Collection[str] | None = None
) -> dict[str, datetime]:
    """Return since when the oldest notice of each company has waited, the longest first; with
    `ids`, of these companies.

    A company of which none waits is not in it, nor one that is paused or disconnected. One that
    waits for the end of an outage counts from when it came. It reads the index of pending notices.
    """
    query = (
        select(_waits_since.c.connection_id, _waits_since.c.since)
        .join(Connection, Connection.id == _waits_since.c.connection_id)
        .where(*notices.was_workable(bindparam("environment"), bindparam("now")))
        .order_by(_waits_since.c.since, _waits_since.c.connection_id)
    )
    if ids is not None:
        query = query.where(among(Connection.id, ids))
    rows = session.execute(query, {"environment": environment, "now": now})
    return {connection_id: min(since, now) for connection_id, since in rows}


def watermark_ages(session: Session, environment: str, now: datetime) -> dict[str, float]:
    """Return how many seconds ago each of the companies was reconciled that were so least lately.

    Those that are paused or disconnected do not count. Reads all connections.
    """
    rows = session.execute(
        select(Connection.id, Connection.reconciled_until)
        .where(*_compared(environment))
        .order_by(Connection.reconciled_until, Connection.id)
        .limit(MOST_COMPANIES)
    )
    return {connection_id: _seconds(now, until) for connection_id, until in rows}


def _late_watermarks(session: Session, environment: str, now: datetime) -> int:
    """Count the companies whose reconcile is an hour late: daily, hourly where money may move."""
    daily, hourly = (
        now - every - RECENT
        for every in (watermarks.RECONCILE_EVERY, watermarks.RECONCILE_FINANCED_EVERY)
    )
    is_late = or_(
        Connection.reconciled_until < daily,
        and_(Connection.reconciled_until < hourly, documents.is_financed()),
    )
    return session.execute(
        select(func.count()).select_from(Connection).where(*_compared(environment), is_late)
    ).scalar_one()


def _compared(environment: str) -> list[ColumnElement[bool]]:
    return [
        Connection.environment == environment,
        Connection.state == ConnectionState.CONNECTED,
        Connection.suspended_at.is_(None),
    ]


def _seconds(now: datetime, since: datetime) -> float:
    return max(0.0, (now - since).total_seconds())


def _open(session: Session, status: str) -> int:
    """Count the notices of this status: as many rows of its partial index."""
    return session.execute(
        select(func.count()).select_from(Notice).where(Notice.status == written_out(status))
    ).scalar_one()


def lags_between(session: Session, since: datetime, until: datetime) -> list[float]:
    """Return the seconds from change to record, ascending, of at most the newest 5,000 notices."""
    rows = session.execute(
        select(Notice.changed_at, Notice.handled_at)
        .where(
            Notice.handled_at >= since,
            Notice.handled_at <= until,
            Notice.status == NoticeStatus.DONE,
            Notice.changed_at.is_not(None),
        )
        .order_by(Notice.handled_at.desc())
        .limit(_MOST_LAGS)
    )
    return sorted(
        max(0.0, (handled_at - changed_at).total_seconds())
        for changed_at, handled_at in rows
        if changed_at and handled_at
    )


def quantiles(ascending: Sequence[float]) -> dict[float, float]:
    """Return the value below which each of `QUANTILES` lies; {} for no values."""
    if not ascending:
        return {}
    return {q: ascending[ceil(q * len(ascending)) - 1] for q in QUANTILES}


def _reads(session: Session, month: str) -> dict[str, int]:
    """Return the month's reads by kind: a few rows for each company."""
    rows = session.execute(
        select(Reads.kind, func.sum(Reads.count)).where(Reads.month == month).group_by(Reads.kind)
    )
    return {kind: int(count) for kind, count in rows}


def _connections(session: Session, environment: str) -> dict[str, int]:
    """Count companies by state; reads all connections."""
    rows = session.execute(
        select(connections.company_state, func.count())
        .where(Connection.environment == environment)
        .group_by(connections.company_state)
    )
    return dict[str, int].fromkeys(CompanyState, 0) | {state: count for state, count in rows}


def _active_runs(session: Session) -> dict[str, int]:
    return dict[str, int].fromkeys(RunKind, 0) | _counts(
        session, Run.kind, Run.state == written_out(RunState.ACTIVE)
    )


def _open_alerts(session: Session) -> dict[tuple[str, str], int]:
    rows = session.execute(
        select(Alert.cause, Alert.severity, func.count())
        .where(Alert.ended_at.is_(None))
        .group_by(Alert.cause, Alert.severity)
    )
    return {(cause, severity): count for cause, severity, count in rows}


def _counts(
    session: Session, by: InstrumentedAttribute[str], condition: ColumnElement[bool]
) -> dict[str, int]:
    """Count rows by a column; reads only those of a partial index."""
    rows = session.execute(select(by, func.count()).where(condition).group_by(by))
    return {name: count for name, count in rows}


@dataclass(frozen=True, slots=True)
class Span:
    """The figures of several samples together, as `spans` merges them."""

    at: datetime
    lag_p50: float | None
    lag_p95: float | None
    pending: int
    oldest_pending: float
    done: int
    failed: int
    ignored: int


def slot_of(at: datetime) -> int:
    """Return the number of the five minutes that contain this moment."""
    return int(at.timestamp()) // SECONDS


def begin_of(slot: int) -> datetime:
    return datetime.fromtimestamp(slot * SECONDS, UTC)


def is_taken(session: Session, slot: int) -> bool:
    return session.execute(select(Sample.slot).where(Sample.slot == slot)).first() is not None


def take(session: Session, environment: str, slot: int, now: datetime) -> None:
    """Keep the sample of these five minutes, which are over; the first caller's stays."""
    since, until = begin_of(slot), begin_of(slot + 1)
    pending = select(func.count()).where(Notice.status == written_out(NoticeStatus.PENDING))
    lags = quantiles(lags_between(session, since, until))
    sample = insert(session, Sample).values(
        slot=slot,
        lag_p50=lags.get(0.5),
        lag_p95=lags.get(0.95),
        pending=session.execute(pending).scalar_one(),
        oldest_pending=oldest_due(session, environment, now),
        **_ended_within(session, since, until),
    )
    session.execute(sample.on_conflict_do_nothing())


def _ended_within(session: Session, since: datetime, until: datetime) -> dict[str, int]:
    rows = session.execute(
        select(Notice.status, func.count())
        .where(Notice.handled_at >= since, Notice.handled_at < until)
        .group_by(Notice.status)
    )
    return {**dict.fromkeys(_STATUSES, 0), **{s: count for s, count in rows if s in _STATUSES}}


def spans(session: Session, since: datetime, slots: int) -> Sequence[Span]:
    """Return the samples since then, `slots` of them merged into one; gaps are left out.

    Counts are summed, the median is the mean of the medians, and of the rest the worst counts.
    """
    number = (Sample.slot // slots).label("number")
    rows = session.execute(
        select(
            number,
            cast(func.avg(Sample.lag_p50), Float),
            func.max(Sample.lag_p95),
            func.max(Sample.pending),
            func.max(Sample.oldest_pending),
            *(cast(func.sum(column), Float) for column in (Sample.done, Sample.failed)),
            cast(func.sum(Sample.ignored), Float),
        )
        .where(Sample.slot >= slot_of(since))
        .group_by(number)
        .order_by(number)
    )
    return [
        Span(begin_of(n * slots), p50, p95, pending, oldest, int(done), int(failed), int(ignored))
        for n, p50, p95, pending, oldest, done, failed, ignored in rows
    ]


def old_samples(session: Session, before: datetime, limit: int) -> int:
    """Delete samples from before then; return how many."""
    slots = select(Sample.slot).where(Sample.slot < slot_of(before)).limit(limit)
    found = session.scalars(slots).all()
    session.execute(delete(Sample).where(Sample.slot.in_(found)))
    return len(found)
