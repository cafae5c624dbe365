"""What is wrong on the way of notices: from QuickBooks, through the inbox, to the record.

Each statement is built once: building one takes longer than running it.
"""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import bindparam, func, select

from service.company_access import SHARES
from service.database.tables import Connection, Notice, Run, WebhookAnswers
from service.domain import ConnectionState, RunCause, RunKind, RunState, Severity
from service.monitoring.condition import Condition
from service.monitoring.facts import Facts
from service.queries import notices
from service.store import inbox
from service.wording import several, span

FORGED = 100
FORGED_WITHIN = timedelta(minutes=10)
UNANNOUNCED = 10
UNANNOUNCED_WITHIN = timedelta(days=1)
STUCK = timedelta(minutes=10)
READS_HIGH = 0.8

_forged = select(
    func.coalesce(func.sum(WebhookAnswers.count), 0), func.min(WebhookAnswers.minute)
).where(WebhookAnswers.minute >= bindparam("since"), WebhookAnswers.outcome == "unsigned")


def forged_webhooks(facts: Facts) -> Iterator[Condition]:
    """Yield a condition after FORGED webhooks without a valid signature in FORGED_WITHIN."""
    count, first = facts.session.execute(_forged, {"since": facts.now - FORGED_WITHIN}).one()
    if count >= FORGED:
        yield Condition(
            cause="webhooks.forged",
            severity=Severity.WARNING,
            since=first,
            text=f"{int(count):,} deliveries within {span(FORGED_WITHIN.total_seconds())} were"
            " refused, because they had no right signature. If notices still come, a stranger sends"
            " these: block it at the proxy. If none come, the verifier token has changed: copy it"
            " from Intuit's portal.",
            command="infactor-quickbooks notices --limit 20",
        )


_crowded = select(
    func.coalesce(func.sum(WebhookAnswers.count), 0), func.min(WebhookAnswers.minute)
).where(
    WebhookAnswers.minute >= bindparam("since"),
    WebhookAnswers.outcome.in_(("crowded_out", "page_crowded_out")),
)


def crowded_receivers(facts: Facts) -> Iterator[Condition]:
    """Give one condition after receivers had to turn somebody away."""
    count, first = facts.session.execute(_crowded, {"since": facts.now - FORGED_WITHIN}).one()
    if count:
        yield Condition(
            cause="receivers.crowded",
            severity=Severity.WARNING,
            since=first,
            text=f"{int(count):,} connections or requests within"
            f" {span(FORGED_WITHIN.total_seconds())} were turned away, because a receiver had as"
            " many as it takes. Webhooks go first, but somebody opens very many: limit"
            " connections at the proxy, look there who it is, or start more receivers.",
            command="infactor-quickbooks notices --limit 20",
        )


_unannounced = select(
    func.coalesce(func.sum(Run.unannounced), 0),
    func.count(Run.connection_id.distinct()),
    func.min(Run.finished_at),
).where(
    Run.finished_at >= bindparam("since"),
    Run.kind == RunKind.RECONCILE,
    Run.cause == RunCause.DAILY,
    Run.state == RunState.DONE,
    Run.unannounced > 0,
    select(Connection.id)
    .where(Connection.id == Run.connection_id, Connection.environment == bindparam("environment"))
    .exists(),
)


def broken_webhooks(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when daily reconciles found UNANNOUNCED changes without a notice."""
    total, companies, first = facts.session.execute(
        _unannounced, {"since": facts.now - UNANNOUNCED_WITHIN, "environment": facts.environment}
    ).one()
    if total >= UNANNOUNCED:
        yield Condition(
            cause="webhooks.broken",
            severity=Severity.CRITICAL,
            since=first,
            text=f"{int(total):,} changes of {several(companies, 'company', 'companies')} came"
            " without a notification within a day: webhooks look broken. The reconcile has read"
            " them.",
            command="infactor-quickbooks notices --limit 20",
        )


# Companies are joined afterwards, so that databases begin with the few pending notices.
_waiting = (
    select(
        Notice.connection_id,
        func.count().label("count"),
        func.min(Notice.received_at).label("oldest"),
    )
    .where(*notices.has_waited(bindparam("before")))
    .group_by(Notice.connection_id)
    .subquery()
)
_stuck = (
    select(func.sum(_waiting.c.count), func.count(), func.min(_waiting.c.oldest))
    .join(Connection, Connection.id == _waiting.c.connection_id)
    .where(*notices.was_workable(bindparam("environment"), bindparam("before")))
)


def stuck_notices(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when notices are stuck for STUCK: those that `notices.stuck` lists."""
    count, companies, oldest = facts.session.execute(
        _stuck, {"before": facts.now - STUCK, "environment": facts.environment}
    ).one()
    if count:
        waited = span((facts.now - oldest).total_seconds())
        yield Condition(
            cause="notices.stuck",
            severity=Severity.CRITICAL,
            since=oldest,
            text=f"{several(count, 'notice', 'notices')} of"
            f" {several(companies, 'company', 'companies')} should be done by now; the oldest has"
            f" waited for {waited}. Those with an error: QuickBooks answered so; look at the"
            " company. Those without an attempt: see whether the workers run, and start them"
            " again.",
            command="infactor-quickbooks notices --pending",
        )


_parked = (
    select(func.count(), func.count(Notice.connection_id.distinct()), func.min(Notice.handled_at))
    .join(Connection, Connection.id == Notice.connection_id)
    .where(
        inbox.is_open(),
        Connection.environment == bindparam("environment"),
        Connection.state == ConnectionState.CONNECTED,
    )
)


def parked_notices(facts: Facts) -> Iterator[Condition]:
    """Yield a condition while connected companies have open parked notices."""
    count, companies, first = facts.session.execute(
        _parked, {"environment": facts.environment}
    ).one()
    if count:
        yield Condition(
            cause="notices.parked",
            severity=Severity.WARNING,
            since=first,
            text=f"{several(count, 'notice', 'notices')} of"
            f" {several(companies, 'company', 'companies')} have failed: what they tell of may be"
            " missing or out of date here. Each says why. They are tried again by themselves, at"
            " most an hour apart; where the record itself is wrong, once a day.",
            command="infactor-quickbooks notices --parked",
        )


_backfills = (
    select(func.count())
    .select_from(Run)
    .join(Connection, Connection.id == Run.connection_id)
    .where(
        Run.state == RunState.ACTIVE,
        Run.kind == RunKind.BACKFILL,
        Connection.environment == bindparam("environment"),
        Connection.state == ConnectionState.CONNECTED,
    )
)


def high_reads(facts: Facts) -> Iterator[Condition]:
    """Yield a condition from READS_HIGH of the month's reads on; critical once backfills wait."""
    used, budget = facts.reads, facts.settings.quickbooks_reads_per_month
    if used < READS_HIGH * budget:
        return
    waiting = 0
    if used >= SHARES["backfill"] * budget:
        waiting = facts.session.execute(_backfills, {"environment": facts.environment}).scalar_one()
    wait = f" {several(waiting, 'company waits', 'companies wait')} for it." if waiting else ""
    yield Condition(
        cause="reads.high",
        severity=Severity.CRITICAL if waiting else Severity.WARNING,
        text=f"{used:,} of {budget:,} reads of this month are used, {used / budget:.0%}:"
        f" at 90 % backfills wait for the next month, at 97 % everything but notices.{wait}"
        " Put off backfills and reconciles of the companies with the most, or raise the plan.",
        command="infactor-quickbooks connections",
    )
