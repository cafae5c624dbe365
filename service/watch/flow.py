"""What is wrong with the way of notices: from QuickBooks, through the inbox, to the record."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from service.settings import Settings
from service.store import notices, pace
from service.store.tables import Connection, Deliveries, Notice, Run
from service.watch.condition import Condition, moment, several, span

FORGED = 100
FORGED_WITHIN = timedelta(minutes=10)
UNANNOUNCED = 10
UNANNOUNCED_WITHIN = timedelta(days=1)
STUCK = timedelta(minutes=10)
PARKED = 10
PARKED_WITHIN = timedelta(hours=1)
READS_HIGH = 0.8
# Written out in the query, where the databases recognise the condition of a partial index.
_PARKED = literal("parked", literal_execute=True)


def forged_webhooks(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give one condition after many deliveries without a right signature."""
    count, first = session.execute(
        select(func.coalesce(func.sum(Deliveries.count), 0), func.min(Deliveries.minute)).where(
            Deliveries.minute >= now - FORGED_WITHIN, Deliveries.outcome == "unsigned"
        )
    ).one()
    if count >= FORGED:
        yield Condition(
            cause="webhooks.forged",
            severity="warning",
            since=first,
            text=f"{int(count):,} deliveries within {span(FORGED_WITHIN.total_seconds())} were"
            " refused, because they had no right signature. If notices still come, a stranger sends"
            " these: block it at the proxy. If none come, the verifier token has changed: copy it"
            " from Intuit's portal.",
            command="infactor-quickbooks notices --limit 20",
        )


def broken_webhooks(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give one condition when daily reconciles found many changes that no notice had announced."""
    ours = select(Connection.id).where(
        Connection.id == Run.connection_id,
        Connection.environment == settings.quickbooks_environment,
    )
    rows = session.execute(
        select(Run.connection_id, Run.tally, Run.finished_at).where(
            Run.finished_at >= now - UNANNOUNCED_WITHIN,
            Run.kind == "reconcile",
            Run.cause == "daily",
            Run.state == "done",
            ours.exists(),
        )
    )
    missed = [
        (connection_id, tally["unannounced"], at)
        for connection_id, tally, at in rows
        if tally["unannounced"]
    ]
    total = sum(count for _, count, _ in missed)
    if total >= UNANNOUNCED:
        companies = len({connection_id for connection_id, _, _ in missed})
        yield Condition(
            cause="webhooks.broken",
            severity="critical",
            since=min(at for _, _, at in missed if at is not None),
            text=f"{total:,} changes of {several(companies, 'company', 'companies')} came without"
            " a notification within a day: webhooks look broken. The reconcile has read them.",
            command="infactor-quickbooks notices --limit 20",
        )


def stuck_notices(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give one condition when notices that could be worked on have waited for too long.

    They are those that `notices.stuck` names.
    """
    before = now - STUCK
    # Of companies afterwards, so that databases begin with the few notices that are pending.
    waiting = (
        select(
            Notice.connection_id,
            func.count().label("count"),
            func.min(Notice.received_at).label("oldest"),
        )
        .where(*notices.has_waited(before))
        .group_by(Notice.connection_id)
        .subquery()
    )
    count, companies, oldest = session.execute(
        select(func.sum(waiting.c.count), func.count(), func.min(waiting.c.oldest))
        .join(Connection, Connection.id == waiting.c.connection_id)
        .where(*notices.was_workable(settings.quickbooks_environment, before))
    ).one()
    if count:
        yield Condition(
            cause="notices.stuck",
            severity="critical",
            since=oldest,
            text=f"{several(count, 'notice', 'notices')} of"
            f" {several(companies, 'company', 'companies')} should be done by now; the oldest has"
            f" waited for {span((now - oldest).total_seconds())}. Those with an error: QuickBooks"
            " answered so; look at the company. Those without an attempt: see whether the workers"
            " run, and start them again.",
            command="infactor-quickbooks notices --pending",
        )


def parked_notices(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give one condition when many notices have failed for good within a short time."""
    count, first = session.execute(
        select(func.count(), func.min(Notice.handled_at)).where(
            Notice.status == _PARKED, Notice.handled_at >= now - PARKED_WITHIN
        )
    ).one()
    if count >= PARKED and first is not None:
        yield Condition(
            cause="notices.parked",
            severity="warning",
            since=first,
            text=f"{count:,} notices were parked since {moment(first)}: they failed for good and"
            " are tried no more.",
            command="infactor-quickbooks notices --parked",
        )


def high_reads(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give one condition when most of the month's reads are used."""
    used = pace.used(session, f"{now:%Y-%m}")
    budget = settings.quickbooks_reads_per_month
    if used >= READS_HIGH * budget:
        yield Condition(
            cause="reads.high",
            severity="warning",
            text=f"{used:,} of {budget:,} reads of this month are used, {used / budget:.0%}:"
            " at 90 % backfills wait for the next month, at 97 % everything but notices. Put off"
            " backfills and reconciles of the companies with the most, or raise the plan.",
            command="infactor-quickbooks connections",
        )
