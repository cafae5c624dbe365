"""Which rows of Infactor's old import belong to which recorded invoice."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, Document, Finding, Invoice, OldId
from service.database.tables.invoices import OLD_ROWS_HELD
from service.database.types import among, condition
from service.database.upsert import chunked, insert
from service.domain import FindingKind


@dataclass(frozen=True, slots=True)
class Concerned:
    """An invoice that old rows may belong to; `deliverable` if its Id was checked and not held."""

    id: str
    connection_id: str
    quickbooks_id: str
    doc_number: str
    total: Decimal | None
    currency: str | None
    mapped: dict[str, Any] | None
    buyer_emails: list[Any]
    adopted: str | None
    adopted_as: str | None
    delivered: bool
    deliverable: bool

    @property
    def document_id(self) -> str:
        """The invoiceId of its document in Infactor."""
        return self.id if self.adopted is None else self.adopted_as or self.adopted


def were_matched(session: Session, connection_id: str, quickbooks_ids: Collection[str]) -> bool:
    """Return whether old rows were checked since these invoices of the company were recorded."""
    connection = session.get(Connection, connection_id)
    if connection is None or connection.adopted_at is None:
        return False
    missed = select(OldId.quickbooks_id).where(
        OldId.connection_id == connection_id, among(OldId.quickbooks_id, quickbooks_ids)
    )
    return session.execute(missed.limit(1)).first() is None


def concerned(
    session: Session,
    connection_ids: Collection[str],
    quickbooks_ids: Collection[str],
    row_ids: Collection[str],
) -> Iterator[Concerned]:
    """Yield the invoices of these companies with these Ids, and any that has one of these rows."""
    given: set[str] = set()
    for ids in chunked(sorted(quickbooks_ids)):
        mine = and_(Invoice.connection_id.in_(connection_ids), Invoice.quickbooks_id.in_(ids))
        yield from _new(session.execute(_query(mine)), given)
    for ids in chunked(sorted(row_ids)):
        yield from _new(session.execute(_query(Invoice.adopted.in_(ids))), given)


def adopt(session: Session, adopted: Mapping[str, tuple[str, str | None]]) -> None:
    """Give these invoices ({invoice id: (_id, invoiceId)}) their rows; one with a row keeps it.

    Raises IntegrityError if another invoice has the row.
    """
    for invoice_id, (row_id, document_id) in sorted(adopted.items()):
        session.execute(
            update(Invoice)
            .where(Invoice.id == invoice_id, Invoice.adopted.is_(None))
            .values(adopted=row_id, adopted_as=document_id)
        )


def adopted_by(session: Session, connection_ids: Collection[str]) -> dict[str, str]:
    """Return the rows that invoices of these companies have: the invoiceId by the _id."""
    rows = session.execute(
        select(Invoice.adopted, Invoice.adopted_as).where(
            Invoice.connection_id.in_(connection_ids), Invoice.adopted.is_not(None)
        )
    )
    return {row_id: document_id or row_id for row_id, document_id in rows if row_id is not None}


def due_suppliers(
    session: Session, environment: str, before: datetime, open_before: datetime, limit: int
) -> Sequence[int]:
    """Return the suppliers whose rows were last matched before then, the longest ago first.

    The later time counts where a row holds an invoice or doubles one.
    """
    waits = select(Invoice.id).where(
        Invoice.connection_id == Connection.id, condition(OLD_ROWS_HELD)
    )
    doubled = select(Finding.id).where(
        Finding.connection_id == Connection.id,
        Finding.kind == FindingKind.DOUBLED,
        Finding.closed_at.is_(None),
    )
    is_open = and_(Connection.adopted_at < open_before, or_(waits.exists(), doubled.exists()))
    return session.scalars(
        select(Connection.supplier_id)
        .where(
            Connection.environment == environment,
            Connection.released_at.is_(None),
            or_(Connection.adopted_at < before, is_open),
        )
        .group_by(Connection.supplier_id)
        .order_by(func.min(Connection.adopted_at))
        .limit(limit)
    ).all()


def held_invoices(session: Session, environment: str) -> Sequence[tuple[str, str, int]]:
    """Return (connection, company's name, how many of its invoices wait) where any wait."""
    rows = session.execute(
        select(Connection.id, Connection.company_name, func.count())
        .join(Invoice, Invoice.connection_id == Connection.id)
        .where(Connection.environment == environment, condition(OLD_ROWS_HELD))
        .group_by(Connection.id, Connection.company_name)
        .order_by(Connection.id)
    )
    return [(connection_id, name, count) for connection_id, name, count in rows]


def hold(
    session: Session,
    connection_ids: Sequence[str],
    quickbooks_ids: Collection[str],
    now: datetime,
    *,
    offered: Collection[str] = (),
) -> None:
    """Hold exactly these Ids of these companies, and note that they were checked.

    Those that are not recorded yet are kept, to be checked again once they are. Invoices that were
    delivered, or have a document all the same (`offered`), are not held: a delivery may have to
    withdraw them, and another company's invoice may have their Id.
    """
    of_these = Invoice.connection_id.in_(connection_ids)
    session.execute(
        update(Invoice).where(of_these, Invoice.old_rows_held).values(old_rows_held=False)
    )
    session.execute(delete(OldId).where(OldId.connection_id.in_(connection_ids)))
    for ids in chunked(sorted(quickbooks_ids)):
        theirs = and_(of_these, Invoice.quickbooks_id.in_(ids))
        columns = (Invoice.connection_id, Invoice.quickbooks_id, Invoice.id, _delivered())
        recorded = session.execute(select(*columns).where(theirs)).all()
        known = {(connection_id, number) for connection_id, number, _, _ in recorded}
        waiting = {id_ for _, _, id_, delivered in recorded if not delivered}.difference(offered)
        held = update(Invoice).where(among(Invoice.id, waiting))
        session.execute(held.values(old_rows_held=True))
        missing = [
            {"connection_id": connection_id, "quickbooks_id": quickbooks_id}
            for connection_id in connection_ids
            for quickbooks_id in ids
            if (connection_id, quickbooks_id) not in known
        ]
        if missing:
            session.execute(insert(session, OldId), missing)
    session.execute(
        update(Connection).where(Connection.id.in_(connection_ids)).values(adopted_at=now)
    )


def _query(which: ColumnElement[bool]) -> Select[Any]:
    unseen = select(OldId.quickbooks_id).where(
        OldId.connection_id == Invoice.connection_id, OldId.quickbooks_id == Invoice.quickbooks_id
    )
    return (
        select(
            Invoice.id,
            Invoice.connection_id,
            Invoice.quickbooks_id,
            Invoice.doc_number,
            Invoice.total,
            Invoice.currency,
            Invoice.mapped,
            Invoice.buyer_emails,
            Invoice.adopted,
            Invoice.adopted_as,
            _delivered(),
            and_(Connection.adopted_at.is_not(None), ~Invoice.old_rows_held, ~unseen.exists()),
        )
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(which)
        .order_by(Invoice.id)
    )


def _delivered() -> ColumnElement[bool]:
    """A condition: the document of an invoice was seen in Infactor's own database."""
    seen = select(Document.invoice_id).where(
        Document.invoice_id == Invoice.id, Document.seen_at.is_not(None)
    )
    return seen.exists()


def _new(rows: Any, given: set[str]) -> Iterator[Concerned]:
    for row in rows:
        if row[0] not in given:
            given.add(row[0])
            yield Concerned(*row)


def taken(session: Session, row_ids: Collection[str]) -> set[str]:
    """Return those of these rows that are the document of any company's invoice."""
    found: set[str | None] = set()
    for ids in chunked(sorted(row_ids)):
        found |= set(session.scalars(select(Invoice.adopted).where(Invoice.adopted.in_(ids))))
    return {row_id for row_id in found if row_id is not None}
