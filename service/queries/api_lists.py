"""Lists for programs: a page follows a key that never changes, so that nothing is skipped or told
twice while rows are added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    exists,
    func,
    or_,
    select,
    union,
)
from sqlalchemy.orm import Session, defer

from service.database.tables import Connection, Document, Finding, Invoice, Notice, Supplier
from service.database.tables.invoices import HELD, RECORDED
from service.database.types import condition
from service.domain import ConnectionState, NoticeStatus
from service.queries import invoices
from service.store import infactor_outbox, silence
from service.store.infactor_outbox import CompanyBacklog, with_delivery
from service.store.invoices import supplier_of


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
    session: Session, environment: str, wanted: InvoiceFilter, *, after: str | None, limit: int
) -> list[InvoiceLine]:
    """Return invoices that were ever read, by their ids, those behind the id `after`."""
    ids = _ids(session, environment, wanted, after, limit)
    query = (
        select(Invoice, Document, Connection, Supplier)
        .join(Connection, Connection.id == Invoice.connection_id)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .join(Supplier, Supplier.id == supplier_of())
        .where(Invoice.id.in_(ids))
        .order_by(Invoice.id)
        .options(defer(Invoice.source), defer(Document.document), with_delivery())
    )
    return [InvoiceLine(*row) for row in session.execute(query)]


def _ids(
    session: Session, environment: str, wanted: InvoiceFilter, after: str | None, limit: int
) -> Sequence[str]:
    """Return the ids of a page.

    Each company's come from its own index, then are merged: of several at once, a database would
    read all and sort them. What changed lately is found first, and then sorted.
    """
    query = _ids_in_order(environment, wanted, after).limit(limit)
    company = Invoice.connection_id if wanted.state is None else Document.connection_id
    parts = [query]
    if wanted.supplier_id is not None:
        theirs = _companies_of(session, wanted.supplier_id)
        if not theirs:
            return []
        at_once = [theirs] if wanted.changed_since else [[one] for one in theirs]
        parts = [query.where(company.in_(some)) for some in at_once]
    if wanted.connection_id is not None:
        parts = [part.where(company == wanted.connection_id) for part in parts]
    return session.scalars(invoices.merged(parts, limit, "id")).all()


def _ids_in_order(environment: str, wanted: InvoiceFilter, after: str | None) -> Select[str]:
    """Return the query for the ids of all companies.

    With a state, it goes along the documents in that state, else along the invoices.
    """
    if wanted.state is not None:
        key, connection_id = Document.invoice_id, Document.connection_id
        query = select(key.label("id")).join(Invoice, Invoice.id == Document.invoice_id)
        query = query.where(Document.state == wanted.state)
    else:
        key, connection_id = Invoice.id, Invoice.connection_id
        query = select(key.label("id"))
    # Looked up for each: as a join it may become the table that is read first.
    lives_in = select(Connection.environment).where(Connection.id == connection_id)
    query = query.where(
        lives_in.correlate(Invoice, Document).scalar_subquery() == environment,
        condition(RECORDED),
        *_wanted(wanted),
    )
    if after is not None:
        query = query.where(key > after)
    return query.order_by(key)


def _companies_of(session: Session, supplier_id: int) -> Sequence[str]:
    """Return the companies that are this supplier's or were, so that no others' are read."""
    theirs = exists().where(
        Document.connection_id == Connection.id, Document.supplier_id == supplier_id
    )
    return session.scalars(
        select(Connection.id).where(or_(Connection.supplier_id == supplier_id, theirs))
    ).all()


def _wanted(wanted: InvoiceFilter) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = []
    if wanted.supplier_id is not None:
        chosen.append(_owner() == wanted.supplier_id)
    if wanted.held:
        held = select(Invoice.id).where(condition(HELD)).correlate(None)
        chosen.append(Invoice.id.in_(held))
    elif wanted.held is not None:
        chosen.append(~condition(HELD))
    if (since := wanted.changed_since) is not None:
        chosen.append(Invoice.id.in_(_changed(since)))
    return chosen


def _owner() -> ColumnElement[int]:
    """As `supplier_of`, looked up for each invoice."""
    here = select(Connection.supplier_id).where(Connection.id == Invoice.connection_id)
    there = select(Document.supplier_id).where(Document.invoice_id == Invoice.id)
    return func.coalesce(
        there.correlate(Invoice).scalar_subquery(), here.correlate(Invoice).scalar_subquery()
    )


def _changed(since: datetime) -> CompoundSelect[str]:
    """Return a query for the ids of what was recorded, or seen in Infactor, since then."""
    recorded = select(Invoice.id).where(Invoice.recorded_at >= since).correlate(None)
    seen = select(Document.invoice_id).where(Document.seen_at >= since).correlate(None)
    unseen = Document.seen_at.is_(None)
    written = select(Document.invoice_id).where(unseen, Document.written_at >= since)
    return union(recorded, seen, written.correlate(None))


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
    failed: int


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
    outgoing = infactor_outbox.backlog_of_each(session, ids)
    pending = _notices(session, ids, NoticeStatus.PENDING)
    failed = _notices(session, ids, NoticeStatus.FAILED)
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
            failed=failed.get(company.id, (0, None))[0],
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
        companies = _companies_of(session, wanted.supplier_id)
        owner = supplier_of() == wanted.supplier_id
        query = query.where(Finding.connection_id.in_(companies), owner)
    if before is not None:
        query = query.where(Finding.id < before)
    return [ListedFinding(*row) for row in session.execute(query)]
