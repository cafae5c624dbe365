"""What is on its way to Infactor: recorded invoices whose newest revision is not there yet.

Nothing is put into a queue: an invoice is outgoing for as long as its delivered revision is below
its recorded one. So whatever is lost, or was recorded before Infactor's own database was
configured, is delivered all the same.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from service.store.insert import excluded, insert
from service.store.tables import Connection, Document, Invoice, Receipt

_OUTGOING = Invoice.delivered_revision < Invoice.revision


def due(session: Session, connection_id: str, now: datetime, limit: int) -> Sequence[Invoice]:
    """Return the company's next invoices to deliver, in the order in which they were recorded."""
    return session.scalars(
        select(Invoice)
        .where(Invoice.connection_id == connection_id, _is_due(now))
        .order_by(Invoice.recorded_at, Invoice.id)
        .limit(limit)
    ).all()


def due_connections(session: Session, environment: str, now: datetime) -> Sequence[str]:
    """Return the companies that have something to deliver now."""
    waiting = select(Invoice.id).where(Invoice.connection_id == Connection.id, _is_due(now))
    return session.scalars(
        select(Connection.id).where(Connection.environment == environment, waiting.exists())
    ).all()


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(_OUTGOING, or_(Invoice.delivery_due_at.is_(None), Invoice.delivery_due_at <= now))


def waiting(session: Session, environment: str) -> tuple[int, datetime | None, int]:
    """Return how many invoices are outgoing, since when the oldest, and how many were refused."""
    count, oldest, refused = session.execute(
        select(func.count(), func.min(Invoice.recorded_at), func.count(Invoice.delivery_error))
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(Connection.environment == environment, _OUTGOING)
    ).one()
    return count, oldest, refused


def seen(session: Session, ids: Collection[str]) -> dict[str, Document]:
    """Return what was last seen in Infactor's own database of these invoices.

    What was written to our own table, while that was Infactor's, is not among it.
    """
    rows = session.scalars(
        select(Document).where(Document.invoice_id.in_(ids), Document.seen_at.is_not(None))
    )
    return {row.invoice_id: row for row in rows}


def lock(session: Session, ids: Collection[str]) -> dict[str, Invoice]:
    """Return these invoices as they are now, which nobody else changes in this transaction."""
    rows = session.scalars(
        select(Invoice).where(Invoice.id.in_(ids)).order_by(Invoice.id).with_for_update()
    )
    return {row.id: row for row in rows}


def keep_seen(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what these documents of Infactor are now."""
    if not rows:
        return
    statement = insert(session, Document)
    columns = [name for name in rows[0] if name != "invoice_id"]
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Document.invoice_id], set_=excluded(statement, *columns)
        ),
        list(rows),
    )


def add_receipts(session: Session, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add to the receipts."""
    given = list(rows)
    if given:
        session.execute(insert(session, Receipt), given)


def receipts(session: Session, invoice_id: str) -> Sequence[Receipt]:
    """Return the invoice's receipts, the newest first."""
    return session.scalars(
        select(Receipt).where(Receipt.invoice_id == invoice_id).order_by(Receipt.id.desc())
    ).all()


def deliver_again(session: Session, ids: Collection[str]) -> None:
    """Let the newest revision of these invoices be delivered once more."""
    session.execute(
        update(Invoice)
        .where(Invoice.id.in_(ids))
        .values(delivered_revision=0, delivery_due_at=None, delivery_attempts=0)
    )
