"""Invoices as last read, their revisions, and Infactor's documents while they are kept here."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, cached_property
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict
from sqlalchemy import (
    ColumnElement,
    Executable,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.database.engine import rows_of
from service.database.tables import Connection, Document, Invoice, Revision
from service.database.types import among, database_now
from service.database.upsert import (
    Insert,
    Rule,
    chunked,
    excluded,
    insert_all,
    rows_given,
    rows_text,
    update_all,
)
from service.kit import exact_json
from service.store import infactor_outbox
from service.store.infactor_outbox import RecordedRevision

NAMES = ("number_key", "due_key", "sought")

# An index takes 2,700 bytes of a row, and a character has up to four.
_LONGEST_BUYER = 200
_LONGEST_NUMBER = 100
_DIGITS = re.compile("[0-9]+")

NUMBER_WIDTH = 12
"""How many digits a number within an invoice's number has, where it is sorted by it."""

NO_DUE_KEY = "~"
"""Sorts after every date."""

_IDENTITY = frozenset({"id", "connection_id", "quickbooks_id"})


class InvoiceRow(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A row of an invoice; `source_text` is its source as JSON, where that is known already."""

    id: str
    connection_id: str
    quickbooks_id: str
    sync_token: int
    last_updated: datetime | None
    fetch_number: int
    digest: str = ""
    deleted: bool
    void_noticed: bool
    source: dict[str, Any]
    mapped: dict[str, Any] | None
    facts: str = ""
    hold: str | None
    holds: list[Any] = []
    signals: list[Any] = []
    warnings: list[Any]
    customer_id: str | None
    customer_versions: str
    doc_number: str
    total: Decimal | None
    balance: Decimal | None
    currency: str | None
    created_ms: int
    revision: int
    recorded_at: datetime
    buyer_emails: list[Any]
    twin_number: int | None = None
    twin_buyer: int | None = None
    twin_name: int | None = None
    twin_email: int | None = None
    source_text: bytes | None = None

    @cached_property
    def mapped_text(self) -> msgspec.Raw | None:
        """The mapped invoice as JSON, which is stored more than once."""
        return None if self.mapped is None else exact_json.encoded(self.mapped)

    def columns(self) -> dict[str, Any]:
        """Return the values by column name, with the columns `NAMES` and `first_total`.

        What is recorded already keeps its own `first_total`.
        """
        values = asdict(self) | keys(self.mapped)
        values["mapped"] = self.mapped_text
        values["first_total"] = self.total
        text = values.pop("source_text")
        if text is not None:
            values["source"] = msgspec.Raw(text)
        return values


COLUMNS = tuple(name for name in InvoiceRow.__struct_fields__ if name != "source_text")
"""The columns of the table that an InvoiceRow gives as they are."""


def load(session: Session, ids: Collection[str]) -> dict[str, InvoiceRow]:
    """Return the recorded invoices among `ids`, by id.

    No `Invoice` of SQLAlchemy's, which takes longer to make than its row to read.
    """
    if not ids:
        return {}
    found = rows_of(session, _LOAD, {"ids": list(ids)})
    loaded = (InvoiceRow(**dict(zip(COLUMNS, values, strict=True))) for values in found)
    return {row.id: row for row in loaded}


_LOAD = select(*(getattr(Invoice, name) for name in COLUMNS)).where(among(Invoice.id, "ids"))


@dataclass(frozen=True, slots=True)
class RecordedVersion:
    """What decides whether a recorded invoice has to be mapped again."""

    digest: str
    hold: str | None
    void_noticed: bool


def lock_versions(session: Session, ids: Collection[str]) -> dict[str, RecordedVersion]:
    """Return what is recorded among `ids`, which nobody else changes in this transaction."""
    found = rows_of(session, _LOCK_VERSIONS, {"ids": list(ids)})
    return {id_: RecordedVersion(digest, hold, void) for id_, digest, hold, void in found}


_LOCK_VERSIONS = (
    select(Invoice.id, Invoice.digest, Invoice.hold, Invoice.void_noticed)
    .where(among(Invoice.id, "ids"))
    .order_by(Invoice.id)
    .with_for_update()
)


def keep_digests(session: Session, digests: Mapping[str, str]) -> None:
    """Store the digests, by invoice id, of reads that would change nothing."""
    rows = [{"id": id_, "digest": digest} for id_, digest in sorted(digests.items())]
    update_all(session, Invoice, rows)


def upsert_if_newer(
    session: Session,
    rows: Sequence[InvoiceRow],
    *,
    remap: bool = False,
    overrule: bool = False,
) -> set[str]:
    """Write those rows that are newer than what is recorded, and return their ids.

    Those are in the outbox then.

    With `remap` a row of the very same read is accepted too: the same invoice, mapped again. With
    `overrule` the later read counts as newer, whatever versions QuickBooks gave.
    """
    accepted: set[str] = set()
    session.flush()
    newer = _if_newer_or_remapped if remap else _if_newer
    rule: Rule = _if_read_later if overrule else newer
    for chunk in chunked(sorted(rows, key=lambda row: row.id)):
        written = insert_all(session, Invoice, [row.columns() for row in chunk], rule)
        newer_ones = {id_ for (id_,) in written}
        infactor_outbox.add(session, [_revision(row) for row in chunk if row.id in newer_ones])
        accepted |= newer_ones
    return accepted


def _revision(row: InvoiceRow) -> RecordedRevision:
    return RecordedRevision(row.id, row.connection_id, row.revision, row.recorded_at)


def _if_newer(statement: Insert) -> Executable:
    return _replace_if(statement, _is_newer(statement.excluded, remap=False))


def _if_newer_or_remapped(statement: Insert) -> Executable:
    return _replace_if(statement, _is_newer(statement.excluded, remap=True))


def _if_read_later(statement: Insert) -> Executable:
    return _replace_if(statement, statement.excluded.fetch_number > Invoice.fetch_number)


def _replace_if(statement: Insert, is_newer: ColumnElement[bool]) -> Executable:
    changed = [name for name in (*COLUMNS, *NAMES) if name not in _IDENTITY]
    return statement.on_conflict_do_update(
        index_elements=[Invoice.id],
        set_={
            **excluded(statement, *changed),
            "first_total": func.coalesce(Invoice.first_total, statement.excluded.first_total),
            "settled_at": _settled_at(statement.excluded),
        },
        where=is_newer,
    ).returning(Invoice.id)


def _settled_at(new: Any) -> ColumnElement[float | None]:
    """Return this moment if the balance has just become 0, None while something is due."""
    nothing: ColumnElement[Any] = literal_column("0")  # a parameter would count as a row's value
    return case(
        (new.balance > nothing, null()),
        (and_(Invoice.balance > nothing, new.balance <= nothing), database_now()),
        else_=Invoice.settled_at,
    )


def _is_newer(new: Any, *, remap: bool) -> ColumnElement[bool]:
    """A condition: the row may replace the recorded one. No clocks of two machines are compared.

    A higher version wins; equal versions are ordered by fetch number, because a payment may move
    the balance alone. A deletion has no version: it is ordered by fetch number only. So are equal
    tokens of which QuickBooks has said a time that is not believed.
    """
    later_read = (
        new.fetch_number >= Invoice.fetch_number
        if remap
        else new.fetch_number > Invoice.fetch_number
    )
    same_token = new.sync_token == Invoice.sync_token
    return or_(
        and_(or_(Invoice.deleted, new.deleted), later_read),
        and_(
            ~Invoice.deleted,
            ~new.deleted,
            or_(
                new.sync_token > Invoice.sync_token,
                and_(same_token, new.last_updated > Invoice.last_updated),
                and_(same_token, ~_differ(new.last_updated, Invoice.last_updated), later_read),
            ),
        ),
    )


def _differ(
    one: ColumnElement[Any], other: InstrumentedAttribute[datetime | None]
) -> ColumnElement[bool]:
    """Say that both times are believed, and are not the same."""
    return and_(one.is_not(None), other.is_not(None), one != other)


def add_revisions(session: Session, revisions: Iterable[dict[str, Any]]) -> None:
    rows = list(revisions)
    if rows:
        insert_all(session, Revision, rows)


def keys(mapped: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the columns `NAMES`, for sorting and searching, of an invoice mapped like this.

    `sought` is empty exactly if it is not mapped.
    """
    found = mapped or {}
    number, buyer, due = (
        str(found.get(name) or "") for name in ("invoiceNo", "companyName", "payableDate")
    )
    sought = f"{folded(buyer)[:_LONGEST_BUYER]}\n{folded(number)[:_LONGEST_NUMBER]}"
    return {
        "number_key": number_key(number),
        "due_key": due[:10] or NO_DUE_KEY,
        "sought": "" if mapped is None else sought,
    }


def number_key(number: str) -> str:
    """Return the text by which a number is sorted: its digits are as wide as `NUMBER_WIDTH`."""
    return _natural(folded(number)[:_LONGEST_NUMBER])


def note_fixed(
    session: Session, warnings: Mapping[str, Sequence[Mapping[str, str]]], at: datetime
) -> None:
    """Keep the warnings of these invoices from before one of them was fixed, for their supplier."""
    rows = [{"id": i, "fixed": before, "fixed_at": at} for i, before in sorted(warnings.items())]
    update_all(session, Invoice, rows)


def numbers_before(session: Session, connection_id: str, keys: Collection[str]) -> dict[str, str]:
    """Return the number key before each of these, of the company's recorded invoices."""
    found: dict[str, str] = {}
    query = _numbers_before(session.get_bind().dialect.name)
    for chunk in chunked(sorted(keys)):
        given = rows_text([{"number_key": key} for key in chunk])
        answers = rows_of(session, query, {"company": connection_id, "rows": given})
        found |= {key: earlier for key, earlier in answers if earlier is not None}
    return found


@cache
def _numbers_before(dialect: str) -> Select[str, str | None]:
    given = rows_given(dialect, Invoice, ("number_key",))
    before = (
        select(Invoice.number_key)
        .where(
            Invoice.connection_id == bindparam("company"),
            Invoice.number_key < given.c.number_key,
        )
        .order_by(Invoice.number_key.desc())
        .limit(1)
        .scalar_subquery()
    )
    return select(given.c.number_key, before)


def folded(text: str) -> str:
    """Return the text in one case, with single spaces."""
    return " ".join(text.casefold().split())


def _natural(number: str) -> str:
    """Return a text that sorts 9 before 10, whatever stands before or after."""
    padded = _DIGITS.sub(lambda digits: digits[0].lstrip("0").rjust(NUMBER_WIDTH, "0"), number)
    return padded[:_LONGEST_NUMBER]


class LockedDocument(NamedTuple):
    """What decides what an invoice does to its document in Infactor."""

    document: dict[str, Any]
    supplier_id: int


def documents(session: Session, ids: Collection[str]) -> dict[str, LockedDocument]:
    """Return Infactor's documents among `ids`, by id, locked for this transaction."""
    found = rows_of(session, _LOCK_DOCUMENTS, {"ids": list(ids)})
    return {id_: LockedDocument(document, owner) for id_, document, owner in found}


_LOCK_DOCUMENTS = (
    select(Document.invoice_id, Document.document, Document.supplier_id)
    .where(among(Document.invoice_id, "ids"))
    .order_by(Document.invoice_id)
    .with_for_update()
)


def document_states(session: Session, ids: Collection[str]) -> dict[str, tuple[str, bool]]:
    """Return (state, whether we have withdrawn it) of Infactor's documents among `ids`, by id."""
    rows = session.execute(
        select(Document.invoice_id, Document.state, Document.withdrawn).where(
            among(Document.invoice_id, ids)
        )
    )
    return {id_: (state, withdrawn) for id_, state, withdrawn in rows}


def offered(session: Session, ids: Collection[str]) -> set[str]:
    """Return those of `ids` that have a document in Infactor."""
    if not ids:
        return set()
    return set(rows_of(session, _OFFERED, {"ids": list(ids)}).scalars())


_OFFERED = select(Document.invoice_id).where(among(Document.invoice_id, "ids"))


def write_documents(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Create or replace documents, unless a newer revision is there; nobody has seen these in
    Infactor's own database.
    """
    if rows:
        insert_all(session, Document, rows, _replace_document)


def _replace_document(statement: Insert) -> Insert:
    columns = (
        *("supplier_id", "state", "document", "withdrawn", "marked", "total", "currency"),
        *("revision", "written_at"),
    )
    return statement.on_conflict_do_update(
        index_elements=[Document.invoice_id],
        set_={**excluded(statement, *columns), "seen_at": null()},
        where=statement.excluded.revision >= Document.revision,
    )


def recorded(session: Session, ids: Collection[str]) -> set[str]:
    """Return those of `ids` that are recorded, of whatever company."""
    known: set[str] = set()
    for chunk in chunked(sorted(ids)):
        known |= set(session.scalars(select(Invoice.id).where(among(Invoice.id, chunk))))
    return known


def of_customers(
    session: Session,
    connection_id: str,
    customer_ids: Collection[str],
    *,
    after: str = "",
    limit: int | None = None,
) -> Sequence[tuple[str, str, str | None]]:
    """Return (invoice id, QuickBooks Id, customer's Id) of these customers' existing invoices, in
    the order of their ids, those behind `after`.
    """
    columns = (Invoice.id, Invoice.quickbooks_id, Invoice.customer_id)
    theirs = select(*columns).where(
        Invoice.connection_id == connection_id,
        Invoice.customer_id.in_(customer_ids),
        ~Invoice.deleted,
        Invoice.id > after,
    )
    return session.execute(theirs.order_by(Invoice.id).limit(limit)).all()


def not_deleted(
    session: Session, connection_id: str, quickbooks_ids: Collection[str]
) -> Sequence[str]:
    """Return those of these QuickBooks Ids that are recorded as existing."""
    return session.scalars(
        select(Invoice.quickbooks_id).where(
            Invoice.connection_id == connection_id,
            among(Invoice.quickbooks_id, quickbooks_ids),
            ~Invoice.deleted,
        )
    ).all()


def numbered(session: Session, connection_ids: Collection[str], number: str) -> Sequence[str]:
    """Return the QuickBooks Ids of the invoices of these companies with this number."""
    return session.scalars(
        select(Invoice.quickbooks_id)
        .where(Invoice.doc_number == number, Invoice.connection_id.in_(connection_ids))
        .distinct()
        .order_by(Invoice.quickbooks_id)
    ).all()


def count_recorded(session: Session, connection_id: str, since: datetime | None) -> int:
    """Return how many invoices of the company are recorded as existing, changed since then.

    From the whole second on, as QuickBooks counts them; it counts times ahead, too.
    """
    query = select(func.count()).where(Invoice.connection_id == connection_id, ~Invoice.deleted)
    if since is not None:
        changed_since = Invoice.last_updated >= since.replace(microsecond=0)
        query = query.where(or_(Invoice.last_updated.is_(None), changed_since))
    return session.execute(query).scalar_one()


def note_withdrawn(session: Session, ids: Collection[str]) -> None:
    """Note that these invoices are withdrawn at this moment."""
    if ids:
        theirs = update(Invoice).where(among(Invoice.id, ids))
        session.execute(theirs.values(withdrawn_at=database_now()))


def count_withdrawn(session: Session, connection_id: str, seconds: float) -> int:
    """Return how many invoices of the company were withdrawn in the last so many seconds.

    What the database's clock put into the future before it was set back counts no longer than that.
    """
    now = database_now()
    return session.execute(
        select(func.count()).where(
            Invoice.connection_id == connection_id,
            Invoice.withdrawn_at.between(now - seconds, now + seconds),
        )
    ).scalar_one()


def page(
    session: Session,
    connection_ids: Collection[str],
    *,
    held: bool = True,
    shown_to: int | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Sequence[tuple[Invoice, Document | None]]:
    """Return invoices with their Infactor documents, the newest first.

    Without `held`, invoices without a document are left out. With `shown_to`, those that are in
    Infactor in another supplier's name.
    """
    query = (
        select(Invoice, Document)
        .join(Document, Document.invoice_id == Invoice.id, isouter=held)
        .where(Invoice.connection_id.in_(connection_ids), Invoice.mapped.is_not(None))
        .order_by(Invoice.created_ms.desc(), Invoice.id)
        .offset(offset)
    )
    if shown_to is not None:
        query = query.where(may_be_shown(shown_to))
    if limit is not None:
        query = query.limit(limit)
    return [(invoice, document) for invoice, document in session.execute(query)]


def one(
    session: Session, invoice_id: str, supplier_id: int, environment: str
) -> tuple[Invoice, Document | None] | None:
    """Return this invoice if its company is this supplier's and this supplier may see it."""
    row = session.execute(
        select(Invoice, Document)
        .join(Connection, Connection.id == Invoice.connection_id)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .where(
            Invoice.id == invoice_id,
            Invoice.mapped.is_not(None),
            Connection.supplier_id == supplier_id,
            Connection.environment == environment,
            Connection.released_at.is_(None),
            may_be_shown(supplier_id),
        )
    ).first()
    return None if row is None else (row[0], row[1])


def may_be_shown(supplier_id: int) -> ColumnElement[bool]:
    """A condition: the invoice is not in Infactor in the name of another supplier.

    What was decided while the company was another supplier's is between that one and the lender.
    """
    return or_(Document.invoice_id.is_(None), Document.supplier_id == supplier_id)


def supplier_of() -> ColumnElement[int]:
    """In whose name the invoice is in Infactor; while it is not there, whose the company is.

    Needs Connection, and Document by an outer join.
    """
    return func.coalesce(Document.supplier_id, Connection.supplier_id)


def history(session: Session, invoice_id: str, limit: int) -> Sequence[Revision]:
    """Return the invoice's revisions, the newest `limit` of them, the newest first."""
    return session.scalars(
        select(Revision)
        .where(Revision.invoice_id == invoice_id)
        .order_by(Revision.number.desc())
        .limit(limit)
    ).all()
