"""What settled invoices that a buyer had approved, as their payments say."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, literal_column, or_, select
from sqlalchemy.orm import Session, defer

from service.database.tables import Connection, Document, Invoice, SettlementRow
from service.database.types import among
from service.database.upsert import insert_all, update_all
from service.store import connections

# As the partial index has it, so that it is used.
_TO_EXPLAIN = and_(
    Invoice.approved_at.is_not(None),
    Invoice.settled_fetch < Invoice.fetch_number,
    or_(Invoice.balance < Invoice.total, Invoice.settled_fetch > literal_column("0")),
)


def due_connections(session: Session, environment: str, now: datetime) -> Sequence[str]:
    """Return connections with approved invoices that were paid, in part or whole, or are so no
    longer, since that was last explained.
    """
    waiting = select(Invoice.id).where(Invoice.connection_id == Connection.id, _TO_EXPLAIN)
    return session.scalars(
        select(Connection.id).where(connections.may_be_called(environment, now), waiting.exists())
    ).all()


def due(
    session: Session, connection_id: str, limit: int
) -> Sequence[tuple[Invoice, Document | None]]:
    """Return the company's next such invoices, with their documents in Infactor as last seen."""
    found = session.execute(
        select(Invoice, Document)
        .options(defer(Invoice.mapped, raiseload=True), defer(Document.document, raiseload=True))
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .where(Invoice.connection_id == connection_id, _TO_EXPLAIN)
        .order_by(Invoice.id)
        .limit(limit)
    )
    return [(invoice, document) for invoice, document in found]


def known(session: Session, invoice_ids: Collection[str]) -> dict[str, list[SettlementRow]]:
    """Return what was read before of these invoices, by invoice."""
    found: dict[str, list[SettlementRow]] = {}
    query = select(SettlementRow).where(among(SettlementRow.invoice_id, sorted(invoice_ids)))
    for row in session.scalars(query):
        found.setdefault(row.invoice_id, []).append(row)
    return found


def keep(session: Session, rows: Sequence[Mapping[str, Any]], read: Mapping[str, int]) -> None:
    """Replace what is known of these invoices by `rows`; `read` is {id: fetch number explained}."""
    session.execute(delete(SettlementRow).where(among(SettlementRow.invoice_id, list(read))))
    if rows:
        insert_all(session, SettlementRow, rows)
    rows_read = [{"id": id_, "settled_fetch": number} for id_, number in sorted(read.items())]
    update_all(session, Invoice, rows_read)
