"""How things stand: the few figures that an operator looks at first."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, literal, select
from sqlalchemy.orm import Session

from service.settings import Settings
from service.store import findings, heartbeats, mirror, outgoing, pace
from service.store.tables import Connection, Deliveries, Notice, Run

# Written out in the query, where the databases recognise the condition of a partial index.
_PENDING = literal("pending", literal_execute=True)
_PARKED = literal("parked", literal_execute=True)
_ACTIVE = literal("active", literal_execute=True)
# Earlier in the month, a forecast would be a guess.
_ENOUGH = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """The figures of one moment; `beats` are seconds since a process of that kind was alive.

    Until `complete_until` every change of every company that is connected and not paused was
    compared with QuickBooks; None where there is no such company.
    """

    companies: Mapping[str, int]
    pending: int
    oldest_pending: datetime | None
    parked: int
    last_delivery: datetime | None  # to the minute
    complete_until: datetime | None
    reads: int
    reads_per_month: int
    reads_forecast: int | None
    beats: Mapping[str, float]
    runs: Mapping[str, int]
    infactor: "InfactorVitals | None"  # None where nothing is delivered into another database


@dataclass(frozen=True, slots=True, kw_only=True)
class InfactorVitals:
    """How many invoices are in Infactor's own database, on their way there, and worth a look.

    `critical` are those findings that nobody has acknowledged, as in the alarm.
    """

    delivered: int
    outgoing: int
    findings: int
    critical: int


def vitals(session: Session, settings: Settings, now: datetime) -> Vitals:
    """Return how things stand at this moment."""
    pending, oldest = session.execute(
        select(func.count(), func.min(Notice.received_at)).where(Notice.status == _PENDING)
    ).one()
    parked = select(func.count()).select_from(Notice).where(Notice.status == _PARKED)
    used = pace.used(session, f"{now:%Y-%m}")
    return Vitals(
        companies=_companies(session, settings),
        pending=pending,
        oldest_pending=oldest,
        parked=session.execute(parked).scalar_one(),
        last_delivery=session.execute(
            select(func.max(Deliveries.minute)).where(Deliveries.outcome == "stored")
        ).scalar_one(),
        complete_until=_complete_until(session, settings),
        reads=used,
        reads_per_month=settings.quickbooks_reads_per_month,
        reads_forecast=_forecast(used, now),
        beats=heartbeats.ages(session),
        runs=_active_runs(session),
        infactor=_infactor(session, settings.quickbooks_environment) if settings.delivers else None,
    )


def _complete_until(session: Session, settings: Settings) -> datetime | None:
    return session.execute(
        select(func.min(Connection.reconciled_until)).where(
            Connection.environment == settings.quickbooks_environment,
            Connection.state == "connected",
            Connection.suspended_at.is_(None),
        )
    ).scalar_one()


def _infactor(session: Session, environment: str) -> InfactorVitals:
    critical = findings.critical(session, environment)
    return InfactorVitals(
        delivered=mirror.count(session, environment),
        outgoing=outgoing.waiting(session, environment).count,
        findings=sum(findings.by_severity(session, environment).values()),
        critical=sum(company.count for company in critical),
    )


def _companies(session: Session, settings: Settings) -> dict[str, int]:
    state = case(
        ((Connection.state == "disconnected") & Connection.problem.is_not(None), "dead"),
        (Connection.state == "disconnected", "disconnected"),
        (Connection.suspended_at.is_not(None), "paused"),
        else_="connected",
    )
    rows = session.execute(
        select(state, func.count())
        .where(Connection.environment == settings.quickbooks_environment)
        .group_by(state)
    )
    return {name: count for name, count in rows}


def _active_runs(session: Session) -> dict[str, int]:
    rows = session.execute(
        select(Run.kind, func.count()).where(Run.state == _ACTIVE).group_by(Run.kind)
    )
    return {kind: count for kind, count in rows}


def _forecast(used: int, now: datetime) -> int | None:
    """Return how many reads the month will have cost at its end, if it goes on like this."""
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    elapsed = now - begin
    if elapsed < _ENOUGH:
        return None
    month = timedelta(days=monthrange(now.year, now.month)[1])
    return round(used * (month / elapsed))
