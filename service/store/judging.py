"""Which companies have to be judged again, and what the rules know of their invoices."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, Invoice, InvoiceToJudge


def due(session: Session, environment: str, wanted: str, limit: int) -> Sequence[str]:
    """Return connections whose invoices were last judged by other rules or on another day.

    And those of which an invoice is to be judged again.
    """
    asked = select(InvoiceToJudge.connection_id)
    return session.scalars(
        select(Connection.id)
        .where(
            Connection.environment == environment,
            or_(Connection.judged_by != wanted, Connection.id.in_(asked)),
        )
        .order_by(Connection.id)
        .limit(limit)
    ).all()


def is_due(session: Session, connection_id: str, wanted: str) -> bool:
    """Return whether all of the company's invoices are to be judged again."""
    query = select(Connection.id).where(
        Connection.id == connection_id, Connection.judged_by != wanted
    )
    return session.execute(query).first() is not None


def judged(session: Session, connection_id: str, wanted: str) -> None:
    """Note by what the company's invoices are judged now."""
    session.execute(
        update(Connection).where(Connection.id == connection_id).values(judged_by=wanted)
    )


class JudgedInvoice(NamedTuple):
    """The facts of an invoice, and its reasons as texts of the columns."""

    id: str
    quickbooks_id: str
    facts: str
    holds: list[dict[str, object]]
    signals: list[dict[str, object]]


def page(session: Session, connection_id: str, after: str, limit: int) -> Sequence[JudgedInvoice]:
    """Return the company's next invoices that were ever read, by their QuickBooks Id as text."""
    columns = (Invoice.id, Invoice.quickbooks_id, Invoice.facts, Invoice.holds, Invoice.signals)
    found = session.execute(
        select(*columns)
        .where(
            Invoice.connection_id == connection_id,
            Invoice.quickbooks_id > after,
            Invoice.mapped.is_not(None),
        )
        .order_by(Invoice.quickbooks_id)
        .limit(limit)
    )
    return [JudgedInvoice(*row) for row in found]
