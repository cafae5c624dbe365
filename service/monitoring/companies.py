"""What is wrong with single companies: their connections, limits and reconciles.

Each statement is built once: building one takes longer than running it.
"""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import and_, bindparam, func, not_, or_, select

from service import wording
from service.database.tables import Connection, Document, Invoice, Run
from service.database.types import Instant
from service.domain import ConnectionState, RuleCode, RunCause, RunKind, RunState, Severity
from service.monitoring.condition import Condition
from service.monitoring.facts import Facts
from service.store import connections, documents, plausible, proof, runs, silence, watermarks
from service.wording import several, shortened, span, utc_day

ENDING = timedelta(days=30)
ENDING_SOON = timedelta(days=7)
THROTTLED = timedelta(minutes=15)
# A shorter one is over before anybody could look.
OUTAGE = timedelta(seconds=15)
# So many companies at once, or so many reads, mean the month's cap.
_SEVERAL = 2
_NEARLY_ALL = 0.95
# So many companies' times are not wrong at once.
_MANY = 4
_AHEAD = span(plausible.AHEAD.total_seconds())
FAILING = timedelta(minutes=10)
# So many failures in a row are no short outage.
_MANY_ATTEMPTS = 5


_is_ours = Connection.environment == bindparam("environment")
# About a company that an operator disconnected, nothing can be done.
_concerns_us = and_(
    _is_ours, or_(Connection.state == ConnectionState.CONNECTED, Connection.problem.is_not(None))
)

_dead = select(Connection.id, Connection.company_name, Connection.disconnected_at).where(
    _is_ours, Connection.state == ConnectionState.DISCONNECTED, Connection.problem.is_not(None)
)


def dead_connections(facts: Facts) -> Iterator[Condition]:
    """Yield each connection that QuickBooks ended; one that an operator ended is not wrong."""
    rows = facts.session.execute(_dead, {"environment": facts.environment})
    for connection_id, company, since in rows:
        yield Condition(
            cause="connection.dead",
            subject=connection_id,
            company=company,
            severity=Severity.CRITICAL,
            since=since,
            text="QuickBooks no longer accepts this company's connection: nothing is read until"
            " its supplier connects again.",
            command=_connect_again(connection_id),
        )


_first, _last = (bindparam(name, type_=Instant) for name in ("first", "last"))
_unproven = (
    select(
        *(Connection.id, Connection.company_name, Connection.state, Connection.disconnected_at),
        *(Connection.suspended_at, Connection.proved_at),
        func.count(),
        func.sum(Invoice.total),
    )
    .join(Document, Document.connection_id == Connection.id)
    .join(Invoice, Invoice.id == Document.invoice_id)
    .where(
        _is_ours,
        Connection.released_at.is_(None),
        Document.state.in_(documents.MONEY_MAY_MOVE),
        not_(proof.is_proved(_first, _last)),
    )
    .group_by(Connection.id)
    .order_by(Connection.id)
)


def unproven_books(facts: Facts) -> Iterator[Condition]:
    """Yield each company with approved invoices whose books nothing confirms.

    One for the company, whatever it has approved; a company that was released is let go.
    """
    hours = facts.settings.rules.limit_of(RuleCode.UNPROVEN)
    if hours is None:
        return
    first, last = proof.period(hours, facts.now)
    values = {"environment": facts.environment, "first": first, "last": last}
    for row in facts.session.execute(_unproven, values):
        connection_id, company, state, ended_at, suspended_at, proved_at, count, total = row
        look = f"infactor-quickbooks reconcile --connection {connection_id} --fix"
        why, since, command = f"nothing has confirmed its books for {hours} h", proved_at, look
        if state != ConnectionState.CONNECTED:
            why, since = "its connection has ended", ended_at
            command = _connect_again(connection_id)
        elif suspended_at is not None:
            why, since = "it is paused", suspended_at
            command = f"infactor-quickbooks connections resume --connection {connection_id}"
        elif proved_at is None:
            why = "nothing has confirmed its books since it was away"
        money = wording.money(total, facts.settings.infactor_currency)
        yield Condition(
            cause="books.unproven",
            subject=connection_id,
            company=company,
            severity=Severity.CRITICAL,
            since=since,
            text=f"{several(count, 'approved invoice', 'approved invoices')} of this company,"
            f" {money} in all, may have changed in QuickBooks: {why}. Call whoever acts next in"
            " Infactor before money moves. Undecided ones are withdrawn until a reconcile has"
            " confirmed the books.",
            command=command,
        )


_ending = select(Connection.id, Connection.company_name, Connection.hard_expires_at).where(
    _is_ours,
    Connection.state == ConnectionState.CONNECTED,
    Connection.hard_expires_at <= bindparam("before"),
)


def ending_tokens(facts: Facts) -> Iterator[Condition]:
    """Yield each connection whose authorisation QuickBooks ends within ENDING, whatever is done."""
    rows = facts.session.execute(
        _ending, {"environment": facts.environment, "before": facts.now + ENDING}
    )
    for connection_id, company, ends_at in rows:
        if ends_at is None:
            continue
        left = ends_at - facts.now
        text = (
            f"QuickBooks ends this company's authorisation on {utc_day(ends_at)},"
            f" {_in(left)}: its supplier has to connect again before."
        )
        if left < timedelta():
            text = (
                f"QuickBooks has ended this company's authorisation on {utc_day(ends_at)}: its"
                " supplier has to connect again."
            )
        command = _connect_again(connection_id)
        # The earlier condition stays true, and the later one gets an alert of its own.
        yield Condition(
            cause="token.ending",
            subject=connection_id,
            company=company,
            severity=Severity.WARNING,
            since=ends_at - ENDING,
            text=text,
            command=command,
        )
        if left <= ENDING_SOON:
            yield Condition(
                cause="token.ending_soon",
                subject=connection_id,
                company=company,
                severity=Severity.CRITICAL,
                since=ends_at - ENDING_SOON,
                text=text,
                command=command,
            )


def _in(left: timedelta) -> str:
    return f"in {several(left.days, 'day', 'days')}" if left.days > 0 else "within a day"


def _connect_again(connection_id: str) -> str:
    return f"infactor-quickbooks connect-url --connection {connection_id}"


_newest = (
    select(Connection.id, Connection.company_name, runs.newest_reconcile().label("run_id"))
    .where(_concerns_us)
    .subquery()
)
_red = (
    select(_newest.c.id, _newest.c.company_name, Run.state, Run.error, Run.tally, Run.finished_at)
    .join(Run, Run.id == _newest.c.run_id)
    # One that an operator has ended while it waited is no failure.
    .where(or_(Run.state == RunState.FAILED, Run.error.is_not(None)), Run.halted_at.is_(None))
    .order_by(_newest.c.id)
)


def red_reconciles(facts: Facts) -> Iterator[Condition]:
    """Yield each company whose newest reconcile failed or left a difference."""
    red = facts.session.execute(_red, {"environment": facts.environment})
    for connection_id, company, state, error, tally, finished_at in red:
        what = "failed" if state == RunState.FAILED else "left a difference"
        # This text may be sent, so it names no invoice; errors of failed runs name none.
        left = wording.gist(tally) if state == RunState.DONE else None
        advice = wording.advice(tally) if left else None
        mend = f"infactor-quickbooks reconcile --connection {connection_id} --fix"
        look = "infactor-quickbooks notices --parked"
        yield Condition(
            cause="reconcile.red",
            subject=connection_id,
            company=company,
            severity=Severity.CRITICAL,
            since=finished_at,
            text=f"The newest reconcile {what}: {shortened(left or error or 'no reason')}."
            + (f" {advice}." if advice else ""),
            command=look if left and wording.is_beyond_mending(tally) else mend,
        )


_failing = (
    select(
        *(Run.kind, Run.cause, Run.error, Run.error_class, Run.failing_since),
        *(Connection.id, Connection.company_name),
    )
    .join(Connection, Connection.id == Run.connection_id)
    .where(
        _is_ours,
        Connection.state == ConnectionState.CONNECTED,
        Connection.suspended_at.is_(None),
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
    .order_by(Run.failing_since, Run.id)
)


def failing_runs(facts: Facts) -> Iterator[Condition]:
    """Yield a condition for each company with a failing run, and not at once if it may pass."""
    rows = facts.session.execute(
        _failing, {"environment": facts.environment, "before": facts.now - FAILING}
    )
    told: set[str] = set()
    for kind, cause, error, error_class, since, connection_id, company in rows:
        if connection_id in told:
            continue  # the same trouble keeps the other kind from going on
        told.add(connection_id)
        first_import = kind == RunKind.BACKFILL and cause == RunCause.CONNECT
        yield Condition(
            cause="run.failing",
            subject=connection_id,
            company=company,
            severity=Severity.WARNING if error_class in runs.MAY_PASS else Severity.CRITICAL,
            since=since,
            text=f"The {'first import' if first_import else kind} fails:"
            f" {shortened(error or 'no reason')}. It is tried again by itself, at most an hour"
            " apart, and goes on from where it is; until then invoices may be missing or out of"
            " date here.",
            command=_try_again(connection_id),
        )


def _try_again(connection_id: str) -> str:
    return f"infactor-quickbooks connections retry --connection {connection_id}"


_barred = select(
    Connection.id, Connection.company_name, Connection.problem, Connection.barred_since
).where(
    _is_ours,
    Connection.state == ConnectionState.CONNECTED,
    Connection.suspended_at.is_(None),
    Connection.barred_since.is_not(None),
)


def barred_companies(facts: Facts) -> Iterator[Condition]:
    """Yield a condition for each company that QuickBooks bars us from; its tokens are good."""
    rows = facts.session.execute(_barred, {"environment": facts.environment})
    for connection_id, company, problem, since in rows:
        yield Condition(
            cause="connection.barred",
            subject=connection_id,
            company=company,
            severity=Severity.CRITICAL,
            since=since,
            text=f"{shortened(problem or 'QuickBooks does not let us in')}. The supplier can fix"
            " that in QuickBooks. We try again every hour; the command tries now.",
            command=_try_again(connection_id),
        )


_keys_refused = select(
    func.count(Connection.keys_refused_since), func.count(), func.min(Connection.keys_refused_since)
).where(_is_ours, Connection.state == ConnectionState.CONNECTED)


def refused_keys(facts: Facts) -> Iterator[Condition]:
    """Yield a condition while QuickBooks renews no tokens because of the app's own keys."""
    count, companies, since = facts.session.execute(
        _keys_refused, {"environment": facts.environment}
    ).one()
    if count:
        yield Condition(
            cause="keys.refused",
            severity=Severity.CRITICAL,
            since=since,
            text="QuickBooks does not accept the app's keys, for"
            f" {count:,} of {several(companies, 'company', 'companies')}: check"
            " QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET, and restart with the right ones."
            " No connection has ended; everything goes on by itself then.",
            command="infactor-quickbooks doctor",
        )


_awaiting_approval = (
    select(Run.id, Run.kind, Run.halt_reason, Run.halted_at, Connection.id, Connection.company_name)
    .join(Connection, Connection.id == Run.connection_id)
    .where(Run.state == RunState.ACTIVE, Run.halted_at.is_not(None), _concerns_us)
    .order_by(Run.halted_at, Run.id)
)


_UNTIL_DECIDED = {
    RunKind.BACKFILL: "Until somebody decides, the company is not reconciled.",
    RunKind.RECONCILE: "Until somebody decides, the company is not reconciled.",
    RunKind.WITHDRAWAL: "Until somebody decides, no notice withdraws an invoice of the company.",
}


def stopped_withdrawals(facts: Facts) -> Iterator[Condition]:
    """Yield each company with a run that waits for approval, as it would withdraw too many."""
    rows = facts.session.execute(_awaiting_approval, {"environment": facts.environment})
    told: set[str] = set()
    for run_id, kind, why, since, connection_id, company in rows:
        if connection_id in told:
            continue  # the other kind of run has its turn when this one is decided
        told.add(connection_id)
        yield Condition(
            cause="withdrawals.stopped",
            subject=connection_id,
            company=company,
            severity=Severity.CRITICAL,
            since=since,
            text=f"A {kind} has stopped: {why}. {_UNTIL_DECIDED[RunKind(kind)]}",
            # What it prints is to be read before anybody decides.
            command=f"infactor-quickbooks confirm --run {run_id} --dry-run",
        )


_outage = select(
    func.count(Connection.outage_since),
    func.count(),
    func.min(Connection.outage_since),
    func.max(Connection.outage),
).where(_is_ours, Connection.state == ConnectionState.CONNECTED, Connection.suspended_at.is_(None))


def outages(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when QuickBooks has been away for OUTAGE; nobody here can do anything."""
    away, companies, since, why = facts.session.execute(
        _outage, {"environment": facts.environment}
    ).one()
    if since is None or since > facts.now - OUTAGE:
        return
    yield Condition(
        cause="quickbooks.away",
        severity=Severity.WARNING,
        since=since,
        text=f"{shortened(why or 'QuickBooks does not answer')}, for {away:,} of"
        f" {several(companies, 'company', 'companies')}. Nothing to do: we retry automatically,"
        " and catch up when QuickBooks is back. Intuit reports outages at"
        " https://status.developer.intuit.com.",
        command="infactor-quickbooks connections",
    )


_latest = bindparam("latest", type_=Instant)
_ahead = (
    select(
        Connection.id,
        Connection.company_name,
        Connection.time_ahead_at,
        func.coalesce(Connection.time_ahead, _latest),
        Connection.reconciled_until,
        Connection.changes_read_until,
    )
    .where(
        _concerns_us,
        or_(
            Connection.time_ahead > _latest,
            watermarks.is_ahead(_latest),
        ),
    )
    .order_by(Connection.id)
)


def times_ahead(facts: Facts) -> Iterator[Condition]:
    """Give each company of which QuickBooks has said a time that the database's clock is far from.

    One condition for all where there are many: then it is the clock that is wrong.
    """
    values = {"environment": facts.environment, "latest": facts.now + plausible.AHEAD}
    rows = facts.session.execute(_ahead, values).all()
    if len(rows) >= _MANY:
        yield Condition(
            cause="time.ahead",
            severity=Severity.CRITICAL,
            since=min((row[2] for row in rows if row[2]), default=None),
            text=f"QuickBooks' time is more than {_AHEAD} ahead of the database's clock in answers"
            f" about {len(rows):,} companies: the clock of the database is behind. Such times are"
            " not believed, so changes are read again and again.",
            command="infactor-quickbooks doctor",
        )
        return
    for connection_id, company, since, *times in rows:
        yield Condition(
            cause="time.ahead",
            subject=connection_id,
            company=company,
            severity=Severity.CRITICAL,
            since=since,
            text=f"QuickBooks has said {max(times):%Y-%m-%d %H:%M} UTC of this company, more than"
            f" {_AHEAD} ahead of the database's clock. It is not believed; what changed may be"
            " missing until everything is compared.",
            command=f"infactor-quickbooks reconcile --connection {connection_id} --fix",
        )


_silent = select(
    *(Connection.id, Connection.company_name, Connection.silent_after),
    silence.last_webhook(),
    documents.is_financed(),
).where(
    _is_ours,
    Connection.state == ConnectionState.CONNECTED,
    Connection.suspended_at.is_(None),
    Connection.silent_after.is_not(None),
)


def silent_companies(facts: Facts) -> Iterator[Condition]:
    """Yield each company from which no webhook comes, against its habit.

    One condition for all where there are many: then it is the webhooks that are wrong.
    """
    rows = facts.session.execute(_silent, {"environment": facts.environment})
    found = [
        (connection_id, company, timedelta(seconds=longest), last, financed)
        for connection_id, company, longest, last, financed in rows
        if last is not None and longest is not None
        if last < facts.now - timedelta(seconds=longest)
    ]
    if len(found) >= _MANY:
        yield Condition(
            cause="company.silent",
            severity=_silence_is(any(financed for *_, financed in found)),
            since=min(last for *_, last, _ in found),
            text=f"No webhooks come from {len(found):,} companies, for longer than ever in"
            f" {silence.LEARNT_FROM.days} days: webhooks look broken. Until they come again,"
            " reconciles alone find what changes.",
            command="infactor-quickbooks connections",
        )
        return
    for connection_id, company, longest, last, financed in found:
        often = "an hour, because money may move" if financed else "a day"
        yield Condition(
            cause="company.silent",
            subject=connection_id,
            company=company,
            severity=_silence_is(financed),
            since=last + longest,
            text=f"No webhook has come from this company since {utc_day(last)}; by its habit of"
            f" {silence.LEARNT_FROM.days} days one was due within {span(longest.total_seconds())}."
            f" What changes is found by a reconcile once {often}. Ask its supplier whether they"
            " still work in QuickBooks, or compare everything.",
            command=f"infactor-quickbooks reconcile --connection {connection_id} --fix",
        )


def _silence_is(financed: bool) -> Severity:
    return Severity.CRITICAL if financed else Severity.WARNING


_unasked = select(
    Connection.id, Connection.company_name, Connection.unasked, Connection.unasked_at
).where(_concerns_us, Connection.unasked_at > bindparam("after"))


def unasked_answers(facts: Facts) -> Iterator[Condition]:
    """Give each company of which QuickBooks has sent, within a day, what nobody asked for."""
    after = facts.now - connections.UNASKED_WHILE
    rows = facts.session.execute(_unasked, {"environment": facts.environment, "after": after})
    for connection_id, company, count, since in rows:
        yield Condition(
            cause="answers.unasked",
            subject=connection_id,
            company=company,
            severity=Severity.WARNING,
            since=since,
            text=f"QuickBooks sent {several(count, 'record', 'records')} that nobody had asked for."
            " They were dropped, and may be another company's. Give Intuit's support the intuit_tid"
            " of the log lines `answer.unasked`, and compare the company in full.",
            command=f"infactor-quickbooks reconcile --connection {connection_id}",
        )


_throttled = select(func.count(), func.min(Connection.throttled_since)).where(
    _is_ours,
    Connection.state == ConnectionState.CONNECTED,
    Connection.suspended_at.is_(None),
    Connection.throttled_since <= bindparam("before"),
)


def lasting_throttle(facts: Facts) -> Iterator[Condition]:
    """Yield a condition when QuickBooks answers companies nothing but 429 for THROTTLED.

    The month's cap looks like an ordinary 429: the number of companies and the meter tell them
    apart.
    """
    count, since = facts.session.execute(
        _throttled, {"environment": facts.environment, "before": facts.now - THROTTLED}
    ).one()
    if since is None:
        return
    budget = facts.settings.quickbooks_reads_per_month
    looks_like_cap = count >= _SEVERAL or facts.reads >= budget * _NEARLY_ALL
    guess = " This looks like Intuit's cap for the month." if looks_like_cap else ""
    yield Condition(
        cause="throttled.lasting",
        severity=Severity.CRITICAL if looks_like_cap else Severity.WARNING,
        since=since,
        text=f"QuickBooks has answered {several(count, 'company', 'companies')} nothing"
        f" but 429 for more than {span(THROTTLED.total_seconds())}, at {facts.reads:,} of"
        f" {budget:,} reads this month.{guess}",
        command="infactor-quickbooks connections",
    )
