"""A supplier's invoices as a list: searched, filtered, sorted, and read a page at a time.

A page is found by the invoice that it begins after, so that the last one costs what the first does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    Text,
    and_,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, defer

from service.store.invoices import may_be_shown
from service.store.keys import folded
from service.store.tables import Document, Invoice
from service.store.tables.books import HELD, TO_MEND

Found = tuple[Invoice, Document | None]

MOST_COUNTED = 1000
_REJECTED = "invoice_rejected"


class Sort(StrEnum):
    """What a list may be sorted by."""

    NEWEST = "newest"
    NUMBER = "number"
    BUYER = "buyer"
    AMOUNT = "amount"
    DUE = "due"


_COLUMNS: dict[Sort, InstrumentedAttribute[Any]] = {
    Sort.NEWEST: Invoice.created_ms,
    Sort.NUMBER: Invoice.number_key,
    Sort.BUYER: Invoice.sought,
    Sort.AMOUNT: Invoice.total,
    Sort.DUE: Invoice.due_key,
}
_DESCENDING = frozenset({Sort.NEWEST, Sort.AMOUNT})


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the invoices of a list stand: in one of Infactor's states, or outside of Infactor.

    `marks` are in the text of each document that we have withdrawn, which counts as not offered.
    """

    kind: Literal["any", "states", "to mend", "not offered", "on its way"] = "any"
    states: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which invoices, and in which order; `amount` is what `words` say as a number, if they do."""

    connection_ids: tuple[str, ...]
    supplier_id: int
    words: str = ""
    amount: Decimal | None = None
    standing: Standing = Standing()
    sort: Sort = Sort.NEWEST


@dataclass(frozen=True, slots=True)
class Page:
    """Some invoices in their order, and whether there are others before and after them."""

    found: Sequence[Found]
    earlier: bool
    later: bool


def page(
    session: Session,
    wanted: Wanted,
    limit: int,
    *,
    after: str | None = None,
    before: str | None = None,
    from_end: bool = False,
) -> Page:
    """Return the invoices after this one, or before it, or the last ones, or else the first."""
    backwards = from_end or before is not None
    place = _place(session, wanted, before or after)
    ids = _ids(session, wanted, limit + 1, place, backwards=backwards)
    more, ids = len(ids) > limit, ids[:limit]
    found = _rows(session, ids[::-1] if backwards else ids)
    moved = place is not None
    return Page(found, more if backwards else moved, moved if backwards else more)


def count(session: Session, wanted: Wanted) -> int:
    """Return how many invoices there are, counted up to `MOST_COUNTED` + 1."""
    if not wanted.connection_ids:
        return 0
    every = [_of(wanted, c)[0].limit(MOST_COUNTED + 1) for c in wanted.connection_ids]
    parts = union_all(*(select(one.subquery().c.id) for one in every)).subquery()
    return session.execute(select(func.count()).select_from(parts)).scalar_one()


def _place(session: Session, wanted: Wanted, invoice_id: str | None) -> tuple[Any, str] | None:
    """Return where in the order this invoice stands, if it is one of this supplier's."""
    if invoice_id is None:
        return None
    row = session.execute(
        select(_COLUMNS[wanted.sort], Invoice.id).where(
            Invoice.id == invoice_id, Invoice.connection_id.in_(wanted.connection_ids)
        )
    ).first()
    return None if row is None else (row[0], row[1])


def _ids(
    session: Session,
    wanted: Wanted,
    limit: int,
    place: tuple[Any, str] | None,
    *,
    backwards: bool,
) -> list[str]:
    """Return ids in the order asked for: each company's from its own index, then merged."""
    if not wanted.connection_ids:
        return []
    down = (wanted.sort in _DESCENDING) != backwards
    parts = [_part(wanted, c, limit, place, down=down) for c in wanted.connection_ids]
    merged = union_all(*(select(part.subquery()) for part in parts)).subquery()
    order = _order(merged.c.key, merged.c.id, down=down)
    return list(session.scalars(select(merged.c.id).order_by(*order).limit(limit)))


def _part(
    wanted: Wanted,
    connection_id: str,
    limit: int,
    place: tuple[Any, str] | None,
    *,
    down: bool,
) -> Select[Any]:
    query, key, id_ = _of(wanted, connection_id)
    if place is not None:
        there = tuple_(literal(place[0], key.type), literal(place[1], id_.type))
        query = query.where(tuple_(key, id_) < there if down else tuple_(key, id_) > there)
    return query.order_by(*_order(key, id_, down=down)).limit(limit)


def _order(*columns: ColumnElement[Any], down: bool) -> list[ColumnElement[Any]]:
    return [column.desc() if down else column.asc() for column in columns]


def _of(
    wanted: Wanted, connection_id: str
) -> tuple[Select[Any], ColumnElement[Any], ColumnElement[str]]:
    """Return a query for one company's invoices that are wanted, and what it is ordered by."""
    column = _COLUMNS[wanted.sort]
    of_company = (Invoice.connection_id == connection_id, Invoice.mapped.is_not(None))
    if not wanted.words:
        query = select(Invoice.id, column.label("key")).where(*of_company)
        return _joined(query, wanted, Invoice.id), column.expression, Invoice.id.expression
    # Answered out of one index, which the order that is wanted must not keep the planner from.
    matching = (
        select(Invoice.id, column.label("key"))
        .where(*of_company, _says(wanted))
        .cte()
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    query = select(matching.c.id, matching.c.key)
    if wanted.standing.kind not in ("any", "states"):
        query = query.join(Invoice, Invoice.id == matching.c.id)
    return _joined(query, wanted, matching.c.id), matching.c.key, matching.c.id


def _joined(query: Select[Any], wanted: Wanted, id_: Any) -> Select[Any]:
    """Leave out what this supplier may not see, and what stands elsewhere."""
    standing = wanted.standing
    must_be_there = standing.kind == "states"
    return query.join(Document, Document.invoice_id == id_, isouter=not must_be_there).where(
        may_be_shown(wanted.supplier_id), *_stands(standing)
    )


def _says(wanted: Wanted) -> ColumnElement[bool]:
    says = Invoice.sought.contains(folded(wanted.words), autoescape=True)
    return says if wanted.amount is None else or_(says, Invoice.total == wanted.amount)


def _stands(standing: Standing) -> list[ColumnElement[bool]]:
    absent = Document.invoice_id.is_(None)
    withdrawn = and_(
        Document.state == _REJECTED,
        *(
            type_coerce(Document.document, Text).contains(mark, autoescape=True)
            for mark in standing.marks
        ),
    )
    match standing.kind:
        case "states" if _REJECTED in standing.states:
            return [Document.state.in_(standing.states), not_(withdrawn)]
        case "states":
            return [Document.state.in_(standing.states)]
        case "to mend":
            return [_condition(TO_MEND)]
        case "not offered":
            return [_condition(HELD), or_(absent, withdrawn)]
        case "on its way":
            late = Invoice.delivered_revision < Invoice.revision
            return [absent, Invoice.hold.is_(None), ~Invoice.old_rows_held, late]
        case "any":
            return []


def _condition(sql: str) -> ColumnElement[bool]:
    """Return the condition of a partial index in its own words, or SQLite would not use it."""
    return literal_column(f"({sql})", Boolean)


def _rows(session: Session, ids: Sequence[str]) -> list[Found]:
    rows = session.execute(
        select(Invoice, Document)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .where(Invoice.id.in_(ids))
        .options(defer(Invoice.source))
    )
    found = {invoice.id: (invoice, document) for invoice, document in rows}
    return [found[i] for i in ids if i in found]
