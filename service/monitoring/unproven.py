"""What is wrong with what is known of companies' books: nothing confirms them, or no webhook comes.

Each statement is built once: building one takes longer than running it.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import bindparam, func, not_, select

from service import wording
from service.config.settings import Settings
from service.database.tables import Connection, Document, Invoice
from service.database.types import Instant, among, money_sum
from service.domain import ConnectionState, RuleCode, Severity
from service.monitoring.condition import Condition
from service.monitoring.facts import Facts
from service.store import documents, proof, silence
from service.wording import several, span, utc_day

# So many companies do not stop working at once.
_MANY = 4

_is_ours = Connection.environment == bindparam("environment")
_first, _last = (bindparam(name, type_=Instant) for name in ("first", "last"))
# In two steps: as one, PostgreSQL walks through the documents of every company for the few.
_unproven = (
    select(
        *(Connection.id, Connection.company_name, Connection.state, Connection.disconnected_at),
        *(Connection.suspended_at, Connection.proved_at),
    )
    .where(_is_ours, Connection.released_at.is_(None), not_(proof.is_proved(_first, _last)))
    .order_by(Connection.id)
)
_approved = (
    select(Document.connection_id, Invoice.currency, func.count(), money_sum(Invoice.total))
    .join(Invoice, Invoice.id == Document.invoice_id)
    .where(among(Document.connection_id, "companies"), Document.state.in_(documents.MONEY_MAY_MOVE))
    .group_by(Document.connection_id, Invoice.currency)
    .order_by(Document.connection_id, Invoice.currency)
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
    companies = {row[0]: tuple(row) for row in facts.session.execute(_unproven, values)}
    if not companies:
        return
    rows = facts.session.execute(_approved, {"companies": list(companies)})
    for connection_id, group in groupby(rows, key=lambda row: row[0]):
        sums = [tuple(row[1:]) for row in group]
        yield _unproven_company(facts, hours, companies[connection_id], sums)


def _unproven_company(
    facts: Facts, hours: int, row: tuple[Any, ...], sums: Sequence[tuple[Any, ...]]
) -> Condition:
    """Return the condition of a company; `sums` are (currency, invoices, amount) in each."""
    connection_id, company, state, ended_at, suspended_at, proved_at = row
    look = f"infactor-quickbooks reconcile --connection {connection_id} --fix"
    why, command = f"nothing has confirmed its books for {hours} h", look
    since = None if proved_at is None else proved_at + timedelta(hours=hours)
    if state != ConnectionState.CONNECTED:
        why, since = "its connection has ended", ended_at
        command = f"infactor-quickbooks connect-url --connection {connection_id}"
    elif suspended_at is not None:
        why, since = "it is paused", suspended_at
        command = f"infactor-quickbooks connections resume --connection {connection_id}"
    elif proved_at is None:
        why = "nothing has confirmed its books since it was away"
    count = sum(number for _, number, _ in sums)
    return Condition(
        cause="books.unproven",
        subject=connection_id,
        company=company,
        severity=Severity.CRITICAL,
        since=since,
        text=f"{several(count, 'approved invoice', 'approved invoices')} of this company,"
        f" {_amounts(sums, facts.settings.infactor_currency)} in all, may have changed in"
        f" QuickBooks: {why}. Call the person who acts next in Infactor before money moves."
        f" {_undecided(facts.settings)}",
        command=command,
    )


def _amounts(sums: Sequence[tuple[Any, ...]], currency: str) -> str:
    """Return the sums, each in its own currency; what names none is in `currency`."""
    found: dict[str, Decimal] = {}
    for named, _, amount in sums:
        found[named or currency] = found.get(named or currency, Decimal(0)) + (amount or 0)
    return " and ".join(wording.money(amount, name) for name, amount in sorted(found.items()))


def _undecided(settings: Settings) -> str:
    """Return what becomes of the company's invoices that nobody has decided about."""
    if not settings.rules.holds(RuleCode.UNPROVEN):
        return "Undecided ones stay in Infactor: the rule `unproven` is a signal."
    if not settings.infactor_withdraw:
        return (
            "Undecided ones stay in Infactor: INFACTOR_WITHDRAW is off. New ones are not created."
        )
    return "Undecided ones are withdrawn until a reconcile has confirmed the books."


_silent = select(
    *(Connection.id, Connection.company_name, Connection.silent_after),
    silence.last_webhook(),
    Connection.renewed_at,
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
        (connection_id, company, timedelta(seconds=longest), max(last, renewed_at), financed)
        for connection_id, company, longest, last, renewed_at, financed in rows
        if last is not None and longest is not None
        if max(last, renewed_at) < facts.now - timedelta(seconds=longest)
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
