"""What of a supplier's invoices was fixed lately."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from service.database.tables import Document, Invoice
from service.database.tables.invoices import FIXED
from service.database.types import condition
from service.queries.invoices import Found
from service.store.invoices import may_be_shown


def fixed_since(
    session: Session,
    connection_ids: Collection[str],
    supplier_id: int,
    since: datetime,
    limit: int,
) -> Sequence[Found]:
    """Return the invoices of which a warning has gone since then, the latest first."""
    rows = session.execute(
        select(Invoice, Document)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .where(
            Invoice.connection_id.in_(connection_ids),
            condition(FIXED),
            Invoice.fixed_at >= since,
            Invoice.mapped.is_not(None),
            may_be_shown(supplier_id),
        )
        .order_by(Invoice.fixed_at.desc(), Invoice.id)
        .limit(limit)
        .options(defer(Invoice.source))
    )
    return [(invoice, document) for invoice, document in rows]
