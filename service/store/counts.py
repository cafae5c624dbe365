"""How many invoices of each company there are, here and in Infactor."""

from collections.abc import Collection

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from service.store.invoices import may_be_shown
from service.store.tables import Connection, Document, Invoice


def others_too(
    session: Session, connection_ids: Collection[str], supplier_id: int
) -> frozenset[str]:
    """Return the companies of which Infactor has invoices in the name of another supplier.

    Only those that were handed over; of any other every invoice may be shown.
    """
    # A search in the index for each company: as an EXISTS it may become a join of all documents.
    another = (
        select(Document.invoice_id)
        .where(
            Document.connection_id == Connection.id,
            or_(Document.supplier_id < supplier_id, Document.supplier_id > supplier_id),
        )
        .limit(1)
        .scalar_subquery()
    )
    query = select(Connection.id).where(Connection.id.in_(connection_ids), another.is_not(None))
    return frozenset(session.scalars(query))


def of_companies(
    session: Session, connection_ids: Collection[str], *, shown_to: int | None = None
) -> dict[str, tuple[int, int]]:
    """Return for each company how many invoices are recorded, and how many Infactor has.

    With `shown_to`, of those that this supplier may see.
    """
    if not connection_ids:
        return {}
    mixed = frozenset() if shown_to is None else others_too(session, connection_ids, shown_to)
    found = dict.fromkeys(connection_ids, (0, 0))
    if shown_to is not None and mixed:
        query = (
            select(Invoice.connection_id, func.count(), func.count(Document.invoice_id))
            .join(Document, Document.invoice_id == Invoice.id, isouter=True)
            .where(
                Invoice.connection_id.in_(mixed),
                Invoice.mapped.is_not(None),
                may_be_shown(shown_to),
            )
            .group_by(Invoice.connection_id)
        )
        found |= {i: (recorded, offered) for i, recorded, offered in session.execute(query)}
    # Without a join: each out of an index, in a tenth of the time.
    recorded = select(func.count()).where(
        Invoice.connection_id == Connection.id, Invoice.mapped.is_not(None)
    )
    offered = select(func.count()).where(Document.connection_id == Connection.id)
    both = select(Connection.id, recorded.scalar_subquery(), offered.scalar_subquery()).where(
        Connection.id.in_(set(connection_ids) - mixed)
    )
    return found | {i: (here, there) for i, here, there in session.execute(both)}
