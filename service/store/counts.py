"""How many invoices of a company there are, here and in Infactor."""

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from service.store.invoices import may_be_shown
from service.store.tables import Document, Invoice


def is_others_too(session: Session, connection_id: str, supplier_id: int) -> bool:
    """Return whether Infactor has invoices of the company in the name of another supplier.

    Only of a company that was handed over; of any other every invoice may be shown.
    """
    other = or_(Document.supplier_id < supplier_id, Document.supplier_id > supplier_id)
    query = select(Document.invoice_id).where(Document.connection_id == connection_id, other)
    return session.execute(query.limit(1)).first() is not None


def of_company(
    session: Session, connection_id: str, *, shown_to: int | None = None
) -> tuple[int, int]:
    """Return how many invoices of the company are recorded, and how many Infactor has.

    With `shown_to`, of those that this supplier may see.
    """
    of_company = (Invoice.connection_id == connection_id, Invoice.mapped.is_not(None))
    if shown_to is not None and is_others_too(session, connection_id, shown_to):
        query = (
            select(func.count(Invoice.id), func.count(Document.invoice_id))
            .select_from(Invoice)
            .join(Document, Document.invoice_id == Invoice.id, isouter=True)
            .where(*of_company, may_be_shown(shown_to))
        )
        both = session.execute(query).one()
        return both[0], both[1]
    # Without a join: each out of an index, in a tenth of the time.
    recorded = select(func.count()).select_from(Invoice).where(*of_company)
    offered = select(func.count()).where(Document.connection_id == connection_id)
    return session.execute(recorded).scalar_one(), session.execute(offered).scalar_one()
