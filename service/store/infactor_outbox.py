"""The outbox: recorded invoices whose newest revision Infactor does not have yet, and receipts.

There is no queue: an invoice is outgoing while its delivered revision is below its recorded one. So
whatever is lost, or was recorded before Infactor's database was configured, is delivered anyway.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Text,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    null,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session, aliased, defer, joinedload
from sqlalchemy.sql.base import ExecutableOption

from service.database.tables import (
    Connection,
    DeliveryState,
    Document,
    Invoice,
    Receipt,
    Revision,
)
from service.database.tables.invoices import OLD_ROWS_HELD
from service.database.types import Instant, among, condition, has_come
from service.database.upsert import (
    Insert,
    excluded,
    insert_all,
    insert_for,
    rows_given,
    rows_text,
    update_all,
)
from service.domain import Action, State
from service.kit import exact_json
from service.kit.clock import now
from service.store import connections

OUTGOING = and_(
    DeliveryState.delivered_revision < DeliveryState.revision,
    # Those wait until somebody explains what Infactor's old import has of them.
    DeliveryState.invoice_id.not_in(select(Invoice.id).where(condition(OLD_ROWS_HELD))),
)
"""A condition: Infactor does not have the newest revision."""

CLOCKS_DIFFER = timedelta(minutes=10)
"""The clocks of two machines, and one that is corrected, differ by less; no transaction takes as
long.
"""

# An old record that is delivered once more is due since that was asked for. The due time of a
# refused one is its next try.
_due_since = case(
    (DeliveryState.error.is_not(None), DeliveryState.recorded_at),
    else_=func.coalesce(DeliveryState.due_at, DeliveryState.recorded_at),
)


class RecordedRevision(NamedTuple):
    """A revision of an invoice: the columns of its DeliveryState by their names."""

    invoice_id: str
    connection_id: str
    revision: int
    recorded_at: datetime


def add(session: Session, recorded: Sequence[RecordedRevision]) -> None:
    """Let these revisions be delivered; their companies are locked, and the invoices are stored."""
    if recorded:
        insert_all(session, DeliveryState, [one._asdict() for one in recorded], _replace_revision)


def _replace_revision(statement: Insert) -> Insert:
    # Due at once: what was refused of an earlier one says nothing of this one, which may withdraw.
    anew = {"due_at": null(), "attempts": 0}
    return statement.on_conflict_do_update(
        index_elements=[DeliveryState.invoice_id],
        set_={**excluded(statement, "revision", "recorded_at"), **anew},
    )


class Outgoing(NamedTuple):
    """What a delivery needs of a recorded invoice: columns of it and its state by the same names,
    and the texts of what is JSON and seldom looked at.

    Not an `Invoice`, because SQLAlchemy takes longer to make one than Infactor to store it.
    """

    id: str
    connection_id: str
    quickbooks_id: str
    revision: int
    delivered_revision: int
    recorded_at: datetime
    deleted: bool
    hold: str | None
    holds_text: str
    signals_text: str
    mapped_text: str | None
    buyer_emails: list[Any]
    balance: Decimal | None
    currency: str | None
    customer_id: str | None
    adopted: str | None
    delivery_warnings: list[Any]

    # Decoded each time: most are never looked at.
    @property
    def mapped(self) -> dict[str, Any] | None:
        return None if self.mapped_text is None else exact_json.decode(self.mapped_text)

    @property
    def holds(self) -> list[Any]:
        found: list[Any] = exact_json.decode(self.holds_text)
        return found

    @property
    def signals(self) -> list[Any]:
        found: list[Any] = exact_json.decode(self.signals_text)
        return found


_NOT_OF_INVOICE: dict[str, ColumnElement[Any]] = {
    "delivered_revision": DeliveryState.delivered_revision.expression,
    "holds_text": type_coerce(Invoice.holds, Text),
    "signals_text": type_coerce(Invoice.signals, Text),
    "mapped_text": type_coerce(Invoice.mapped, Text),
}
_OUTGOING_COLUMNS = [
    _NOT_OF_INVOICE[name] if name in _NOT_OF_INVOICE else getattr(Invoice, name)
    for name in Outgoing._fields
]


def due(session: Session, connection_id: str, at: datetime, limit: int) -> list[Outgoing]:
    """Return the company's next invoices to deliver, in recording order."""
    rows = session.execute(
        select(*_OUTGOING_COLUMNS)
        .join(DeliveryState, DeliveryState.invoice_id == Invoice.id)
        .where(DeliveryState.connection_id == connection_id, _is_due(at))
        .order_by(DeliveryState.recorded_at, DeliveryState.invoice_id)
        .limit(limit)
    )
    return list(map(Outgoing._make, rows))


def due_connections(session: Session, environment: str, at: datetime) -> Sequence[str]:
    """Return the ids of connections that have something to deliver now."""
    waiting = select(DeliveryState.invoice_id).where(
        DeliveryState.connection_id == Connection.id, _is_due(at)
    )
    return session.scalars(
        select(Connection.id).where(Connection.environment == environment, waiting.exists())
    ).all()


def _is_due(at: datetime) -> ColumnElement[bool]:
    return and_(OUTGOING, has_come(DeliveryState.due_at, at))


@dataclass(slots=True)
class DeliveryProgress:
    """How far the delivery of one invoice is: the columns of its DeliveryState by their names."""

    COLUMNS: ClassVar = ("invoice_id", "delivered_revision", "attempts", "due_at", "error")

    invoice_id: str
    revision: int
    recorded_at: datetime
    delivered_revision: int
    attempts: int
    due_at: datetime | None
    error: str | None

    def follows(self, revision: int, recorded_at: datetime) -> bool:
        """Return whether this is of the record that had this revision at this time, or a later one.

        Else the company was forgotten and imported anew since, and the record counts from 1 again.
        """
        return self.revision > revision or self.recorded_at == recorded_at

    def as_columns(self) -> dict[str, Any]:
        """Return the values by column name."""
        return {name: getattr(self, name) for name in self.COLUMNS}


def lock_invoices(session: Session, connection_id: str, ids: Collection[str]) -> dict[str, Invoice]:
    """Lock the company; return these invoices of it by id, with their `delivery`."""
    connections.lock(session, connection_id)
    rows = session.scalars(select(Invoice).where(among(Invoice.id, ids)).options(with_delivery()))
    return {row.id: row for row in rows}


def with_delivery() -> ExecutableOption:
    """An option for a query of invoices: each with its `delivery`."""
    return joinedload(Invoice.delivery, innerjoin=True)


def progress(session: Session, ids: Collection[str]) -> dict[str, DeliveryProgress]:
    """Return the progress of these invoices of a locked company, by id."""
    columns = (
        DeliveryState.invoice_id,
        DeliveryState.revision,
        DeliveryState.recorded_at,
        DeliveryState.delivered_revision,
        DeliveryState.attempts,
        DeliveryState.due_at,
        DeliveryState.error,
    )
    rows = session.execute(select(*columns).where(among(DeliveryState.invoice_id, ids)))
    return {row[0]: DeliveryProgress(*row) for row in rows}


def save_progress(session: Session, rows: Sequence[DeliveryProgress]) -> None:
    """Store how far these deliveries are; the company is locked."""
    update_all(session, DeliveryState, [row.as_columns() for row in rows], key="invoice_id")


def save_revisions(session: Session, revisions: Mapping[str, int]) -> None:
    """Let these invoices be at other revisions; the company is locked."""
    for table, key in ((Invoice, "id"), (DeliveryState, "invoice_id")):
        rows = [{key: id_, "revision": revision} for id_, revision in sorted(revisions.items())]
        update_all(session, table, rows, key)


def save_warnings(session: Session, warnings: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
    """Store what Infactor's own database alone shows of these invoices, by id.

    They are in the invoice's own row, because the supplier's list has an index of what is to fix.
    """
    rows = [{"id": id_, "delivery_warnings": those} for id_, those in sorted(warnings.items())]
    update_all(session, Invoice, rows)


def save_documents(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or replace what was seen of these documents."""
    if rows:
        insert_all(session, Document, rows, _replace_documents)


def _replace_documents(statement: Insert) -> Insert:
    columns = [column.name for column in Document.__table__.columns if not column.primary_key]
    return statement.on_conflict_do_update(
        index_elements=[Document.invoice_id], set_=excluded(statement, *columns)
    )


def copy_mapped(
    session: Session, revisions: Mapping[str, int], supplier_id: int, at: datetime
) -> bool:
    """Let documents be last seen as they were just created: as these invoices are mapped.

    `revisions` are those that were delivered, by invoice id, of one company, which is locked. What
    is mapped changes only with its revision, or is gone; return whether every invoice still is at
    its own. No text goes to the database that it has already.
    """
    if not revisions:
        return True
    rows = [{"id": id_, "revision": revision} for id_, revision in revisions.items()]
    given = {"rows": rows_text(rows), "supplier_id": supplier_id, "at": at}
    copied = session.connection().execute(_copy(session.get_bind().dialect.name), given)
    return copied.rowcount == len(rows)


@cache
def _copy(dialect: str) -> Executable:
    given = rows_given(dialect, Invoice, ("id", "revision"))
    at = bindparam("at", type_=Instant)
    columns: dict[str, Any] = {
        "invoice_id": Invoice.id,
        "connection_id": Invoice.connection_id,
        "supplier_id": bindparam("supplier_id", type_=BigInteger),
        "state": literal(State.INVOICE_CREATED.value),
        "document": Invoice.mapped,
        "withdrawn": false(),
        "marked": false(),
        "total": Invoice.total,
        "revision": Invoice.revision,
        "written_at": at,
        "balance": Invoice.balance,
        "currency": Invoice.currency,
        "customer_id": Invoice.customer_id,
        "seen_at": at,
    }
    unchanged = and_(Invoice.id == given.c.id, Invoice.revision == given.c.revision)
    rows = select(*columns.values()).where(unchanged, Invoice.mapped.is_not(None))
    copies = _replace_documents(insert_for(dialect, Document).from_select([*columns], rows))
    return copies.execution_options(preserve_rowcount=True)


def documents_of(session: Session, ids: Collection[str]) -> dict[str, Document]:
    """Return what was last seen of these invoices in Infactor's own database, by id."""
    rows = session.scalars(
        select(Document).where(among(Document.invoice_id, ids), Document.seen_at.is_not(None))
    )
    return {row.invoice_id: row for row in rows}


def deliver_again(session: Session, ids: Collection[str]) -> None:
    """Let the newest revision of these invoices be delivered once more.

    Where one is known to differ from it, `deliver_as_new_revision` takes one delivery instead of
    two: the first would only learn that the document is at this revision already.
    """
    states = update(DeliveryState).where(DeliveryState.invoice_id.in_(ids))
    session.execute(states.values(_due_again()))


def deliver_as_new_revision(session: Session, ids: Collection[str]) -> None:
    """Let these invoices be delivered as a new revision, over documents at the present one."""
    anew = {"revision": Invoice.revision + 1}
    session.execute(update(Invoice).where(Invoice.id.in_(ids)).values(anew))
    states = update(DeliveryState).where(DeliveryState.invoice_id.in_(ids))
    session.execute(states.values(revision=DeliveryState.revision + 1, **_due_again()))


def _due_again() -> dict[str, Any]:
    # Due from now on: however old the record is, its delivery is not late.
    return {"delivered_revision": 0, "due_at": now(), "attempts": 0}


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many invoices are outgoing, since when the oldest, and how many were refused."""

    count: int
    oldest: datetime | None
    refused: int


_BACKLOG = (func.count(), func.min(_due_since), func.count(DeliveryState.error))


def backlog(session: Session, environment: str, connection_id: str | None = None) -> Backlog:
    """Return the backlog of the environment or of one company; it reads only the partial index."""
    count, oldest, refused = session.execute(
        select(*_BACKLOG)
        .join(Connection, Connection.id == DeliveryState.connection_id)
        .where(Connection.environment == environment, OUTGOING, *_of(connection_id))
    ).one()
    return Backlog(count, oldest, refused)


def _of(connection_id: str | None) -> list[ColumnElement[bool]]:
    return [] if connection_id is None else [DeliveryState.connection_id == connection_id]


def has_late_deliveries(before: datetime) -> ColumnElement[bool]:
    """A condition: an invoice of the company is outgoing since `before`, or was refused."""
    late = select(DeliveryState.invoice_id).where(
        DeliveryState.connection_id == Connection.id,
        OUTGOING,
        or_(_due_since <= before, DeliveryState.error.is_not(None)),
    )
    return late.exists()


@dataclass(frozen=True, slots=True)
class CompanyBacklog(Backlog):
    """The backlog of one company, and one of the errors if any invoice was refused."""

    error: str


def backlog_of_each(session: Session, connection_ids: Collection[str]) -> dict[str, CompanyBacklog]:
    """Return the backlog of those of these companies that have one, by connection id."""
    rows = session.execute(
        select(
            DeliveryState.connection_id,
            *_BACKLOG,
            func.min(DeliveryState.error),
        )
        .where(OUTGOING, DeliveryState.connection_id.in_(connection_ids))
        .group_by(DeliveryState.connection_id)
    )
    return {
        connection_id: CompanyBacklog(count, oldest, refused, error or "")
        for connection_id, count, oldest, refused, error in rows
    }


def stuck_backlog(session: Session, environment: str, before: datetime) -> Backlog:
    """Return what is outgoing since `before`, of companies of which nothing was delivered since.

    Where something is delivered it is a long queue, not a stuck one. Refused invoices do not count.
    """
    moving = (
        select(DeliveryState.connection_id)
        .join(Receipt, Receipt.invoice_id == DeliveryState.invoice_id)
        .where(*receipts_since(before))
    )
    count, oldest, refused = session.execute(
        select(*_BACKLOG)
        .join(Connection, Connection.id == DeliveryState.connection_id)
        .where(
            Connection.environment == environment,
            OUTGOING,
            _due_since <= before,
            DeliveryState.error.is_(None),
            DeliveryState.connection_id.not_in(moving),
        )
    ).one()
    return Backlog(count, oldest, refused)


def refused_invoices(
    session: Session, environment: str, connection_id: str | None = None
) -> tuple[int, Invoice | None]:
    """Return how many invoices Infactor refused, and the first recorded with its `delivery`."""
    of_ours = (
        select(DeliveryState.invoice_id)
        .join(Connection, Connection.id == DeliveryState.connection_id)
        .where(Connection.environment == environment, OUTGOING, *_of(connection_id))
        .where(DeliveryState.error.is_not(None))
    )
    first = of_ours.order_by(DeliveryState.recorded_at, DeliveryState.invoice_id).limit(1)
    invoice = session.scalars(
        select(Invoice)
        .where(Invoice.id == first.scalar_subquery())
        .options(defer(Invoice.source), defer(Invoice.mapped), with_delivery())
    ).first()
    if invoice is None:
        return 0, None
    count = session.execute(select(func.count()).select_from(of_ours.subquery())).scalar_one()
    return count, invoice


def add_receipts(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        insert_all(session, Receipt, rows)


def fields_written_since(
    session: Session, ids: Collection[str], since: datetime
) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Return {invoice id: {field: (before, after)}} of deliveries since; None where unknown."""
    recent: dict[str, list[Receipt]] = {}
    for receipt in session.scalars(
        select(Receipt)
        .where(
            Receipt.invoice_id.in_(ids),
            Receipt.at >= since,
            Receipt.outcome.in_((Action.REFRESH.past, Action.RESTORE.past)),
        )
        .order_by(Receipt.id)
    ):
        recent.setdefault(receipt.invoice_id, []).append(receipt)
    return {invoice_id: _written(session, those) for invoice_id, those in recent.items()}


def _written(session: Session, receipts: Sequence[Receipt]) -> dict[str, tuple[Any, Any]]:
    """Return {field: (before, after)} of these receipts of one invoice, the oldest first."""
    first, last = receipts[0], receipts[-1]
    before = select(func.max(Receipt.revision)).where(
        Receipt.invoice_id == first.invoice_id, Receipt.id < first.id
    )
    history = session.scalars(
        select(Revision)
        .where(
            Revision.invoice_id == first.invoice_id,
            Revision.number > func.coalesce(before.scalar_subquery(), 0),
            Revision.number <= last.revision,
        )
        .order_by(Revision.number)
    ).all()
    values: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys(name for receipt in receipts for name in receipt.changed):
        known = [revision.changes[name] for revision in history if revision.changes.get(name)]
        values[name] = (known[0][0], known[-1][1]) if known else (None, None)
    return values


def hold_at(session: Session, invoice_id: str, revision: int) -> str | None:
    """Return the hold that the invoice had at this revision."""
    # A revision for a repeated delivery alone is not in the history: the one before it is.
    return session.scalars(
        select(Revision.hold)
        .where(Revision.invoice_id == invoice_id, Revision.number <= revision)
        .order_by(Revision.number.desc())
        .limit(1)
    ).first()


def receipts_since(since: datetime) -> tuple[ColumnElement[bool], ...]:
    """A condition: the receipt is from then or later.

    Receipts are numbered nearly as they come, so the last one that is well older is found from the
    newest back; `at` has no index.
    """
    older = aliased(Receipt)
    well_before = since - CLOCKS_DIFFER
    last = select(older.id).where(older.at < well_before).order_by(older.id.desc()).limit(1)
    return (Receipt.id > func.coalesce(last.scalar_subquery(), 0), Receipt.at >= since)
