"""What is wrong with single companies: their connections, limits and reconciles.

Each statement is built once: building one takes longer than running it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Row, Select, and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import aliased

from service import wording
from service.database.tables import Connection, Run
from service.database.types import Instant
from service.domain import CompanyState, ConnectionState, RunCause, RunKind, RunState, Severity
from service.monitoring.condition import Condition
from service.monitoring.facts import ENDING, THROTTLED, Facts
from service.store import connections, quickbooks_times, runs, watermarks
from service.wording import several, shortened, span, utc_day

ENDING_SOON = timedelta(days=7)
# A shorter one is over before anybody could act.
OUTAGE = timedelta(seconds=15)
# So many companies at once, or so many reads, mean the month's cap.
_SEVERAL = 2
_NEARLY_ALL = 0.95
# So many companies' times are not wrong at once.
_MANY = 4
_AHEAD = span(quickbooks_times.AHEAD.total_seconds())
FAILING = timedelta(minutes=10)
# So many failures in a row are no short outage.
_MANY_ATTEMPTS = 5


_LIVE = (CompanyState.CONNECTED, CompanyState.PAUSED)


def _no_values(_: Facts) -> Mapping[str, Any]:
    return {}


def _since(row: Row[Any]) -> datetime | None:
    return cast("datetime | None", row.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyCheck:
    """Yields a condition about each company of which `rows` has a row, from its first one.

    A row has the company as `id` and `company_name`, and whatever text, severity and command are
    made of. `values` gives a statement's parameters besides `environment`. The condition began
    `ahead` of what `since` returns. A command that is text names the company as `{id}`.
    """

    cause: str
    rows: Select[*tuple[Any, ...]] | Callable[[Facts], Iterable[Row[Any]]]
    text: str | Callable[[Row[Any], Facts], str]
    command: str | Callable[[Row[Any]], str]
    severity: Severity | Callable[[Row[Any]], Severity] = Severity.CRITICAL
    values: Callable[[Facts], Mapping[str, Any]] = _no_values
    since: Callable[[Row[Any]], datetime | None] = _since
    ahead: timedelta = timedelta()

    def __call__(self, facts: Facts) -> Iterator[Condition]:
        """Yield the conditions in the order of the rows."""
        seen: set[str] = set()
        for row in self._rows(facts):
            if row.id not in seen:
                seen.add(row.id)
                yield self._condition(row, facts)

    def _rows(self, facts: Facts) -> Iterable[Row[Any]]:
        if not isinstance(self.rows, Select):
            return self.rows(facts)
        values = {"environment": facts.environment, **self.values(facts)}
        return facts.session.execute(self.rows, values)

    def _condition(self, row: Row[Any], facts: Facts) -> Condition:
        text, command, severity = self.text, self.command, self.severity
        since = self.since(row)
        return Condition(
            cause=self.cause,
            subject=row.id,
            company=row.company_name,
            severity=severity if isinstance(severity, Severity) else severity(row),
            since=since and since - self.ahead,
            text=text if isinstance(text, str) else text(row, facts),
            command=command.format(id=row.id) if isinstance(command, str) else command(row),
        )


_CONNECT_AGAIN = "infactor-quickbooks connect-url --connection {id}"
_TRY_AGAIN = "infactor-quickbooks connections retry --connection {id}"

_company = (Connection.id, Connection.company_name)
_is_ours = Connection.environment == bindparam("environment")
_is_active = and_(
    _is_ours, Connection.state == ConnectionState.CONNECTED, Connection.suspended_at.is_(None)
)
# About a company that an operator disconnected, nothing can be done.
_concerns_us = and_(
    _is_ours, or_(Connection.state == ConnectionState.CONNECTED, Connection.problem.is_not(None))
)


def _is_connected(row: Row[Any]) -> bool:
    return bool(row.state == ConnectionState.CONNECTED)


# QuickBooks ended the connection; one that an operator ended is not wrong.
dead_connections = CompanyCheck(
    cause="connection.dead",
    rows=lambda facts: [one for one in facts.troubled if not _is_connected(one) and one.problem],
    since=lambda row: row.disconnected_at,
    text="QuickBooks no longer accepts this company's connection: nothing is read until its"
    " supplier connects again.",
    command=_CONNECT_AGAIN,
)


def _ending(facts: Facts, within: timedelta) -> list[Row[Any]]:
    """Return the connected companies whose authorisation ends within that time."""
    before = facts.now + within
    ends = [one for one in facts.troubled if one.hard_expires_at and one.hard_expires_at <= before]
    return [one for one in ends if _is_connected(one)]


def _ending_text(row: Row[Any], facts: Facts) -> str:
    ends_at: datetime = row.hard_expires_at
    left = ends_at - facts.now
    if left < timedelta():
        return (
            f"QuickBooks has ended this company's authorisation on {utc_day(ends_at)}: its"
            " supplier has to connect again."
        )
    how_soon = f"in {several(left.days, 'day', 'days')}" if left.days > 0 else "within a day"
    return (
        f"QuickBooks ends this company's authorisation on {utc_day(ends_at)}, {how_soon}: its"
        " supplier has to connect again before."
    )


# Whatever is done. The earlier condition stays true, and the later one gets an alert of its own.
ending_tokens = CompanyCheck(
    cause="token.ending",
    severity=Severity.WARNING,
    rows=lambda facts: _ending(facts, ENDING),
    since=lambda row: row.hard_expires_at,
    ahead=ENDING,
    text=_ending_text,
    command=_CONNECT_AGAIN,
)
tokens_ending_soon = CompanyCheck(
    cause="token.ending_soon",
    rows=lambda facts: _ending(facts, ENDING_SOON),
    since=lambda row: row.hard_expires_at,
    ahead=ENDING_SOON,
    text=_ending_text,
    command=_CONNECT_AGAIN,
)


_newer = aliased(Run)
# Only the few runs with an error are read, through their own index, and not the newest of each of
# a thousand companies.
_newest_red = (
    select(
        *(*_company, Run.finished_at.label("since")),
        *(Run.state, Run.error, Run.tally),
    )
    .join(Connection, Connection.id == Run.connection_id)
    .where(
        _concerns_us,
        Run.kind == RunKind.RECONCILE,
        Run.state != RunState.ACTIVE,
        Run.error.is_not(None),
        ~exists().where(
            _newer.connection_id == Run.connection_id,
            _newer.kind == RunKind.RECONCILE,
            _newer.state != RunState.ACTIVE,
            _newer.id > Run.id,
        ),
    )
)


def _left_by(row: Row[Any]) -> str | None:
    """Return what a reconcile left, in words; it names no invoice, because it may be sent."""
    return wording.gist(row.tally) if row.state == RunState.DONE else None


def _red_text(row: Row[Any], _: Facts) -> str:
    left = _left_by(row)
    what = "failed" if row.state == RunState.FAILED else "left a difference"
    # Errors of failed runs name no invoice either.
    text = f"The newest reconcile {what}: {shortened(left or row.error or 'no reason')}."
    advice = wording.advice(row.tally) if left else None
    return f"{text} {advice}." if advice else text


def _red_command(row: Row[Any]) -> str:
    if _left_by(row) and wording.is_beyond_fixing(row.tally):
        return "infactor-quickbooks webhooks --failed"
    return f"infactor-quickbooks reconcile --connection {row.id} --fix"


# The newest reconcile failed or left a difference.
red_reconciles = CompanyCheck(
    cause="reconcile.red",
    # One that an operator has ended while it waited is no failure.
    rows=_newest_red.where(Run.halted_at.is_(None)).order_by(Connection.id),
    text=_red_text,
    command=_red_command,
)


def _failing_text(row: Row[Any], _: Facts) -> str:
    first_backfill = row.kind == RunKind.BACKFILL and row.cause == RunCause.CONNECT
    return (
        f"The {'first backfill' if first_backfill else row.kind} fails:"
        f" {shortened(row.error or 'no reason')}. It is retried automatically, at most an hour"
        " apart, and goes on from where it is; until then invoices may be missing or out of date"
        " here."
    )


# Not at once if it may pass. One for each company: the same trouble keeps the other kind of run
# from going on.
failing_runs = CompanyCheck(
    cause="run.failing",
    rows=select(
        *(*_company, Run.failing_since.label("since")),
        *(Run.kind, Run.cause, Run.error, Run.error_class),
    )
    .join(Connection, Connection.id == Run.connection_id)
    .where(
        _is_active,
        # Another condition says why nothing succeeds for these companies.
        Connection.barred_since.is_(None),
        Connection.keys_refused_since.is_(None),
        Connection.outage_since.is_(None),
        Run.state == RunState.ACTIVE,
        Run.halted_at.is_(None),
        Run.error.is_not(None),
        or_(
            Run.failing_since <= bindparam("before"),
            and_(Run.failing_since.is_not(None), Run.error_class.not_in(runs.MAY_PASS)),
            and_(Run.failing_since.is_not(None), Run.attempts >= _MANY_ATTEMPTS),
        ),
    )
    .order_by(Run.failing_since, Run.id),
    values=lambda facts: {"before": facts.now - FAILING},
    severity=lambda row: (
        Severity.WARNING if row.error_class in runs.MAY_PASS else Severity.CRITICAL
    ),
    text=_failing_text,
    command=_TRY_AGAIN,
)

# QuickBooks bars us; the tokens are good.
barred_companies = CompanyCheck(
    cause="connection.barred",
    rows=lambda facts: [
        one
        for one in facts.troubled
        if _is_connected(one) and one.suspended_at is None and one.barred_since is not None
    ],
    since=lambda row: row.barred_since,
    text=lambda row, _: (
        f"{shortened(row.problem or 'QuickBooks refuses access')}. The supplier can fix"
        " that in QuickBooks. We try again every hour; the command tries now."
    ),
    command=_TRY_AGAIN,
)


_UNTIL_DECIDED = {
    RunKind.BACKFILL: "Until somebody decides, the company is not reconciled.",
    RunKind.RECONCILE: "Until somebody decides, the company is not reconciled.",
    RunKind.WITHDRAWAL: "Until somebody decides, no webhook withdraws an invoice of the company.",
}

# A run would withdraw too many. One for each company: the other kind of run has its turn when this
# one is decided.
stopped_withdrawals = CompanyCheck(
    cause="withdrawals.stopped",
    rows=select(
        *(*_company, Run.halted_at.label("since")),
        *(Run.id.label("run_id"), Run.kind, Run.halt_reason),
    )
    .join(Connection, Connection.id == Run.connection_id)
    .where(Run.state == RunState.ACTIVE, Run.halted_at.is_not(None), _concerns_us)
    .order_by(Run.halted_at, Run.id),
    text=lambda row, _: (
        f"A {row.kind} has stopped: {row.halt_reason}. {_UNTIL_DECIDED[RunKind(row.kind)]}"
    ),
    # What it prints is to be read before anybody decides.
    command=lambda row: f"infactor-quickbooks confirm --run {row.run_id} --dry-run",
)

# Within a day.
unasked_answers = CompanyCheck(
    cause="answers.unasked",
    severity=Severity.WARNING,
    rows=lambda facts: [
        one
        for one in facts.troubled
        if one.unasked_at is not None
        and one.unasked_at > facts.now - connections.UNASKED_WHILE
        and (_is_connected(one) or one.problem)
    ],
    since=lambda row: row.unasked_at,
    text=lambda row, _: (
        f"QuickBooks sent {several(row.unasked, 'record', 'records')} that nobody had asked for."
        " They were dropped, and may be another company's. Give Intuit's support the intuit_tid"
        " of the log lines `answer.unasked`, and compare the company in full."
    ),
    command="infactor-quickbooks reconcile --connection {id}",
)


_latest = bindparam("latest", type_=Instant)
_time_ahead = CompanyCheck(
    cause="time.ahead",
    rows=select(
        *(*_company, Connection.time_ahead_at.label("since")),
        func.coalesce(Connection.time_ahead, _latest).label("said"),
        *(Connection.reconciled_until, Connection.changes_read_until),
    )
    .where(_concerns_us, or_(Connection.time_ahead > _latest, watermarks.is_ahead(_latest)))
    .order_by(Connection.id),
    values=lambda facts: {"latest": facts.now + quickbooks_times.AHEAD},
    text=lambda row, _: (
        f"QuickBooks has said"
        f" {max(row.said, row.reconciled_until, row.changes_read_until):%Y-%m-%d %H:%M} UTC of"
        f" this company, more than {_AHEAD} ahead of the database's clock. It is not believed; what"
        " changed may be missing until everything is compared."
    ),
    command="infactor-quickbooks reconcile --connection {id} --fix",
)


def times_ahead(facts: Facts) -> Iterator[Condition]:
    """Give each company of which QuickBooks has said a time that the database's clock is far from.

    One condition for all where there are many: then it is the clock that is wrong.
    """
    found = list(_time_ahead(facts))
    if len(found) < _MANY:
        yield from found
        return
    yield Condition(
        cause="time.ahead",
        severity=Severity.CRITICAL,
        since=min((one.since for one in found if one.since), default=None),
        text=f"QuickBooks' time is more than {_AHEAD} ahead of the database's clock in answers"
        f" about {len(found):,} companies: the clock of the database is behind. Such times are"
        " not believed, so changes are read again and again.",
        command="infactor-quickbooks doctor",
    )


def refused_keys(facts: Facts) -> Iterator[Condition]:
    """Yield a condition while QuickBooks renews no tokens because of the app's own keys."""
    live = [row for state, row in facts.by_state.items() if state in _LIVE]
    count, companies = sum(row.keys_refused for row in live), sum(row.companies for row in live)
    if count:
        yield Condition(
            cause="keys.refused",
            severity=Severity.CRITICAL,
            since=min(row.keys_refused_since for row in live if row.keys_refused),
            text="QuickBooks does not accept the app's keys, for"
            f" {count:,} of {several(companies, 'company', 'companies')}: check"
            " QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET, and restart with the right ones."
            " No connection has ended; everything continues automatically then.",
            command="infactor-quickbooks doctor",
        )


def outages(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when QuickBooks has been away for OUTAGE; nobody here can do anything."""
    called = facts.by_state.get(CompanyState.CONNECTED)
    if called is None or not called.away or called.away_since > facts.now - OUTAGE:
        return
    yield Condition(
        cause="quickbooks.away",
        severity=Severity.WARNING,
        since=called.away_since,
        text=f"{shortened(called.outage or 'QuickBooks does not answer')}, for {called.away:,} of"
        f" {several(called.companies, 'company', 'companies')}. Nothing to do: we retry"
        " automatically, and catch up when QuickBooks is back. Intuit reports outages at"
        " https://status.developer.intuit.com.",
        command="infactor-quickbooks connections",
    )


def lasting_throttle(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when QuickBooks answers companies nothing but 429 for THROTTLED.

    The month's cap looks like an ordinary 429: the number of companies and the meter tell them
    apart.
    """
    called = facts.by_state.get(CompanyState.CONNECTED)
    if called is None or not called.throttled:
        return
    budget = facts.settings.quickbooks_reads_per_month
    looks_like_cap = called.throttled >= _SEVERAL or facts.reads >= budget * _NEARLY_ALL
    guess = " This looks like Intuit's cap for the month." if looks_like_cap else ""
    yield Condition(
        cause="throttled.lasting",
        severity=Severity.CRITICAL if looks_like_cap else Severity.WARNING,
        since=called.throttled_since,
        text=f"QuickBooks has answered {several(called.throttled, 'company', 'companies')} nothing"
        f" but 429 for more than {span(THROTTLED.total_seconds())}, at {facts.reads:,} of"
        f" {budget:,} reads this month.{guess}",
        command="infactor-quickbooks connections",
    )
