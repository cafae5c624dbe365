"""Everything that is known of one invoice, for operators; and how they find it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import ColumnElement, Select, and_, literal, or_, select, tuple_, union
from sqlalchemy.orm import Session, defer

from service.database.tables import (
    Connection,
    Document,
    Finding,
    Invoice,
    Notice,
    Receipt,
    Revision,
    SettlementRow,
    Supplier,
)
from service.database.tables.invoices import RECORDED
from service.database.types import condition
from service.store.infactor_outbox import with_delivery
from service.store.invoices import folded, supplier_of

MOST_SHOWN = 50
"""So many revisions, receipts, notices and findings of an invoice are shown, the newest."""

_AFTER_EVERY_TEXT = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRecord:
    """One invoice, and all that surrounds it, each the newest first."""

    invoice: Invoice
    document: Document | None
    company: Connection
    supplier: Supplier
    revisions: Sequence[Revision]
    receipts: Sequence[Receipt]
    findings: Sequence[Finding]
    notices: Sequence[Notice]
    settlements: Sequence[SettlementRow]


@dataclass(frozen=True, slots=True)
class FoundInvoice:
    """One invoice that was searched for."""

    invoice: Invoice
    document: Document | None
    company: Connection


def record(
    session: Session, environment: str, invoice_id: str, *, most: int | None = MOST_SHOWN
) -> InvoiceRecord | None:
    """Return what is known of the invoice with this id; None if this environment has none.

    With `most`, only so many of each kind of row.
    """
    found = session.execute(
        select(Invoice, Document, Connection, Supplier)
        .join(Connection, Connection.id == Invoice.connection_id)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .join(Supplier, Supplier.id == supplier_of())
        .where(Invoice.id == invoice_id, Connection.environment == environment)
        .options(with_delivery())
    ).first()
    if found is None:
        return None
    invoice, document, company, supplier = found
    about = (
        Notice.connection_id == invoice.connection_id,
        Notice.entity == "Invoice",
        Notice.entity_id == invoice.quickbooks_id,
    )
    revisions = select(Revision).where(Revision.invoice_id == invoice_id)
    receipts = select(Receipt).where(Receipt.invoice_id == invoice_id)
    findings = select(Finding).where(Finding.invoice_id == invoice_id)
    notices = select(Notice).where(*about)
    settlements = select(SettlementRow).where(SettlementRow.invoice_id == invoice_id).limit(most)
    return InvoiceRecord(
        invoice=invoice,
        document=document,
        company=company,
        supplier=supplier,
        revisions=session.scalars(revisions.order_by(Revision.number.desc()).limit(most)).all(),
        receipts=session.scalars(receipts.order_by(Receipt.id.desc()).limit(most)).all(),
        findings=session.scalars(findings.order_by(Finding.id.desc()).limit(most)).all(),
        notices=session.scalars(notices.order_by(Notice.id.desc()).limit(most)).all(),
        settlements=session.scalars(settlements.order_by(SettlementRow.paid_on.desc())).all(),
    )


def ids_of(session: Session, environment: str, text: str) -> Sequence[str]:
    """Return our ids of the invoices that this text names: the one with this id, or those that are
    known by it in Infactor, two at most.
    """
    names = (Invoice.id == text, Invoice.adopted_as == text, Invoice.adopted == text)
    query = (
        select(Invoice.id)
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(Connection.environment == environment, or_(*names))
        .order_by(Invoice.id != text, Invoice.id)
    )
    found = session.scalars(query.limit(2)).all()
    return found[:1] if text in found else found


def search(
    session: Session,
    environment: str,
    text: str,
    *,
    amount: Decimal | None = None,
    connection_id: str | None = None,
    after: str | None = None,
    limit: int,
) -> Sequence[FoundInvoice]:
    """Return the invoices after this id that match, those entered last first.

    A number, an id of Infactor's or QuickBooks' and an amount match as a whole, a buyer by how the
    name begins: each has an index. Without a text, all of the company.
    """
    ours = [Connection.environment == environment]
    if connection_id is not None:
        # Both, or PostgreSQL would not read them in the order of an index.
        ours += [Connection.id == connection_id, Invoice.connection_id == connection_id]
    matches = _matches(text, amount) if text else []
    query = _listed(ours, matches).limit(limit)
    place = session.get(Invoice, after) if after is not None else None
    if place is not None:
        there = tuple_(literal(place.created_ms), literal(place.id))
        query = query.where(tuple_(Invoice.created_ms, Invoice.id) < there)
    return [FoundInvoice(*row) for row in session.execute(query)]


def by_number(
    session: Session, environment: str, number: str, limit: int | None
) -> Sequence[FoundInvoice]:
    """Return the invoices with this number, those entered last first."""
    return _found(session, environment, [Invoice.doc_number == number], limit)


def by_id(
    session: Session, environment: str, id_: str, limit: int | None
) -> Sequence[FoundInvoice]:
    """Return the invoices with this id in QuickBooks or Infactor, those entered last first."""
    return _found(session, environment, _ids_are(id_), limit)


def _found(
    session: Session, environment: str, matches: Sequence[ColumnElement[bool]], limit: int | None
) -> Sequence[FoundInvoice]:
    query = _listed([Connection.environment == environment], matches).limit(limit)
    return [FoundInvoice(*row) for row in session.execute(query)]


def _listed(
    ours: Sequence[ColumnElement[bool]], matches: Sequence[ColumnElement[bool]]
) -> Select[Invoice, Document | None, Connection]:
    """Return the query for the invoices that match in any way; without one, for all of ours."""
    query = (
        select(Invoice, Document, Connection)
        .join(Connection, Connection.id == Invoice.connection_id)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .options(defer(Invoice.source))
        .order_by(Invoice.created_ms.desc(), Invoice.id.desc())
    )
    if not matches:
        return query.where(*ours)
    ids = union(*(_ids(ours, one) for one in matches)).subquery()
    return query.join(ids, ids.c.id == Invoice.id)


def _ids(ours: Sequence[ColumnElement[bool]], matches: ColumnElement[bool]) -> Select[str]:
    of_company = Invoice.connection_id == Connection.id
    return select(Invoice.id).join(Connection, of_company).where(*ours, matches)


def _matches(text: str, amount: Decimal | None) -> list[ColumnElement[bool]]:
    buyer = folded(text)
    # No BETWEEN: PostgreSQL does not take the collation that SQLAlchemy writes behind its values.
    begins = and_(
        condition(RECORDED),  # as in the index
        Invoice.sought >= buyer,
        Invoice.sought <= buyer + _AFTER_EVERY_TEXT,
    )
    matches = [Invoice.doc_number == text, *_ids_are(text), begins]
    return matches if amount is None else [*matches, Invoice.total == amount]


def _ids_are(text: str) -> list[ColumnElement[bool]]:
    return [
        Invoice.id == text,
        Invoice.quickbooks_id == text,
        Invoice.adopted_as == text,
        Invoice.adopted == text,
    ]
