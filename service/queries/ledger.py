"""The debtor's ledger: what each buyer of each supplier owes, and how they have paid."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Label, Subquery, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session

from service.database.tables import Connection, Invoice, SettlementRow, Supplier
from service.database.types import among, money_sum, rough_sum, written_out
from service.domain import SettlementKind

AGES = ("not due", "0-30", "31-60", "61-90", "over 90")
"""Days past the due date, 0 on the day itself. What has no due date is not due."""

_NEVER_OVERDUE = "~"  # the key of an invoice without a due date
_FIRST_DATE = "0000-00-00"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """What one buyer owes one company in one currency.

    A buyer is a customer of QuickBooks; "" where the invoices name none. `ages` are amounts in the
    order of `AGES`. `share` is this buyer's part of all that is due to the supplier in this
    currency. `dilution` is how much of what was invoiced was later voided, deleted or reduced, or
    settled by credit notes and write-offs that were read; None if nothing was invoiced.
    `days_to_pay` is the mean from the day of entry to the day on which the balance was seen to be
    0, of the `settled` invoices where that was seen and no such credit is known.
    """

    connection_id: str
    company: str
    supplier: str
    customer_id: str
    buyer: str
    currency: str
    invoices: int
    open: Decimal
    ages: tuple[Decimal, ...]
    share: float
    dilution: float | None
    days_to_pay: float | None
    settled: int
    first: date | None
    largest: Decimal


def ledger(
    session: Session,
    environment: str,
    currency: str,
    today: date,
    *,
    connection_ids: Collection[str] | None = None,
    offset: int = 0,
    limit: int | None = None,
) -> Sequence[LedgerEntry]:
    """Return the entries with the largest amounts due first.

    All of this environment's companies, or these. An invoice that names no currency is in
    `currency`. It is one pass over an index.
    """
    ours = [Connection.environment == environment]
    if connection_ids is not None:  # a share is one of all that is due to the supplier
        theirs = select(Connection.supplier_id).where(Connection.id.in_(connection_ids))
        ours.append(Connection.supplier_id.in_(theirs))
    given = _credits()
    # Written out in the query, where PostgreSQL recognises what it groups by.
    named = func.coalesce(Invoice.currency, written_out(currency))
    sums = (
        select(
            Invoice.connection_id,
            Invoice.customer_id,
            named.label("currency"),
            *_sums(today, given.c.amount),
        )
        .join(Connection, Connection.id == Invoice.connection_id)
        .join(given, given.c.invoice_id == Invoice.id, isouter=True)
        .where(*ours)
        .group_by(Invoice.connection_id, Invoice.customer_id, named)
        .subquery()
    )
    supplier = (Connection.supplier_id, sums.c.currency)
    of_supplier = func.sum(sums.c.size).over(partition_by=supplier)
    shares = (
        select(sums, Connection.company_name, Supplier.name, of_supplier.label("all_size"))
        .join(Connection, Connection.id == sums.c.connection_id)
        .join(Supplier, Supplier.id == Connection.supplier_id)
        .subquery()
    )
    each = shares.c
    query = (
        select(shares)
        .order_by(each.size.desc(), each.connection_id, each.customer_id, each.currency)
        .offset(offset)
        .limit(limit)
    )
    if connection_ids is not None:
        query = query.where(each.connection_id.in_(connection_ids))
    rows = session.execute(query).all()
    names = _names(session, [row.newest for row in rows])
    return [_entry(row, names.get(row.newest, "")) for row in rows]


def _credits() -> Subquery:
    """Return (invoice_id, amount) of what credit notes and write-offs settled, where that was read;
    few invoices have any. One credit of several invoices is divided among them.
    """
    return (
        select(SettlementRow.invoice_id, rough_sum(SettlementRow.share).label("amount"))
        .where(SettlementRow.kind.in_((SettlementKind.CREDIT_NOTE, SettlementKind.WRITE_OFF)))
        .group_by(SettlementRow.invoice_id)
        .subquery()
    )


def _sums(today: date, credit: ColumnElement[float]) -> list[Label[Any]]:
    nothing = literal(Decimal(0), Invoice.total.type)
    sold = case((Invoice.first_total > 0, Invoice.first_total), else_=nothing)
    due = and_(~Invoice.deleted, Invoice.balance > 0)
    now = case((Invoice.deleted, nothing), else_=Invoice.total) - func.coalesce(credit, nothing)
    kept = case((now > nothing, now), else_=nothing)
    lost = case((Invoice.first_total > kept, Invoice.first_total - kept), else_=nothing)
    took = Invoice.settled_at - Invoice.created_ms / 1000.0
    seen = and_(
        Invoice.settled_at.is_not(None), ~Invoice.deleted, Invoice.total > 0, credit.is_(None)
    )
    return [
        func.count().label("invoices"),
        money_sum(case((due, Invoice.balance), else_=nothing)).label("open"),
        rough_sum(case((due, Invoice.balance), else_=nothing)).label("size"),
        *(
            money_sum(case((and_(due, aged), Invoice.balance), else_=nothing)).label(f"age_{n}")
            for n, aged in enumerate(_ages(today))
        ),
        rough_sum(sold).label("sold"),
        rough_sum(lost).label("lost"),
        func.avg(case((seen, took))).label("took"),
        func.count(case((seen, 1))).label("settled"),
        func.min(case((Invoice.created_ms > 0, Invoice.created_ms))).label("first"),
        func.max(Invoice.total).label("largest"),
        func.max(Invoice.id).label("newest"),
    ]


def _ages(today: date) -> list[ColumnElement[bool]]:
    """Return a condition for each of `AGES`."""
    key = Invoice.due_key
    starts = [(today - timedelta(days=days)).isoformat() for days in (-1, 30, 60, 90)]
    ends = [_NEVER_OVERDUE, *starts]
    conditions: list[ColumnElement[bool]] = [or_(key >= starts[0], key >= _NEVER_OVERDUE)]
    for start, end in zip([*starts[1:], _FIRST_DATE], ends[1:], strict=True):
        conditions.append(and_(key >= start, key < end))
    return conditions


def _names(session: Session, invoice_ids: Sequence[str]) -> dict[str, str]:
    """Return how each of these invoices calls its buyer."""
    found = session.execute(
        select(Invoice.id, Invoice.mapped).where(among(Invoice.id, sorted(set(invoice_ids))))
    )
    return {id_: str((mapped or {}).get("companyName") or "") for id_, mapped in found}


def _entry(row: Any, buyer: str) -> LedgerEntry:
    return LedgerEntry(
        connection_id=row.connection_id,
        company=row.company_name,
        supplier=row.name,
        customer_id=row.customer_id or "",
        buyer=buyer,
        currency=row.currency,
        invoices=row.invoices,
        open=row.open,
        ages=tuple(getattr(row, f"age_{n}") for n in range(len(AGES))),
        share=_ratio(row.size, row.all_size) or 0.0,
        dilution=_ratio(row.lost, row.sold),
        days_to_pay=None if row.took is None else max(0.0, float(row.took) / 86_400),
        settled=row.settled,
        first=None if row.first is None else datetime.fromtimestamp(row.first / 1000, UTC).date(),
        largest=row.largest or Decimal(0),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def columns() -> list[str]:
    """Return the names of the columns of `row`."""
    return [
        *("supplier", "connection", "company", "customer_id", "buyer", "currency", "invoices"),
        *("open", *(f"open {name}" for name in AGES), "share", "dilution", "days_to_pay"),
        *("settled", "first", "largest"),
    ]


def row(entry: LedgerEntry) -> dict[str, Any]:
    """Return the entry as files and programs get it, by `columns`; ratios to four decimals."""
    values = (
        *(entry.supplier, entry.connection_id, entry.company, entry.customer_id, entry.buyer),
        *(entry.currency, entry.invoices, entry.open, *entry.ages, _rounded(entry.share, 4)),
        *(_rounded(entry.dilution, 4), _rounded(entry.days_to_pay, 1), entry.settled),
        *(None if entry.first is None else entry.first.isoformat(), entry.largest),
    )
    return dict(zip(columns(), values, strict=True))


def _rounded(value: float | None, decimals: int) -> Decimal | None:
    return None if value is None else Decimal(f"{value:.{decimals}f}")
