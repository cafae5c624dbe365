"""Receipts: what each delivery into Infactor came to."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased

from service.store.insert import Insert, insert_all
from service.store.tables import Receipt, Revision


def add(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add to the receipts."""
    if rows:
        insert_all(session, Receipt, rows, _as_it_is)


def _as_it_is(statement: Insert) -> Insert:
    return statement


def of_invoice(session: Session, invoice_id: str) -> Sequence[Receipt]:
    """Return the invoice's receipts, the newest first."""
    return session.scalars(
        select(Receipt).where(Receipt.invoice_id == invoice_id).order_by(Receipt.id.desc())
    ).all()


def written_since(
    session: Session, ids: Collection[str], since: datetime
) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Return the fields that deliveries since then wrote over, by invoice: from what to what.

    None, None where the history does not say it.
    """
    recent: dict[str, list[Receipt]] = {}
    for receipt in session.scalars(
        select(Receipt)
        .where(
            Receipt.invoice_id.in_(ids),
            Receipt.at >= since,
            Receipt.outcome.in_(("refreshed", "restored")),
        )
        .order_by(Receipt.id)
    ):
        recent.setdefault(receipt.invoice_id, []).append(receipt)
    return {invoice_id: _written(session, those) for invoice_id, those in recent.items()}


def _written(session: Session, receipts: Sequence[Receipt]) -> dict[str, tuple[Any, Any]]:
    """Return what these receipts of one invoice, the oldest first, say that was written."""
    first, last = receipts[0], receipts[-1]
    before = select(func.max(Receipt.revision)).where(
        Receipt.invoice_id == first.invoice_id, Receipt.id < first.id
    )
    history = session.scalars(
        select(Revision)
        .where(
            Revision.invoice_id == first.invoice_id,
            Revision.number > func.coalesce(before.scalar_subquery(), 0),
            Revision.number <= last.revision,
        )
        .order_by(Revision.number)
    ).all()
    values: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys(name for receipt in receipts for name in receipt.changed):
        known = [revision.changes[name] for revision in history if revision.changes.get(name)]
        values[name] = (known[0][0], known[-1][1]) if known else (None, None)
    return values


def by_outcome(session: Session, since: datetime) -> dict[str, int]:
    """Count the receipts since then by their outcome."""
    rows = session.execute(
        select(Receipt.outcome, func.count()).where(*recent(since)).group_by(Receipt.outcome)
    )
    return {outcome: count for outcome, count in rows}


def recent(since: datetime) -> tuple[ColumnElement[bool], ...]:
    """Say that a receipt is from then or later: read from the newest back, there is no other index.

    Receipts are numbered in the order in which they come.
    """
    older = aliased(Receipt)
    last = select(older.id).where(older.at < since).order_by(older.id.desc()).limit(1)
    return (Receipt.id > func.coalesce(last.scalar_subquery(), 0),)
