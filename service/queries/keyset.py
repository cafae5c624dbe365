"""Lists for programs: a page follows a key that never changes, so that nothing is skipped or told
twice while rows are added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session, defer

from service.database.tables import Connection, Document, Finding, Invoice, Notice, Supplier
from service.database.tables.invoices import HELD
from service.database.types import condition
from service.domain import ConnectionState, NoticeStatus
from service.queries import invoices
from service.store import outbox, silence
from service.store.invoices import supplier_of
from service.store.outbox import CompanyBacklog, with_delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFilter:
    """Which invoices; None asks for nothing. `supplier_id` is as `supplier_of` says. With `held`
    None, both.
    """

    supplier_id: int | None = None
    connection_id: str | None = None
    state: str | None = None
    held: bool | None = None
    changed_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One invoice of a list, with what surrounds it."""

    invoice: Invoice
    document: Document | None
    company: Connection
    supplier: Supplier


def invoice_lines(
    session: Session,
    environment: str,
    wanted: InvoiceFilter,
    *,
    after: tuple[str, str] | None,
    limit: int,
) -> list[InvoiceLine]:
    """Return invoices that were ever read, by connection and QuickBooks Id; `after` is such a
    pair.
    """
    query = (
        select(Invoice, Document, Connection, Supplier)
        .join(Connection, Connection.id == Invoice.connection_id)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .join(Supplier, Supplier.id == supplier_of())
        .where(Connection.environment == environment, Invoice.mapped.is_not(None))
        .where(*_wanted(session, wanted))
        .order_by(Invoice.connection_id, Invoice.quickbooks_id)
        .limit(limit)
        .options(defer(Invoice.source), defer(Document.document), with_delivery())
    )
    if after is not None:
        query = query.where(tuple_(Invoice.connection_id, Invoice.quickbooks_id) > tuple_(*after))
    return [InvoiceLine(*row) for row in session.execute(query)]


def _of_supplier(session: Session, supplier_id: int) -> ColumnElement[bool]:
    """A condition on rows with Connection and Document: it is this supplier's.

    It names the companies that are theirs or were, so that nobody else's invoices are read.
    """
    theirs = exists().where(
        Document.connection_id == Connection.id, Document.supplier_id == supplier_id
    )
    companies = session.scalars(
        select(Connection.id).where(or_(Connection.supplier_id == supplier_id, theirs))
    ).all()
    return and_(Invoice.connection_id.in_(companies), supplier_of() == supplier_id)


def _wanted(session: Session, wanted: InvoiceFilter) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = []
    if wanted.supplier_id is not None:
        chosen.append(_of_supplier(session, wanted.supplier_id))
    if wanted.connection_id is not None:
        chosen.append(Invoice.connection_id == wanted.connection_id)
    if wanted.state is not None:
        chosen.append(Document.state == wanted.state)
    if wanted.held is not None:
        chosen.append(condition(HELD) if wanted.held else ~condition(HELD))
    if (since := wanted.changed_since) is not None:
        chosen.append(or_(Invoice.recorded_at >= since, Document.seen_at >= since, _written(since)))
    return chosen


def _written(since: datetime) -> ColumnElement[bool]:
    return and_(Document.seen_at.is_(None), Document.written_at >= since)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLine:
    """One company, and how far it is; `waiting_since` is when its oldest waiting notice came."""

    company: Connection
    supplier: Supplier
    recorded: int
    offered: int
    held: int
    outgoing: CompanyBacklog | None
    last_webhook: datetime | None
    waiting: int
    waiting_since: datetime | None
    parked: int


def connection_lines(
    session: Session,
    environment: str,
    *,
    supplier_id: int | None = None,
    connection_id: str | None = None,
    state: ConnectionState | None = None,
    after: str | None = None,
    limit: int,
) -> list[ConnectionLine]:
    """Return companies by their id."""
    query = (
        select(Connection, Supplier, silence.last_webhook())
        .join(Supplier, Supplier.id == Connection.supplier_id)
        .where(Connection.environment == environment)
        .order_by(Connection.id)
        .limit(limit)
    )
    if supplier_id is not None:
        query = query.where(Connection.supplier_id == supplier_id)
    if connection_id is not None:
        query = query.where(Connection.id == connection_id)
    if state is not None:
        query = query.where(Connection.state == state)
    if after is not None:
        query = query.where(Connection.id > after)
    rows = session.execute(query).all()
    ids = [company.id for company, *_ in rows]
    counts = invoices.of_companies(session, ids)
    held = _held(session, ids)
    outgoing = outbox.backlog_of_each(session, ids)
    pending = _notices(session, ids, NoticeStatus.PENDING)
    parked = _notices(session, ids, NoticeStatus.PARKED)
    return [
        ConnectionLine(
            company=company,
            supplier=supplier,
            recorded=counts[company.id][0],
            offered=counts[company.id][1],
            held=held.get(company.id, 0),
            outgoing=outgoing.get(company.id),
            last_webhook=last_webhook,
            waiting=pending.get(company.id, (0, None))[0],
            waiting_since=pending.get(company.id, (0, None))[1],
            parked=parked.get(company.id, (0, None))[0],
        )
        for company, supplier, last_webhook in rows
    ]


def _held(session: Session, ids: Sequence[str]) -> dict[str, int]:
    """Return how many invoices of each company are held, from the index of those."""
    rows = session.execute(
        select(Invoice.connection_id, func.count())
        .where(condition(HELD), Invoice.connection_id.in_(ids))
        .group_by(Invoice.connection_id)
    )
    return {connection_id: count for connection_id, count in rows}


def _notices(
    session: Session, ids: Sequence[str], status: NoticeStatus
) -> dict[str, tuple[int, datetime | None]]:
    rows = session.execute(
        select(Notice.connection_id, func.count(), func.min(Notice.received_at))
        .where(Notice.connection_id.in_(ids), Notice.status == status)
        .group_by(Notice.connection_id)
    )
    return {str(connection_id): (count, since) for connection_id, count, since in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Which findings; None asks for nothing, and `is_open` None for both."""

    is_open: bool | None = None
    supplier_id: int | None = None
    connection_id: str | None = None
    invoice_id: str | None = None
    severity: str | None = None


@dataclass(frozen=True, slots=True)
class ListedFinding:
    """One finding of a list, with its invoice and company."""

    finding: Finding
    invoice: Invoice
    company: Connection


def finding_lines(
    session: Session, environment: str, wanted: FindingFilter, *, before: int | None, limit: int
) -> list[ListedFinding]:
    """Return findings below this id, the newest first."""
    query = (
        select(Finding, Invoice, Connection)
        .join(Invoice, Invoice.id == Finding.invoice_id)
        .join(Connection, Connection.id == Finding.connection_id)
        .join(Document, Document.invoice_id == Finding.invoice_id, isouter=True)
        .where(Connection.environment == environment)
        .order_by(Finding.id.desc())
        .limit(limit)
        .options(defer(Invoice.source), defer(Invoice.mapped))
    )
    if wanted.is_open is not None:
        is_open = Finding.closed_at.is_(None)
        query = query.where(is_open if wanted.is_open else ~is_open)
    for column, value in (
        (Finding.connection_id, wanted.connection_id),
        (Finding.invoice_id, wanted.invoice_id),
        (Finding.severity, wanted.severity),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.supplier_id is not None:
        query = query.where(_of_supplier(session, wanted.supplier_id))
    if before is not None:
        query = query.where(Finding.id < before)
    return [ListedFinding(*row) for row in session.execute(query)]
