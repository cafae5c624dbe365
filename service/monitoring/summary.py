"""The few figures that an operator looks at first.

Each statement is built once: building one takes longer than running it.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, func, or_, select
from sqlalchemy.orm import aliased

from service.database.tables import Connection, Notice, Run, WebhookAnswers
from service.database.types import written_out
from service.domain import CompanyState, ConnectionState, NoticeStatus, RunCause, RunKind, RunState
from service.monitoring.facts import Facts
from service.queries import notices

_PENDING = written_out(NoticeStatus.PENDING)
_FAILED = written_out(NoticeStatus.FAILED)
_ACTIVE = written_out(RunState.ACTIVE)
# Earlier in the month, a forecast would be a guess.
_ENOUGH = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one moment; `beats` are seconds since a process of that kind was alive.

    Every change until `complete_until`, of every connected company that is not paused, was compared
    with QuickBooks; None without such a company, or while the first backfill of one is not
    finished: `importing` counts those.
    """

    companies: Mapping[str, int]
    pending: int
    oldest_pending: datetime | None
    failed: int
    last_delivery: datetime | None  # to the minute
    complete_until: datetime | None
    importing: int
    reads: int
    reads_per_month: int
    reads_forecast: int | None
    beats: Mapping[str, float]
    runs: Mapping[str, int]
    infactor: "InfactorSummary | None"  # None where nothing is delivered into another database


@dataclass(frozen=True, slots=True, kw_only=True)
class InfactorSummary:
    """Invoices on their way to Infactor, and open findings; `critical` ones are unacknowledged."""

    outgoing: int
    findings: int
    critical: int


_pending = select(
    func.count().label("pending"), func.min(Notice.received_at).label("oldest_pending")
).where(Notice.status == _PENDING, notices.is_ours(bindparam("environment")))
_failed = (
    select(func.count())
    .select_from(Notice)
    .where(Notice.status == _FAILED, notices.is_ours(bindparam("environment")))
)
_last_webhook = select(func.max(WebhookAnswers.minute)).where(WebhookAnswers.outcome == "stored")


_later = aliased(Run)
_read_since = select(_later.id).where(
    _later.connection_id == Run.connection_id,
    _later.state == RunState.DONE,
    _later.error.is_(None),
    # A reconcile expects a number of invoices only if it reads them all.
    or_(
        and_(_later.kind == RunKind.BACKFILL, _later.since.is_(None)),
        and_(_later.kind == RunKind.RECONCILE, _later.expected.is_not(None)),
    ),
    _later.id > Run.id,
)
_importing = (
    select(func.count(Run.connection_id.distinct()))
    .join(Connection, Connection.id == Run.connection_id)
    .where(
        Connection.environment == bindparam("environment"),
        Connection.state == ConnectionState.CONNECTED,
        Connection.suspended_at.is_(None),
        Run.kind == RunKind.BACKFILL,
        Run.cause == RunCause.CONNECT,
        or_(Run.state != RunState.DONE, Run.error.is_not(None)),
        Run.created_at >= Connection.connected_at,
        ~_read_since.exists(),
    )
)


# Each comes out of its own index.
_figures = select(
    *_pending.subquery().c,
    _failed.scalar_subquery().label("failed"),
    _last_webhook.scalar_subquery().label("last_webhook"),
    _importing.scalar_subquery().label("importing"),
)


def summary(facts: Facts) -> Summary:
    found = facts.session.execute(_figures, {"environment": facts.environment}).one()
    connected = facts.by_state.get(CompanyState.CONNECTED)
    return Summary(
        companies={state: row.companies for state, row in facts.by_state.items()},
        pending=found.pending,
        oldest_pending=found.oldest_pending,
        failed=found.failed,
        last_delivery=found.last_webhook,
        complete_until=connected.reconciled_until if connected and not found.importing else None,
        importing=found.importing,
        reads=facts.reads,
        reads_per_month=facts.settings.quickbooks_reads_per_month,
        reads_forecast=_forecast(facts.reads, facts.now),
        beats=facts.beats,
        runs=_active_runs(facts),
        infactor=_infactor(facts) if facts.settings.delivers else None,
    )


def _infactor(facts: Facts) -> InfactorSummary:
    return InfactorSummary(
        outgoing=facts.outgoing.count,
        findings=sum(company.count for company in facts.findings),
        critical=sum(company.critical for company in facts.findings),
    )


_active_by_kind = (
    select(Run.kind, func.count())
    .join(Connection, Connection.id == Run.connection_id)
    .where(Run.state == _ACTIVE, Connection.environment == bindparam("environment"))
    .group_by(Run.kind)
)


def _active_runs(facts: Facts) -> dict[str, int]:
    rows = facts.session.execute(_active_by_kind, {"environment": facts.environment})
    return {kind: count for kind, count in rows}


def _forecast(used: int, now: datetime) -> int | None:
    """Return how many reads the month will have had at this rate; None on its first day."""
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    elapsed = now - begin
    if elapsed < _ENOUGH:
        return None
    month = timedelta(days=monthrange(now.year, now.month)[1])
    return round(used * (month / elapsed))
