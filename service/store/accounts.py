"""What each buyer of a company has open, counted from the recorded invoices, and kept as shares.

The buyer is the customer, or its parent where that is the one who is billed, up to the top. Amounts
in another currency than Infactor's are left out: they cannot be added.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    delete,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from service.database.engine import rows_of
from service.database.tables import BusyHour, BuyerAccount, Connection, Customer, Invoice, Run
from service.database.tables.invoices import OPEN
from service.database.types import Instant, among, condition, has_come, money_sum
from service.database.upsert import chunked, insert_all
from service.domain import RunKind, RunState
from service.store.customers import MAX_DEPTH

_NOTHING = Decimal(0)
_PAUSE = timedelta(seconds=30)
HOUR_MS = 3_600_000


class Shares(NamedTuple):
    """A buyer's whole account in percent; see `infactor.rules.circumstances.AccountShares`."""

    concentration: int | None
    overdue: int | None
    credit: int | None


class KeptAccount(NamedTuple):
    """A customer's buyer, and that buyer's account as last counted."""

    buyer_id: str
    shares: Shares


@dataclass(frozen=True, slots=True)
class OpenAmount:
    """What one buyer has open: how many invoices, how much, and how much of it is overdue.

    `credit` is how much less QuickBooks says they owe: credits and payments that are applied to no
    invoice, and journal entries. It is no more than that, and may be less: invoices count for it
    only if they have not changed since the customer was read.
    """

    invoices: int = 0
    open: Decimal = _NOTHING
    overdue: Decimal = _NOTHING
    credit: Decimal = _NOTHING

    def __add__(self, other: "OpenAmount") -> "OpenAmount":
        return OpenAmount(
            self.invoices + other.invoices,
            self.open + other.open,
            self.overdue + other.overdue,
            self.credit + other.credit,
        )


def open_amounts(
    session: Session, connection_id: str, today: date, currency: str
) -> dict[str, OpenAmount]:
    """Return what each customer with open invoices in this currency has open, by its id.

    `credit` is below zero where QuickBooks says that they owe more than the invoices.
    """
    nothing = literal(_NOTHING, Invoice.balance.type)
    surely = Invoice.last_updated <= Customer.balance_until
    known = case((surely, Invoice.balance), else_=nothing)
    overdue = case((Invoice.due_key < today.isoformat(), Invoice.balance), else_=nothing)
    rows = session.execute(
        select(
            Invoice.customer_id,
            func.count(),
            money_sum(Invoice.balance),
            money_sum(overdue),
            money_sum(known),
            func.max(Customer.open_balance),
        )
        .join(
            Customer,
            and_(
                Customer.connection_id == Invoice.connection_id,
                Customer.quickbooks_id == Invoice.customer_id,
            ),
            isouter=True,
        )
        .where(
            Invoice.connection_id == connection_id,
            Invoice.customer_id.is_not(None),
            *_counts(currency),
        )
        .group_by(Invoice.customer_id)
    )
    return {
        customer: OpenAmount(count, total, late, _NOTHING if owed is None else sure - owed)
        for customer, count, total, late, sure, owed in rows
    }


class OpenElsewhere(NamedTuple):
    """How many customers have how many open invoices, and for how much."""

    customers: int = 0
    invoices: int = 0
    open: Decimal = _NOTHING


def open_elsewhere(session: Session, connection_id: str, currency: str) -> OpenElsewhere:
    """Return what is open with the supplier's other companies."""
    mine = select(Connection.supplier_id, Connection.environment).where(
        Connection.id == connection_id
    )
    supplier_id, environment = session.execute(mine).one()
    others = select(Connection.id).where(
        Connection.supplier_id == supplier_id,
        Connection.environment == environment,
        Connection.id != connection_id,
        Connection.released_at.is_(None),
    )
    found = OpenElsewhere()
    for other in session.scalars(others).all():
        customers, invoices, total = session.execute(
            select(
                func.count(Invoice.customer_id.distinct()), func.count(), money_sum(Invoice.balance)
            ).where(Invoice.connection_id == other, *_counts(currency))
        ).one()
        found = OpenElsewhere(
            found.customers + customers, found.invoices + invoices, found.open + (total or _NOTHING)
        )
    return found


def _counts(currency: str) -> tuple[ColumnElement[bool], ...]:
    """Conditions: something is left to be paid, in this currency or in one that is not named."""
    named = func.upper(func.trim(Invoice.currency))
    code = currency.strip().upper()
    return (condition(OPEN), or_(Invoice.currency.is_(None), named.in_(("", code))))


def buyers_of(
    session: Session, connection_id: str, customer_ids: Collection[str]
) -> dict[str, str]:
    """Return the buyer of each of these customers: the topmost parent that is billed for it."""
    parents: dict[str, str] = {}
    level = set(customer_ids)
    for _ in range(MAX_DEPTH):
        found = _billed_parents(session, connection_id, level)
        level = set(found.values()) - parents.keys()
        parents |= found
        if not level:
            break
    return {customer_id: _top(parents, customer_id) for customer_id in customer_ids}


def _billed_parents(session: Session, connection_id: str, ids: Collection[str]) -> dict[str, str]:
    rows = session.execute(
        select(Customer.quickbooks_id, Customer.parent_id).where(
            Customer.connection_id == connection_id,
            among(Customer.quickbooks_id, ids),
            Customer.bills_parent,
            Customer.parent_id.is_not(None),
        )
    )
    return {child: parent for child, parent in rows if parent}


def _top(parents: Mapping[str, str], customer_id: str) -> str:
    for _ in range(MAX_DEPTH):  # QuickBooks allows no circle, but nobody relies on that
        if customer_id not in parents:
            break
        customer_id = parents[customer_id]
    return customer_id


def of_buyers(
    amounts: Mapping[str, OpenAmount], buyers: Mapping[str, str]
) -> dict[str, OpenAmount]:
    """Return what the customers of each buyer have open together."""
    found: dict[str, OpenAmount] = {}
    for customer_id, amount in amounts.items():
        buyer_id = buyers[customer_id]
        found[buyer_id] = found.get(buyer_id, OpenAmount()) + amount
    return found


def kept(session: Session, connection_id: str) -> dict[str, KeptAccount]:
    """Return the accounts as last counted of all the company's customers with open invoices."""
    columns = (BuyerAccount.customer_id, BuyerAccount.buyer_id, *_SHARES)
    rows = session.execute(select(*columns).where(BuyerAccount.connection_id == connection_id))
    return {customer: KeptAccount(buyer, Shares(*shares)) for customer, buyer, *shares in rows}


def of_customers(
    session: Session, connection_id: str, customer_ids: Collection[str]
) -> dict[str, Shares]:
    """Return the accounts as last counted of those of these customers that have one."""
    given = {"company": connection_id, "customers": sorted(customer_ids)}
    found = rows_of(session, _OF_CUSTOMERS, given)
    return {customer: Shares(*shares) for customer, *shares in found}


_SHARES = (BuyerAccount.concentration, BuyerAccount.overdue, BuyerAccount.credit)
_OF_CUSTOMERS = select(BuyerAccount.customer_id, *_SHARES).where(
    BuyerAccount.connection_id == bindparam("company"),
    among(BuyerAccount.customer_id, "customers"),
)


def keep(
    session: Session,
    connection_id: str,
    before: Mapping[str, KeptAccount],
    after: Mapping[str, KeptAccount],
) -> None:
    """Replace the accounts of the company."""
    gone = [customer for customer, account in before.items() if after.get(customer) != account]
    if gone:
        theirs = (
            BuyerAccount.connection_id == connection_id,
            among(BuyerAccount.customer_id, gone),
        )
        session.execute(delete(BuyerAccount).where(*theirs))
    new = [
        {
            "connection_id": connection_id,
            "customer_id": customer,
            "buyer_id": account.buyer_id,
            **account.shares._asdict(),
        }
        for customer, account in after.items()
        if before.get(customer) != account
    ]
    for rows in chunked(new):
        insert_all(session, BuyerAccount, rows)


def are_open_of(customer_ids: Collection[str]) -> ColumnElement[bool]:
    """A condition: it is an open invoice of one of these customers."""
    return and_(among(Invoice.customer_id, sorted(customer_ids)), condition(OPEN))


def ask(session: Session, connection_id: str, now: datetime) -> None:
    """Ask for the accounts to be counted half a minute from now, unless that is asked already."""
    session.connection().execute(_ASK, {"company": connection_id, "due_at": now + _PAUSE})


_DUE_AT = bindparam("due_at", type_=Instant)
_ASK = (
    update(Connection)
    .where(
        Connection.id == bindparam("company"),
        or_(
            Connection.accounts_due_at.is_(None),
            Connection.accounts_due_at > _DUE_AT,  # the clock was set back
        ),
    )
    .values(accounts_due_at=_DUE_AT)
)


def counted(session: Session, connection_id: str) -> None:
    """Note that the accounts are counted in this transaction, which has locked the company."""
    session.execute(
        update(Connection).where(Connection.id == connection_id).values(accounts_due_at=None)
    )


def is_due(now: datetime) -> ColumnElement[bool]:
    """A condition: the company's accounts are to be counted, and no import is under way."""
    return and_(
        Connection.accounts_due_at.is_not(None),
        has_come(Connection.accounts_due_at, now, _PAUSE),
        ~_import().where(Run.connection_id == Connection.id).exists(),
    )


def is_company_due(session: Session, connection_id: str, now: datetime) -> bool:
    """Return whether this company's accounts are to be counted."""
    found = session.execute(
        select(Connection.id).where(Connection.id == connection_id, is_due(now))
    )
    return found.first() is not None


def is_importing(session: Session, connection_id: str) -> bool:
    """Return whether the company's invoices are being imported, so that many are missing yet."""
    return rows_of(session, _import_of_company(), {"company": connection_id}).first() is not None


@cache
def _import_of_company() -> Select[int]:
    return _import().where(Run.connection_id == bindparam("company"))


def _import() -> Select[int]:
    return select(Run.id).where(
        Run.kind == RunKind.BACKFILL, Run.state == RunState.ACTIVE, Run.halted_at.is_(None)
    )


def entered_by_hour(session: Session, connection_id: str, since_ms: int) -> dict[int, int]:
    """Return how many invoices were entered in each hour since then, by its number since 1970."""
    hour = (Invoice.created_ms // literal_column(str(HOUR_MS), BigInteger)).label("hour")
    rows = session.execute(
        select(hour, func.count())
        .where(Invoice.connection_id == connection_id, Invoice.created_ms >= since_ms)
        .group_by("hour")
    )
    return {number: count for number, count in rows}


def were_entered_in(hours: Collection[int]) -> ColumnElement[bool]:
    """A condition: it was entered in one of these hours, by their numbers since 1970."""
    if not hours:
        return false()
    return and_(
        Invoice.created_ms >= min(hours) * HOUR_MS,
        Invoice.created_ms < (max(hours) + 1) * HOUR_MS,
        among(Invoice.created_ms // literal_column(str(HOUR_MS), BigInteger), sorted(hours)),
    )


def busy_hours(session: Session, connection_id: str) -> set[int]:
    """Return the hours in which far more invoices were entered than usual, as last counted."""
    return set(rows_of(session, _BUSY_HOURS, {"company": connection_id}).scalars())


_BUSY_HOURS = select(BusyHour.hour).where(BusyHour.connection_id == bindparam("company"))


def keep_busy_hours(
    session: Session, connection_id: str, before: Collection[int], after: Collection[int]
) -> None:
    """Replace the company's busy hours."""
    gone, new = set(before) - set(after), set(after) - set(before)
    if gone:
        theirs = (BusyHour.connection_id == connection_id, among(BusyHour.hour, gone))
        session.execute(delete(BusyHour).where(*theirs))
    rows = [{"connection_id": connection_id, "hour": hour} for hour in sorted(new)]
    for some in chunked(rows):
        insert_all(session, BusyHour, some)
