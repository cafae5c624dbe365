"""What is wrong with single companies: their connections, their limits, their reconciles."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from service.settings import Settings
from service.store import halts, pace, runs
from service.store.tables import Connection, Run
from service.watch.condition import Condition, day, moment, several

ENDING = timedelta(days=30)
ENDING_SOON = timedelta(days=7)
THROTTLED = timedelta(minutes=15)
# So many companies at once are no coincidence, and so many reads leave no room.
_SEVERAL = 2
_NEARLY_ALL = 0.95
_LONGEST_ERROR = 300


def dead_connections(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give each connection that QuickBooks has ended; one that an operator ended is not wrong."""
    rows = session.execute(
        select(Connection.id, Connection.company_name, Connection.disconnected_at).where(
            Connection.environment == settings.quickbooks_environment,
            Connection.state == "disconnected",
            Connection.problem.is_not(None),
        )
    )
    for connection_id, company, since in rows:
        yield Condition(
            cause="connection.dead",
            subject=connection_id,
            company=company,
            severity="critical",
            since=since,
            text="QuickBooks no longer accepts this company's connection: nothing is read until"
            " its supplier connects again.",
            command=_connect_again(connection_id),
        )


def ending_tokens(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give each connection that QuickBooks will end soon, whatever is done with it until then."""
    rows = session.execute(
        select(Connection.id, Connection.company_name, Connection.hard_expires_at).where(
            Connection.environment == settings.quickbooks_environment,
            Connection.state == "connected",
            Connection.hard_expires_at <= now + ENDING,
        )
    )
    for connection_id, company, ends_at in rows:
        if ends_at is None:
            continue
        left = ends_at - now
        text = (
            f"QuickBooks ends this company's authorisation on {day(ends_at)},"
            f" {_in(left)}: its supplier has to connect again before."
        )
        command = _connect_again(connection_id)
        # The earlier news stays true, and the later is told on its own.
        yield Condition(
            cause="token.ending",
            subject=connection_id,
            company=company,
            severity="warning",
            since=ends_at - ENDING,
            text=text,
            command=command,
        )
        if left <= ENDING_SOON:
            yield Condition(
                cause="token.ending_soon",
                subject=connection_id,
                company=company,
                severity="critical",
                since=ends_at - ENDING_SOON,
                text=text,
                command=command,
            )


def _in(left: timedelta) -> str:
    return f"in {several(left.days, 'day', 'days')}" if left.days > 0 else "within a day"


def _connect_again(connection_id: str) -> str:
    return f"infactor-quickbooks connect-url --connection {connection_id}"


def red_reconciles(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give each company whose newest reconcile failed, or left a difference."""
    newest = (
        select(Connection.id, Connection.company_name, runs.newest_reconcile().label("run_id"))
        .where(_concerns_us(settings))
        .subquery()
    )
    red = session.execute(
        select(newest.c.id, newest.c.company_name, Run.state, Run.error, Run.finished_at)
        .join(Run, Run.id == newest.c.run_id)
        .where(or_(Run.state == "failed", Run.error.is_not(None)))
        .order_by(newest.c.id)
    )
    for connection_id, company, state, error, finished_at in red:
        what = "failed" if state == "failed" else "left a difference"
        yield Condition(
            cause="reconcile.red",
            subject=connection_id,
            company=company,
            severity="critical",
            since=finished_at,
            text=f"The newest reconcile {what}: {(error or 'no reason')[:_LONGEST_ERROR]}.",
            command=f"infactor-quickbooks reconcile --connection {connection_id} --fix",
        )


def stopped_withdrawals(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give each company of which a run waits for an operator, because it would withdraw so much."""
    rows = session.execute(
        select(Run.id, Run.kind, Run.error, Run.halted_at, Connection.id, Connection.company_name)
        .join(Connection, Connection.id == Run.connection_id)
        .where(Run.state == "active", Run.halted_at.is_not(None), _concerns_us(settings))
        .order_by(Run.halted_at, Run.id)
    )
    told: set[str] = set()
    for run_id, kind, error, since, connection_id, company in rows:
        if connection_id in told:
            continue  # the other kind of run has its turn when this one is decided
        told.add(connection_id)
        yield Condition(
            cause="withdrawals.stopped",
            subject=connection_id,
            company=company,
            severity="critical",
            since=since,
            text=f"A {kind} has stopped: {halts.gist(error or 'no reason')[:_LONGEST_ERROR]}."
            " Until somebody decides, the company is not reconciled.",
            # What it prints is to be read before anybody decides.
            command=f"infactor-quickbooks confirm --run {run_id} --dry-run",
        )


def _concerns_us(settings: Settings) -> ColumnElement[bool]:
    """Say of a connection that something can be done: not where an operator has disconnected it."""
    return and_(
        Connection.environment == settings.quickbooks_environment,
        or_(Connection.state == "connected", Connection.problem.is_not(None)),
    )


def lasting_throttle(session: Session, settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give one condition when QuickBooks has refused companies for too long with 429 alone.

    The month's cap looks like an ordinary 429: how many companies meet it, and the meter, tell.
    """
    throttled = session.scalars(
        select(Connection.throttled_since).where(
            Connection.environment == settings.quickbooks_environment,
            Connection.state == "connected",
            Connection.suspended_at.is_(None),
            Connection.throttled_since <= now - THROTTLED,
        )
    ).all()
    if not throttled:
        return
    since = min(at for at in throttled if at is not None)
    used = pace.used(session, f"{now:%Y-%m}")
    budget = settings.quickbooks_reads_per_month
    looks_like_cap = len(throttled) >= _SEVERAL or used >= budget * _NEARLY_ALL
    guess = " This looks like Intuit's cap for the month." if looks_like_cap else ""
    yield Condition(
        cause="throttled.lasting",
        severity="critical" if looks_like_cap else "warning",
        since=since,
        text=f"QuickBooks has answered {several(len(throttled), 'company', 'companies')} nothing"
        f" but 429 since {moment(since)}, at {used:,} of {budget:,} reads this month.{guess}",
        command="infactor-quickbooks connections",
    )
