"""What is wrong on the way of notices: from QuickBooks, through the inbox, to the record.

Each statement is built once: building one takes longer than running it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select

from service.company_access import SHARES
from service.database.tables import Connection, Notice, Run, WebhookAnswers
from service.domain import ConnectionState, ProcessKind, RunCause, RunKind, RunState, Severity
from service.monitoring.condition import Condition
from service.monitoring.facts import Facts
from service.queries import notices
from service.store import inbox
from service.wording import several, shortened, span

FORGED = 100
REFUSED_WITHIN = timedelta(minutes=10)
UNANNOUNCED = 10
UNANNOUNCED_WITHIN = timedelta(days=1)
STUCK = timedelta(minutes=10)
MISDIRECTED_WITHIN = timedelta(days=1)
MISDIRECTED_LAST = timedelta(minutes=10)
READS_HIGH = 0.8

_refused = (
    select(WebhookAnswers.outcome, func.sum(WebhookAnswers.count), func.min(WebhookAnswers.minute))
    .where(
        WebhookAnswers.minute >= bindparam("since"),
        WebhookAnswers.outcome.in_(("unsigned", "crowded_out", "page_crowded_out")),
    )
    .group_by(WebhookAnswers.outcome)
)


def refused_requests(facts: Facts) -> Iterator[Condition]:
    """Yield what is wrong with what receivers have refused within REFUSED_WITHIN."""
    rows = facts.session.execute(_refused, {"since": facts.now - REFUSED_WITHIN})
    refused = {outcome: (int(count), first) for outcome, count, first in rows}
    unsigned, first = refused.pop("unsigned", (0, None))
    if unsigned >= FORGED:
        yield _forged(unsigned, first)
    if refused:
        turned_away = sum(count for count, _ in refused.values())
        yield _crowded(facts, turned_away, min(first for _, first in refused.values()))


def _forged(count: int, first: datetime | None) -> Condition:
    return Condition(
        cause="webhooks.forged",
        severity=Severity.WARNING,
        since=first,
        text=f"{count:,} webhooks within {span(REFUSED_WITHIN.total_seconds())} were"
        " refused, because their signature is wrong. If other webhooks still arrive, a stranger"
        " sends these: block it at the proxy. If none arrive, the verifier token has changed:"
        " copy it from Intuit's developer portal.",
        command="infactor-quickbooks webhooks --limit 20",
    )


def _crowded(facts: Facts, count: int, first: datetime) -> Condition:
    return Condition(
        cause="receivers.crowded",
        severity=Severity.WARNING,
        since=first,
        text=f"{count:,} connections or requests within"
        f" {span(REFUSED_WITHIN.total_seconds())} were turned away, because a receiver had as"
        " many as it takes. Webhooks go first, but somebody opens very many. The command shows"
        " from where, on the receiver's machine or the proxy's: limit connections there, or"
        " start more receivers.",
        command=f"ss -tn state established '( sport = :{facts.settings.listen_port} )'",
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
            command="infactor-quickbooks webhooks --limit 20",
        )


_recent = (
    select(
        WebhookAnswers.outcome,
        func.sum(WebhookAnswers.count),
        func.min(WebhookAnswers.minute),
        func.max(WebhookAnswers.minute),
    )
    .where(
        WebhookAnswers.minute >= bindparam("since"),
        WebhookAnswers.outcome.in_(("misdirected", "stored")),
    )
    .group_by(WebhookAnswers.outcome)
)


def misdirected_webhooks(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when webhooks come to an address that does not exist.

    It is over ten minutes after the last of them, once a webhook has been stored since.
    """
    rows = facts.session.execute(_recent, {"since": facts.now - MISDIRECTED_WITHIN})
    seen = {outcome: (int(count), first, last) for outcome, count, first, last in rows}
    if "misdirected" not in seen:
        return
    count, first, last = seen["misdirected"]
    stored = seen.get("stored")
    if stored is not None and stored[2] >= last and last < facts.now - MISDIRECTED_LAST:
        return
    yield Condition(
        cause="webhooks.misdirected",
        # While QuickBooks' own webhooks come in, it may be any stranger's request.
        severity=Severity.CRITICAL if stored is None else Severity.WARNING,
        since=first,
        text=f"{several(count, 'webhook', 'webhooks')} came to a wrong address and"
        f" {'was' if count == 1 else 'were'} answered 404. In Intuit's developer portal, set the"
        f" webhooks' Endpoint URL to {facts.settings.public_url}/quickbook/webhook. The log lines"
        " `webhook.misdirected` name the wrong address.",
        command="infactor-quickbooks doctor --webhook",
    )


def unconfigured_webhooks(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when a receiver has no verifier token, or these settings have none."""
    receivers = [one for one in facts.processes if one.kind == ProcessKind.RECEIVER]
    without = [one for one in receivers if not one.accepts_webhooks]
    if not without and (receivers or facts.settings.verifier_tokens):
        return
    every = "Every webhook is" if len(without) == len(receivers) else "Some webhooks are"
    yield Condition(
        cause="verifier.missing",
        severity=Severity.CRITICAL,
        text=f"{every} answered 503, because no verifier token is set. Copy it from the webhooks"
        " page of Intuit's developer portal into QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS, and restart"
        " `serve`. QuickBooks sends the webhooks again later.",
        command="infactor-quickbooks doctor",
    )


# Companies are joined afterwards, so that databases begin with the few pending notices.
_waiting = (
    select(
        Notice.connection_id,
        func.count().label("count"),
        func.min(Notice.received_at).label("oldest"),
        func.max(Notice.error_message).label("error"),
    )
    .where(*notices.has_waited(bindparam("before")))
    .group_by(Notice.connection_id)
    .subquery()
)
_stuck = (
    select(
        func.sum(_waiting.c.count),
        func.count(),
        func.min(_waiting.c.oldest),
        func.count(_waiting.c.error),
        func.max(_waiting.c.error),
    )
    .join(Connection, Connection.id == _waiting.c.connection_id)
    .where(
        *notices.was_workable(bindparam("environment"), bindparam("before")),
        # Of these companies another condition says why nothing succeeds.
        Connection.outage_since.is_(None),
        Connection.barred_since.is_(None),
        Connection.keys_refused_since.is_(None),
    )
)


def stuck_notices(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when notices are overdue for STUCK, unless QuickBooks itself is away."""
    count, companies, oldest, failed, error = facts.session.execute(
        _stuck, {"before": facts.now - STUCK, "environment": facts.environment}
    ).one()
    if not count:
        return
    if failed:
        why = (
            f"Cause, for {failed:,} of {several(companies, 'company', 'companies')}:"
            f" {shortened(error)}. They are retried automatically."
        )
    else:
        why = "None was tried, though workers are alive. Restart the workers, or start more."
    yield Condition(
        cause="webhooks.stuck",
        severity=Severity.CRITICAL,
        since=oldest,
        text=f"{several(count, 'webhook event', 'webhook events')} of"
        f" {several(companies, 'company', 'companies')} {'is' if count == 1 else 'are'} overdue;"
        f" the oldest has waited for {span((facts.now - oldest).total_seconds())}. {why}",
        command="infactor-quickbooks webhooks --pending",
    )


_failed = (
    select(func.count(), func.count(Notice.connection_id.distinct()), func.min(Notice.handled_at))
    .join(Connection, Connection.id == Notice.connection_id)
    .where(
        inbox.is_open(),
        Connection.environment == bindparam("environment"),
        Connection.state == ConnectionState.CONNECTED,
    )
)


def failed_notices(facts: Facts) -> Iterator[Condition]:
    """Yield a condition while connected companies have open failed notices."""
    count, companies, first = facts.session.execute(
        _failed, {"environment": facts.environment}
    ).one()
    if count:
        yield Condition(
            cause="webhooks.failed",
            severity=Severity.WARNING,
            since=first,
            text=f"{several(count, 'webhook event', 'webhook events')} of"
            f" {several(companies, 'company', 'companies')} failed, so invoices may be missing or"
            " out of date. The list of events says why. What failed is retried automatically, at"
            " most an hour apart, or once a day where the record itself is wrong.",
            command="infactor-quickbooks webhooks --failed",
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
