"""What was last seen of Infactor's own documents, a page at a time for polls and reconciles."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, func, or_, select, type_coerce, update
from sqlalchemy.orm import Session, defer

from service.database.tables import Connection, DeliveryState, Document, Invoice
from service.database.types import among
from service.domain import APPROVED, ENDED, RuleCode, State
from service.store.infactor_outbox import with_delivery

MONEY_MAY_MOVE = sorted(APPROVED - ENDED)
# The long columns, which nobody here needs.
_WITHOUT_CONTENT = (defer(Invoice.source), defer(Invoice.mapped))


def count_undecided(session: Session, connection_id: str) -> int:
    """Return how many documents of the company in Infactor's own database wait for a decision."""
    return session.execute(
        select(func.count())
        .select_from(Document)
        .join(Invoice, Invoice.id == Document.invoice_id)
        .where(
            Invoice.connection_id == connection_id,
            Document.state == State.INVOICE_CREATED,
            Document.seen_at.is_not(None),
        )
    ).scalar_one()


def is_financed() -> ColumnElement[bool]:
    """A condition: a buyer has approved an invoice of the connection's company, and money may move.

    So it is until Infactor's pages lead nowhere from it.
    """
    return (
        select(Document.invoice_id)
        .where(Document.connection_id == Connection.id, Document.state.in_(MONEY_MAY_MOVE))
        .exists()
    )


def count_offered(session: Session, connection_id: str) -> int:
    """Return how many invoices of the company wait for their buyer's decision, and are not held.

    Those that only wait for the company to be proved count, whether withdrawn for that already.
    """
    unproven = Invoice.hold == RuleCode.UNPROVEN
    undecided = Document.state == State.INVOICE_CREATED
    return session.execute(
        select(func.count())
        .select_from(Document)
        .join(Invoice, Invoice.id == Document.invoice_id)
        .where(
            Invoice.connection_id == connection_id,
            or_(
                and_(undecided, or_(Invoice.hold.is_(None), unproven)),
                and_(Document.withdrawn, unproven),
            ),
        )
    ).scalar_one()


def open_documents(
    session: Session, environment: str, *, after: str, limit: int
) -> Sequence[tuple[Invoice, Document]]:
    """Return the next documents that may still change, in the order of their ids.

    Documents that have ended are left out, and rejected ones unless we rejected them: those have
    our marker, or a hold. So are a forgotten company's.
    """
    by_us = or_(Invoice.hold.is_not(None), Document.marked)
    rows = session.execute(
        select(Invoice, Document)
        .join(Document, Document.invoice_id == Invoice.id)
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(
            Document.invoice_id > after,
            Document.seen_at.is_not(None),
            Document.state.not_in(ENDED),
            or_(Document.state != State.INVOICE_REJECTED, by_us),
            Invoice.mapped.is_not(None),
            Connection.environment == environment,
        )
        .order_by(Document.invoice_id)
        .limit(limit)
        .options(*_WITHOUT_CONTENT, with_delivery())
    )
    return [(invoice, document) for invoice, document in rows]


def of_company(
    session: Session, connection_id: str, after: str, limit: int
) -> Sequence[tuple[Invoice, Document | None]]:
    """Return the company's next invoices with what was seen of them, in the order of their ids."""
    rows = session.execute(
        select(Invoice, Document)
        .outerjoin(Document, and_(Document.invoice_id == Invoice.id, Document.seen_at.is_not(None)))
        .where(
            Invoice.connection_id == connection_id,
            Invoice.id > after,
            Invoice.mapped.is_not(None),
        )
        .order_by(Invoice.id)
        .limit(limit)
        .options(defer(Invoice.source), with_delivery())
    )
    return [(invoice, document) for invoice, document in rows]


def without_buyer(session: Session, environment: str, after: str, limit: int) -> Sequence[Invoice]:
    """Return the next undecided invoices that no registered buyer can see, in the order of ids.

    Not those with a delivery due, which finds the buyer by itself.
    """
    return session.scalars(
        select(Invoice)
        .join(Document, Document.invoice_id == Invoice.id)
        .join(DeliveryState, DeliveryState.invoice_id == Invoice.id)
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(
            Invoice.id > after,
            type_coerce(Invoice.delivery_warnings, Text) != "[]",
            Document.state == State.INVOICE_CREATED,
            Document.seen_at.is_not(None),
            DeliveryState.delivered_revision >= DeliveryState.revision,
            Connection.environment == environment,
        )
        .order_by(Invoice.id)
        .limit(limit)
        .options(defer(Invoice.source))
    ).all()


def note(session: Session, invoice_id: str, columns: Mapping[str, Any], now: datetime) -> None:
    """Keep what a document is now; `columns` are all that repeat its content."""
    session.execute(
        update(Document).where(Document.invoice_id == invoice_id).values(**columns, seen_at=now)
    )


def count(session: Session, environment: str) -> int:
    """Return how many documents were seen in Infactor."""
    return session.execute(
        select(func.count())
        .select_from(Document)
        .join(Connection, Connection.id == Document.connection_id)
        .where(Document.seen_at.is_not(None), Connection.environment == environment)
    ).scalar_one()


def note_approved(session: Session, ids: Collection[str], at: datetime) -> None:
    """Note when these invoices were first seen to be approved."""
    if ids:
        theirs = update(Invoice).where(among(Invoice.id, ids), Invoice.approved_at.is_(None))
        session.execute(theirs.values(approved_at=at))
