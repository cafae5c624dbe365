"""How many invoices of each company there are, here and in Infactor."""

from collections.abc import Collection

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from service.store.columns import condition
from service.store.invoices import may_be_shown
from service.store.tables import Connection, Document, Invoice
from service.store.tables.books import WITHDRAWN


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
    """Return for each company how many invoices are recorded, and how many are offered in Infactor.

    With `shown_to`, of those that this supplier may see. Those that we have withdrawn are offered
    no more, though Infactor has them.
    """
    if not connection_ids:
        return {}
    mixed = frozenset() if shown_to is None else others_too(session, connection_ids, shown_to)
    found = dict.fromkeys(connection_ids, (0, 0))
    if shown_to is not None and mixed:
        as_offered = case((condition(WITHDRAWN), None), else_=Document.invoice_id)
        query = (
            select(Invoice.connection_id, func.count(), func.count(as_offered))
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
    there = select(func.count()).where(Document.connection_id == Connection.id)
    withdrawn = there.where(condition(WITHDRAWN))
    numbers = (part.scalar_subquery() for part in (recorded, there, withdrawn))
    plain = Connection.id.in_(set(connection_ids) - mixed)
    for i, here, known, taken_back in session.execute(select(Connection.id, *numbers).where(plain)):
        found[i] = (here, known - taken_back)
    return found
