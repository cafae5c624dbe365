"""Comparing what a reconcile saw in QuickBooks with the record, invoice by invoice, in SQL."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Select, and_, delete, func, or_, select
from sqlalchemy.orm import Session

from service.database.tables import Invoice, Run, RunSeen
from service.database.types import among, money_sum
from service.database.upsert import Insert, chunked, excluded, insert_all
from service.domain import DifferenceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenInvoice:
    """What QuickBooks showed of one invoice; all None if it could not show it."""

    quickbooks_id: str
    sync_token: int | None = None
    last_updated: datetime | None = None
    total: Decimal | None = None
    balance: Decimal | None = None


@dataclass(frozen=True, slots=True)
class QuickBooksDifference:
    """One invoice whose record differs from QuickBooks."""

    quickbooks_id: str
    kind: DifferenceKind
    doc_number: str
    there: str  # the version, total and balance in QuickBooks
    here: str  # and in the record


@dataclass(frozen=True, slots=True)
class InvoiceSums:
    count: int
    total: Decimal
    balance: Decimal


def keep(session: Session, run_id: int, shown: Collection[SeenInvoice]) -> int:
    """Keep what QuickBooks showed; a later answer replaces an earlier one.

    Return by how many this raises the number of those that it has shown to this run.
    """
    known = _shown_before(session, run_id, [one.quickbooks_id for one in shown])
    rows = [
        {
            "run_id": run_id,
            "quickbooks_id": one.quickbooks_id,
            "sync_token": one.sync_token,
            "last_updated": one.last_updated,
            "total": one.total,
            "balance": one.balance,
        }
        for one in sorted(shown, key=lambda one: one.quickbooks_id)
    ]
    session.flush()
    for chunk in chunked(rows):
        insert_all(session, RunSeen, chunk, _as_shown_last)
    return sum(one.sync_token is not None for one in shown) - known


def _shown_before(session: Session, run_id: int, quickbooks_ids: Collection[str]) -> int:
    query = select(func.count()).where(
        RunSeen.run_id == run_id,
        among(RunSeen.quickbooks_id, quickbooks_ids),
        RunSeen.sync_token.is_not(None),
    )
    return session.execute(query).scalar_one()


def _as_shown_last(statement: Insert) -> Insert:
    return statement.on_conflict_do_update(
        index_elements=[RunSeen.run_id, RunSeen.quickbooks_id],
        set_=excluded(statement, "sync_token", "last_updated", "total", "balance"),
    )


def forget(session: Session, run_id: int, quickbooks_ids: Collection[str]) -> None:
    """Remove these invoices from what the run saw, because they are gone in QuickBooks."""
    if quickbooks_ids:
        these = (RunSeen.run_id == run_id, among(RunSeen.quickbooks_id, quickbooks_ids))
        session.execute(delete(RunSeen).where(*these))


def differences(
    session: Session, run: Run, first: int, limit: int, only: Collection[str] | None = None
) -> Sequence[QuickBooksDifference]:
    """Return where the record differs from what the run saw: up to `limit`, `only` of these ids.

    `first` is the fetch number of the run's first read. What was read after it, beside the run, and
    is newer than what the run saw is no difference.
    """
    found = [*_shown_otherwise(session, run, first, limit, only)]
    if only is None and len(found) < limit:
        found += not_shown(session, run, first, limit - len(found))
    return found


def not_shown(session: Session, run: Run, first: int, limit: int) -> Sequence[QuickBooksDifference]:
    """Return recorded invoices that QuickBooks did not show and nobody read since the run began.

    The fetch number decides and not the time of recording, because a changed customer lets an
    invoice be recorded without reading it.
    """
    met = select(RunSeen.quickbooks_id).where(
        RunSeen.run_id == run.id, RunSeen.quickbooks_id == Invoice.quickbooks_id
    )
    rows = session.scalars(
        select(Invoice)
        .where(Invoice.connection_id == run.connection_id, ~Invoice.deleted, ~met.exists())
        .where(Invoice.fetch_number < first)
        .order_by(Invoice.quickbooks_id)
        .limit(limit)
    )
    return [
        QuickBooksDifference(
            i.quickbooks_id,
            DifferenceKind.DELETED_IN_QUICKBOOKS,
            i.doc_number,
            "not there",
            _version(i),
        )
        for i in rows
    ]


def unreadable(session: Session, run: Run, limit: int) -> Sequence[QuickBooksDifference]:
    """Return the invoices that QuickBooks could not show even alone."""
    rows = session.execute(
        _met(run).where(RunSeen.sync_token.is_(None)).order_by(RunSeen.quickbooks_id).limit(limit)
    )
    return [
        QuickBooksDifference(
            seen.quickbooks_id,
            DifferenceKind.UNREADABLE,
            invoice.doc_number if invoice else "",
            "cannot be shown",
            _version(invoice) if invoice else "not recorded",
        )
        for seen, invoice in rows
    ]


def _met(run: Run) -> Select[RunSeen, Invoice]:
    """Return a query for what the run has met, each with its record, if there is one."""
    recorded = and_(
        Invoice.connection_id == run.connection_id, Invoice.quickbooks_id == RunSeen.quickbooks_id
    )
    return select(RunSeen, Invoice).outerjoin(Invoice, recorded).where(RunSeen.run_id == run.id)


def sums_there(session: Session, run: Run) -> InvoiceSums:
    """Return the sums of what the run saw in QuickBooks."""
    return _sums(
        session,
        select(func.count(), money_sum(RunSeen.total), money_sum(RunSeen.balance)).where(
            RunSeen.run_id == run.id, RunSeen.sync_token.is_not(None)
        ),
    )


def sums_here(session: Session, run: Run) -> InvoiceSums:
    """Return the sums of what is recorded and not deleted."""
    return _sums(
        session,
        select(func.count(), money_sum(Invoice.total), money_sum(Invoice.balance)).where(
            Invoice.connection_id == run.connection_id, ~Invoice.deleted
        ),
    )


def _sums(session: Session, query: Select[int, Decimal | None, Decimal | None]) -> InvoiceSums:
    count, total, balance = session.execute(query).one()
    return InvoiceSums(count, total or Decimal(0), balance or Decimal(0))


def _shown_otherwise(
    session: Session, run: Run, first: int, limit: int, only: Collection[str] | None
) -> Sequence[QuickBooksDifference]:
    outdated = or_(
        Invoice.sync_token < RunSeen.sync_token,
        and_(
            Invoice.sync_token == RunSeen.sync_token,
            Invoice.last_updated < RunSeen.last_updated,
        ),
    )
    same_version = and_(
        Invoice.sync_token == RunSeen.sync_token,
        # A time that is not believed is none.
        or_(
            Invoice.last_updated.is_(None),
            RunSeen.last_updated.is_(None),
            Invoice.last_updated == RunSeen.last_updated,
        ),
    )
    other_amounts = or_(
        Invoice.total.is_distinct_from(RunSeen.total),
        Invoice.balance.is_distinct_from(RunSeen.balance),
    )
    before = Invoice.fetch_number < first
    query = (
        _met(run)
        .where(RunSeen.sync_token.is_not(None))
        .where(
            or_(
                Invoice.id.is_(None),
                outdated,
                and_(before, Invoice.deleted),
                and_(same_version, other_amounts),
                and_(before, ~same_version),
            )
        )
        .order_by(RunSeen.quickbooks_id)
        .limit(limit)
    )
    if only is not None:
        query = query.where(RunSeen.quickbooks_id.in_(only))
    return [_difference(seen, invoice) for seen, invoice in session.execute(query)]


def _difference(seen: RunSeen, invoice: Invoice | None) -> QuickBooksDifference:
    there = _version(seen)
    if invoice is None:
        return QuickBooksDifference(
            seen.quickbooks_id, DifferenceKind.MISSING, "", there, "not recorded"
        )
    kind = DifferenceKind.AMOUNTS
    if invoice.deleted:
        kind = DifferenceKind.RECORDED_AS_DELETED
    elif _is_older(invoice, seen):
        kind = DifferenceKind.OUTDATED
    elif _is_older(seen, invoice):
        kind = DifferenceKind.AHEAD
    return QuickBooksDifference(
        seen.quickbooks_id, kind, invoice.doc_number, there, _version(invoice)
    )


def _is_older(one: RunSeen | Invoice, other: RunSeen | Invoice) -> bool:
    token, other_token = one.sync_token or 0, other.sync_token or 0
    if token != other_token or one.last_updated is None or other.last_updated is None:
        return token < other_token
    return one.last_updated < other.last_updated


def _version(row: RunSeen | Invoice) -> str:
    changed = f"{row.last_updated:%Y-%m-%dT%H:%M:%SZ}" if row.last_updated else "ahead of time"
    return (
        f"SyncToken {row.sync_token}, changed {changed},"
        f" total {_plain(row.total)}, balance {_plain(row.balance)}"
    )


def _plain(amount: Decimal | None) -> str:
    return "none" if amount is None else f"{amount.normalize():f}"
