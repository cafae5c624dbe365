"""The outbox: recorded invoices whose newest revision Infactor does not have yet, and receipts.

There is no queue: an invoice is outgoing while its delivered revision is below its recorded one. So
whatever is lost, or was recorded before Infactor's database was configured, is delivered anyway.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.orm import Session, aliased, defer

from service.database.tables import Connection, Document, Invoice, Receipt, Revision
from service.database.types import among, has_come
from service.database.upsert import Insert, excluded, insert_all, update_all
from service.domain import Action
from service.kit.clock import now

_OUTGOING = and_(
    Invoice.delivered_revision < Invoice.revision,
    # Those wait until somebody explains what Infactor's old import has of them.
    ~Invoice.old_rows_held,
)

# An old record that is delivered once more is due since that was asked for. The due time of a
# refused one is its next try.
_due_since = case(
    (Invoice.delivery_error.is_not(None), Invoice.recorded_at),
    else_=func.coalesce(Invoice.delivery_due_at, Invoice.recorded_at),
)


class Outgoing(NamedTuple):
    """What a delivery needs of a recorded invoice: the columns of `Invoice` by the same names.

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
    holds: list[Any]
    signals: list[Any]
    mapped: dict[str, Any] | None
    buyer_emails: list[Any]
    balance: Decimal | None
    currency: str | None
    customer_id: str | None
    adopted: str | None


_OUTGOING_COLUMNS = [getattr(Invoice, name) for name in Outgoing._fields]


def due(session: Session, connection_id: str, at: datetime, limit: int) -> list[Outgoing]:
    """Return the company's next invoices to deliver, in recording order."""
    rows = session.execute(
        select(*_OUTGOING_COLUMNS)
        .where(Invoice.connection_id == connection_id, _is_due(at))
        .order_by(Invoice.recorded_at, Invoice.id)
        .limit(limit)
    )
    return list(map(Outgoing._make, rows))


def due_connections(session: Session, environment: str, at: datetime) -> Sequence[str]:
    """Return the ids of connections that have something to deliver now."""
    waiting = select(Invoice.id).where(Invoice.connection_id == Connection.id, _is_due(at))
    return session.scalars(
        select(Connection.id).where(Connection.environment == environment, waiting.exists())
    ).all()


def _is_due(at: datetime) -> ColumnElement[bool]:
    return and_(_OUTGOING, has_come(Invoice.delivery_due_at, at))


@dataclass(slots=True)
class DeliveryProgress:
    """How far the delivery of one invoice is."""

    COLUMNS: ClassVar = (
        "id",
        "revision",
        "delivered_revision",
        "delivery_attempts",
        "delivery_due_at",
        "delivery_error",
        "delivery_warnings",
        "fixed",
        "fixed_at",
    )

    id: str
    revision: int
    delivered_revision: int
    delivery_attempts: int
    delivery_warnings: list[Any]
    fixed: list[Any]
    fixed_at: datetime | None
    delivery_due_at: datetime | None = None
    delivery_error: str | None = None

    def as_columns(self) -> dict[str, Any]:
        """Return the values by column name."""
        return {name: getattr(self, name) for name in self.COLUMNS}


def lock_invoices(session: Session, ids: Collection[str]) -> dict[str, Invoice]:
    """Return these invoices by id, locked for this transaction."""
    rows = session.scalars(
        select(Invoice).where(Invoice.id.in_(ids)).order_by(Invoice.id).with_for_update()
    )
    return {row.id: row for row in rows}


def lock_progress(session: Session, ids: Collection[str]) -> dict[str, DeliveryProgress]:
    """Return the progress of these invoices by id, locked for this transaction."""
    columns = (
        Invoice.id,
        Invoice.revision,
        Invoice.delivered_revision,
        Invoice.delivery_attempts,
        Invoice.delivery_warnings,
        Invoice.fixed,
        Invoice.fixed_at,
    )
    rows = session.execute(
        select(*columns).where(among(Invoice.id, ids)).order_by(Invoice.id).with_for_update()
    )
    return {row[0]: DeliveryProgress(*row) for row in rows}


def save_progress(session: Session, rows: Sequence[DeliveryProgress]) -> None:
    """Store how far these deliveries are."""
    update_all(session, Invoice, [row.as_columns() for row in rows])


def save_documents(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or replace what was seen of these documents."""
    if rows:
        insert_all(session, Document, rows, _replace_documents)


def _replace_documents(statement: Insert) -> Insert:
    columns = [column.name for column in Document.__table__.columns if not column.primary_key]
    return statement.on_conflict_do_update(
        index_elements=[Document.invoice_id], set_=excluded(statement, *columns)
    )


def documents_of(session: Session, ids: Collection[str]) -> dict[str, Document]:
    """Return what was last seen of these invoices in Infactor's own database, by id."""
    rows = session.scalars(
        select(Document).where(among(Document.invoice_id, ids), Document.seen_at.is_not(None))
    )
    return {row.invoice_id: row for row in rows}


def deliver_again(session: Session, ids: Collection[str]) -> None:
    """Let the newest revision of these invoices be delivered once more.

    A document that is at this revision already stays as it is; see `deliver_as_new_revision`.
    """
    session.execute(update(Invoice).where(Invoice.id.in_(ids)).values(_due_again()))


def deliver_as_new_revision(session: Session, ids: Collection[str]) -> None:
    """Let these invoices be delivered as a new revision, also over documents at the present one."""
    anew = {"revision": Invoice.revision + 1, **_due_again()}
    session.execute(update(Invoice).where(Invoice.id.in_(ids)).values(anew))


def _due_again() -> dict[str, Any]:
    # Due from now on: however old the record is, its delivery is not late.
    return {"delivered_revision": 0, "delivery_due_at": now(), "delivery_attempts": 0}


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many invoices are outgoing, since when the oldest, and how many were refused."""

    count: int
    oldest: datetime | None
    refused: int


def backlog(session: Session, environment: str, connection_id: str | None = None) -> Backlog:
    """Return the backlog of the environment or of one company; it reads only the partial index."""
    count, oldest, refused = session.execute(
        select(func.count(), func.min(_due_since), func.count(Invoice.delivery_error))
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(Connection.environment == environment, _OUTGOING, *_of(connection_id))
    ).one()
    return Backlog(count, oldest, refused)


def _of(connection_id: str | None) -> list[ColumnElement[bool]]:
    return [] if connection_id is None else [Invoice.connection_id == connection_id]


def has_late_deliveries(before: datetime) -> ColumnElement[bool]:
    """A condition: an invoice of the company is outgoing since `before`, or was refused."""
    late = select(Invoice.id).where(
        Invoice.connection_id == Connection.id,
        _OUTGOING,
        or_(_due_since <= before, Invoice.delivery_error.is_not(None)),
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
            Invoice.connection_id,
            func.count(),
            func.min(_due_since),
            func.count(Invoice.delivery_error),
            func.min(Invoice.delivery_error),
        )
        .where(_OUTGOING, Invoice.connection_id.in_(connection_ids))
        .group_by(Invoice.connection_id)
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
        select(Invoice.connection_id)
        .join(Receipt, Receipt.invoice_id == Invoice.id)
        .where(*receipts_since(before))
    )
    count, oldest, refused = session.execute(
        select(func.count(), func.min(_due_since), func.count(Invoice.delivery_error))
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(
            Connection.environment == environment,
            _OUTGOING,
            _due_since <= before,
            Invoice.delivery_error.is_(None),
            Invoice.connection_id.not_in(moving),
        )
    ).one()
    return Backlog(count, oldest, refused)


def refused_invoices(
    session: Session, environment: str, connection_id: str | None = None
) -> tuple[int, Invoice | None]:
    """Return how many invoices Infactor refused, and the one recorded first."""
    of_ours = (
        select(Invoice)
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(Connection.environment == environment, _OUTGOING, *_of(connection_id))
        .where(Invoice.delivery_error.is_not(None))
        .options(defer(Invoice.source), defer(Invoice.mapped))
    )
    first = session.scalars(of_ours.order_by(Invoice.recorded_at, Invoice.id).limit(1)).first()
    if first is None:
        return 0, None
    return session.execute(select(func.count()).select_from(of_ours.subquery())).scalar_one(), first


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


def count_by_outcome(session: Session, since: datetime) -> dict[str, int]:
    rows = session.execute(
        select(Receipt.outcome, func.count())
        .where(*receipts_since(since))
        .group_by(Receipt.outcome)
    )
    return {outcome: count for outcome, count in rows}


def receipts_since(since: datetime) -> tuple[ColumnElement[bool], ...]:
    """A condition: the receipt is from then or later.

    Receipts are numbered as they come, so the last older one is found from the newest back; `at`
    has no index.
    """
    older = aliased(Receipt)
    last = select(older.id).where(older.at < since).order_by(older.id.desc()).limit(1)
    return (Receipt.id > func.coalesce(last.scalar_subquery(), 0),)
