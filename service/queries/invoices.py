"""A supplier's invoices as a list: searched, filtered, sorted, counted, and read a page at a time.

A page is found by the invoice that it follows, so the last page costs what the first does.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    case,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, defer

from service.database.tables import Connection, DeliveryState, Document, Finding, Invoice
from service.database.tables.invoices import (
    CLOSED,
    FIXED,
    NOT_HELD,
    OPEN,
    OUTSIDE,
    RECORDED,
    TO_CORRECT,
    TO_FIX,
    TO_INVITE,
    UNSEEN,
    WITHDRAWN,
)
from service.database.types import condition
from service.database.upsert import chunked
from service.domain import State
from service.store import findings
from service.store.infactor_outbox import OUTGOING
from service.store.invoices import folded, may_be_shown

Found = tuple[Invoice, Document | None]

Place = tuple[Any, str]
"""Where an invoice is in an order: its sort key, and its id."""

MOST_COUNTED = 1000
UNDECIDED = State.INVOICE_CREATED


class Sort(StrEnum):
    NEWEST = "newest"
    NUMBER = "number"
    BUYER = "buyer"
    AMOUNT = "amount"
    DUE = "due"


_COLUMNS: dict[Sort, ColumnElement[Any]] = {
    Sort.NEWEST: Invoice.created_ms.expression,
    Sort.NUMBER: Invoice.number_key.expression,
    Sort.BUYER: Invoice.sought.expression,
    Sort.AMOUNT: Invoice.total.expression,
    Sort.DUE: Invoice.due_key.expression,
}

_DESCENDING = frozenset({Sort.NEWEST, Sort.AMOUNT})


StatusKind = Literal[
    "any",
    "states",
    "open",
    "closed",
    "in infactor",
    "not in infactor",
    "on its way",
    "to fix",
    "to correct",
    "to invite",
    "unseen",
    "changed",
]


@dataclass(frozen=True, slots=True)
class StatusFilter:
    """Which invoices of a list: those in some of Infactor's states, or of one of these kinds.

    open             something is left to be paid
    closed           nothing is: paid, void or deleted
    in infactor      Infactor has it, and we have not withdrawn it
    not in infactor  open, and held or withdrawn
    on its way       not held, and not delivered yet
    to fix           the supplier or the buyer has to do something, so `to correct` or `to invite`
    to correct       something is wrong in QuickBooks
    to invite        the buyer has not signed up to Infactor
    unseen           Infactor has it, and its buyer cannot see it
    changed          it differs from what was approved
    """

    kind: StatusKind = "any"
    states: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which invoices, in which order; `amount` is `words` as a number, if they are one."""

    connection_ids: tuple[str, ...]
    supplier_id: int
    words: str = ""
    amount: Decimal | None = None
    status: StatusFilter = StatusFilter()
    sort: Sort = Sort.NEWEST


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """Some invoices in order, whether others surround them, and which changed after a decision.

    `matches`: of a search, how many match in all, each company's counted up to one more than a few.
    """

    found: Sequence[Found]
    changed: frozenset[str]
    earlier: bool
    later: bool
    matches: int | None = None


def page(
    session: Session,
    wanted: Wanted,
    limit: int,
    *,
    after: str | None = None,
    before: str | None = None,
    from_end: bool = False,
    few: int = MOST_COUNTED,
) -> InvoicePage:
    """Return the invoices after this one, before it, the last ones, or else the first.

    A search that finds at most a `few` takes one look at the invoices.
    """
    place = _place(session, wanted, before or after)
    backwards = from_end or (before is not None and place is not None)
    matches, every = _few_matches(session, wanted, few) if wanted.words else (None, None)
    if every is None:
        ids = _ids(session, wanted, limit + 1, place, backwards=backwards)
    else:
        ids = _beyond(every, limit + 1, place, down=_is_down(wanted, backwards=backwards))
    more, ids = len(ids) > limit, ids[:limit]
    found = _rows(session, ids[::-1] if backwards else ids)
    moved = place is not None
    return InvoicePage(
        found,
        findings.changed_of(session, ids),
        earlier=more if backwards else moved,
        later=moved if backwards else more,
        matches=matches,
    )


def count(session: Session, wanted: Wanted) -> int:
    """Return how many invoices match, counting each company's up to `MOST_COUNTED` + 1."""
    return sum(number for (number,) in counts(session, wanted, [wanted.status]).values())


def counts(
    session: Session, wanted: Wanted, filters: Sequence[StatusFilter]
) -> dict[str, tuple[int, ...]]:
    """Return {company: number for each of `filters`}, each counted up to `MOST_COUNTED` + 1."""
    if not wanted.connection_ids:
        return {}
    mixed = others_too(session, wanted.connection_ids, wanted.supplier_id)
    every = [_of_each(session, replace(wanted, status=one), mixed) for one in filters]
    found: dict[str, tuple[int, ...]] = {}
    for some in chunked(list(wanted.connection_ids)):
        numbers = union_all(
            *(select(literal(c), *(_counted(of_each[c]) for of_each in every)) for c in some)
        )
        found |= {c: tuple(of_company) for c, *of_company in session.execute(numbers)}
    return found


def _counted(query: Select[Any]) -> ScalarSelect[int]:
    some = query.limit(MOST_COUNTED + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _place(session: Session, wanted: Wanted, invoice_id: str | None) -> Place | None:
    """Return where this invoice is in the order, if this supplier may see it."""
    if invoice_id is None:
        return None
    row = session.execute(
        select(_COLUMNS[wanted.sort], Invoice.id)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .where(
            Invoice.id == invoice_id,
            Invoice.connection_id.in_(wanted.connection_ids),
            may_be_shown(wanted.supplier_id),
        )
    ).first()
    return None if row is None or row[0] is None else (row[0], row[1])


def _few_matches(session: Session, wanted: Wanted, few: int) -> tuple[int, list[Place] | None]:
    """Return how many match, as `InvoicePage.matches`, and the places of all if they are few.

    Whatever the order that is wanted, they are taken along the index of searches, which has
    the words and each sort key. So one look at it gives both a page and how many match.
    """
    mixed = others_too(session, wanted.connection_ids, wanted.supplier_id)
    along = (Invoice.sought, Invoice.id)
    of_each = _of_each(session, wanted, mixed).values()
    parts = [one.order_by(*along).limit(few + 1) for one in of_each]
    found: list[Place] = []
    for some in chunked(parts):
        rows = session.execute(union_all(*(select(part.subquery()) for part in some)))
        found += [(key, id_) for id_, key in rows]
    return len(found), found if len(found) <= few else None


def _beyond(every: Sequence[Place], limit: int, place: Place | None, *, down: bool) -> list[str]:
    """Return the ids of the first of these in order that are beyond this place."""
    ordered = sorted(every, reverse=down)
    if place is not None:
        ordered = [one for one in ordered if (one < place if down else one > place)]
    return [id_ for _, id_ in ordered[:limit]]


def _is_down(wanted: Wanted, *, backwards: bool) -> bool:
    return (wanted.sort in _DESCENDING) != backwards


def _ids(
    session: Session,
    wanted: Wanted,
    limit: int,
    place: Place | None,
    *,
    backwards: bool,
) -> list[str]:
    """Return ids in the order asked for: each company's from its own index, then merged."""
    if not wanted.connection_ids:
        return []
    down = _is_down(wanted, backwards=backwards)
    key, id_ = _sort_key(session, wanted), Invoice.id.expression
    mixed = others_too(session, wanted.connection_ids, wanted.supplier_id)
    parts = list(_of_each(session, wanted, mixed).values())
    if place is not None:
        there = tuple_(literal(place[0], key.type), literal(place[1], id_.type))
        beyond = tuple_(key, id_) < there if down else tuple_(key, id_) > there
        parts = [part.where(beyond) for part in parts]
    order = _order(key, id_, down=down)
    firsts: list[Select[Any]] = [part.order_by(*order).limit(limit) for part in parts]
    return list(session.scalars(merged(firsts, limit, "key", "id", down=down)))


def merged(
    firsts: Sequence[Select[Any]], limit: int, *names: str, down: bool = False
) -> Select[Any]:
    """Return the query for the first rows, by these columns, of several that give the first of
    each company.
    """
    while len(firsts) > 1:
        firsts = [_merged(some, limit, names, down=down) for some in chunked(firsts)]
    return firsts[0]


def _merged(
    firsts: Sequence[Select[Any]], limit: int, names: Sequence[str], *, down: bool
) -> Select[Any]:
    every = union_all(*(select(first.subquery()) for first in firsts)).subquery()
    order = _order(*(every.c[name] for name in names), down=down)
    return select(every).order_by(*order).limit(limit)


def _sort_key(session: Session, wanted: Wanted) -> ColumnElement[Any]:
    """Return what the list is sorted by.

    In a search, SQLite would rather go along the order's own index and read every invoice. What has
    a sign before it has no index, so it goes along the index of searches, and sorts what it finds.
    """
    column = _COLUMNS[wanted.sort]
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    if not (is_sqlite and wanted.words) or wanted.sort is Sort.BUYER:
        return column
    return literal_column(f"+invoices.{column.key}", column.type)


def _order(*columns: ColumnElement[Any], down: bool) -> list[ColumnElement[Any]]:
    return [column.desc() if down else column.asc() for column in columns]


def _of_each(session: Session, wanted: Wanted, mixed: Collection[str]) -> dict[str, Select[Any]]:
    """Return each company's query for ids and sort keys; `mixed` have another supplier's, too."""
    ids, supplier_id = wanted.connection_ids, wanted.supplier_id
    every = select(Invoice.id, _COLUMNS[wanted.sort].label("key")).where(
        condition(RECORDED), *_says(session, wanted)
    )
    of_each = {}
    for c in ids:
        has_status = _has_status(wanted.status, c, supplier_id)
        of_each[c] = every.where(Invoice.connection_id == c, *has_status)
        # Only where needed, because each look-up costs time.
        if c in mixed:
            owner = _of_invoice(Document.supplier_id.expression)
            of_each[c] = of_each[c].where(func.coalesce(owner, supplier_id) == supplier_id)
    return of_each


def _says(session: Session, wanted: Wanted) -> list[ColumnElement[bool]]:
    if not wanted.words:
        return []
    says = [Invoice.sought.contains(folded(wanted.words), autoescape=True)]
    if wanted.amount is not None:
        says.append(Invoice.total == wanted.amount)
    if unnumbered := _unnumbered(session, wanted.connection_ids, wanted.words):
        says.append(Invoice.id.in_(unnumbered))
    return [or_(*says)]


def _unnumbered(session: Session, connection_ids: Iterable[str], own_id: str) -> Sequence[str]:
    """Return unnumbered invoices with this QuickBooks Id; a join instead would double the time."""
    if not (own_id.isascii() and own_id.isdigit()):
        return []
    return session.scalars(
        select(Invoice.id).where(
            Invoice.connection_id.in_(connection_ids),
            Invoice.quickbooks_id == own_id,
            Invoice.doc_number == "",
        )
    ).all()


_PARTS: dict[StatusKind, str] = {
    "open": OPEN,
    "closed": CLOSED,
    "not in infactor": OUTSIDE,
    "on its way": NOT_HELD,
    "to fix": TO_FIX,
    "to correct": TO_CORRECT,
    "to invite": TO_INVITE,
    "unseen": UNSEEN,
}
"""By kind, the condition of the part of a company's invoices in which they are."""


def _has_status(
    status: StatusFilter, connection_id: str, supplier_id: int
) -> list[ColumnElement[bool]]:
    """Return what these invoices of the company have to be.

    What their documents have to be is looked up for each of a part: a join would read every
    document first.
    """
    found = [condition(_PARTS[status.kind])] if status.kind in _PARTS else []
    there = _of_supplier(connection_id, supplier_id)
    match status.kind:
        case "states":
            there = there.where(Document.state.in_(status.states))
            if State.INVOICE_REJECTED in status.states:
                there = there.where(not_(condition(WITHDRAWN)))
            found += [Invoice.id.in_(there), _not_gone(connection_id)]
        case "in infactor":
            # Each comes out of an index alone; most have been withdrawn nowhere.
            withdrawn = Invoice.id.not_in(there.where(condition(WITHDRAWN)))
            found += [Invoice.id.in_(there), withdrawn, _not_gone(connection_id)]
        case "not in infactor":
            offered = _of_invoice(case((condition(WITHDRAWN), ""), else_=Document.state))
            found.append(func.coalesce(offered, "") == "")
        case "on its way":
            of_company = DeliveryState.connection_id == connection_id
            outgoing = select(DeliveryState.invoice_id).where(of_company, OUTGOING)
            found += [_of_invoice(Document.state.expression).is_(None), Invoice.id.in_(outgoing)]
        case "to fix" | "to correct" | "to invite":
            # What somebody has decided about is not written any more, so nothing is to be fixed.
            state = _of_invoice(Document.state.expression)
            found.append(func.coalesce(state, UNDECIDED) == UNDECIDED)
        case "unseen":
            offered = _of_invoice(case((condition(WITHDRAWN), ""), else_=Document.state))
            found += [offered == State.INVOICE_CREATED, _not_gone(connection_id)]
        case "changed":
            changed = findings.changed(Finding.connection_id == connection_id)
            found.append(Invoice.id.in_(changed))
    return found


def _not_gone(connection_id: str) -> ColumnElement[bool]:
    """A condition: nobody is known to have deleted the invoice's document in Infactor."""
    return Invoice.id.not_in(findings.missing([connection_id]))


def _of_supplier(connection_id: str, supplier_id: int) -> Select[str]:
    return select(Document.invoice_id).where(
        Document.connection_id == connection_id, Document.supplier_id == supplier_id
    )


def _of_invoice(value: ColumnElement[Any]) -> ScalarSelect[Any]:
    """Return a subquery for this value of the invoice's document; NULL without one."""
    query = select(value).where(Document.invoice_id == Invoice.id)
    return query.correlate(Invoice).scalar_subquery()


def _rows(session: Session, ids: Sequence[str]) -> list[Found]:
    rows = session.execute(
        select(Invoice, Document)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .where(Invoice.id.in_(ids))
        .options(defer(Invoice.source))
    )
    found = {invoice.id: (invoice, document) for invoice, document in rows}
    return [found[i] for i in ids if i in found]


def fixed_since(
    session: Session,
    connection_ids: Collection[str],
    supplier_id: int,
    since: datetime,
    limit: int,
) -> Sequence[Found]:
    """Return the invoices of which a warning has gone since then, the latest first."""
    rows = session.execute(
        select(Invoice, Document)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .where(
            Invoice.connection_id.in_(connection_ids),
            condition(FIXED),
            Invoice.fixed_at >= since,
            Invoice.mapped.is_not(None),
            may_be_shown(supplier_id),
        )
        .order_by(Invoice.fixed_at.desc(), Invoice.id)
        .limit(limit)
        .options(defer(Invoice.source))
    )
    return [(invoice, document) for invoice, document in rows]


def of_companies(
    session: Session, connection_ids: Collection[str], *, shown_to: int | None = None
) -> dict[str, tuple[int, int]]:
    """Return {company: (invoices recorded, invoices offered in Infactor)}.

    With `shown_to`, only those that this supplier may see. Withdrawn ones do not count as offered.
    """
    if not connection_ids:
        return {}
    mixed = frozenset() if shown_to is None else others_too(session, connection_ids, shown_to)
    found = dict.fromkeys(connection_ids, (0, 0))
    if shown_to is not None and mixed:
        as_offered = case((condition(WITHDRAWN), None), else_=Document.invoice_id)
        query = (
            select(Invoice.connection_id, func.count(), func.count(as_offered))
            .join(Document, Document.invoice_id == Invoice.id, isouter=True)
            .where(
                Invoice.connection_id.in_(mixed),
                condition(RECORDED),
                may_be_shown(shown_to),
            )
            .group_by(Invoice.connection_id)
        )
        found |= {i: (recorded, offered) for i, recorded, offered in session.execute(query)}
    # Without a join each count comes out of an index, in a tenth of the time.
    recorded = select(func.count()).where(
        Invoice.connection_id == Connection.id, condition(RECORDED)
    )
    there = select(func.count()).where(Document.connection_id == Connection.id)
    withdrawn = there.where(condition(WITHDRAWN))
    numbers = (part.scalar_subquery() for part in (recorded, there, withdrawn))
    plain = Connection.id.in_(set(connection_ids) - mixed)
    for i, here, known, taken_back in session.execute(select(Connection.id, *numbers).where(plain)):
        found[i] = (here, known - taken_back)
    return found


def others_too(
    session: Session, connection_ids: Collection[str], supplier_id: int
) -> frozenset[str]:
    """Return the handed-over companies: Infactor has invoices of theirs for another supplier."""
    # A search in the index for each company: as an EXISTS it may become a join of all documents.
    another = (
        select(Document.invoice_id)
        .where(
            Document.connection_id == Connection.id,
            or_(Document.supplier_id < supplier_id, Document.supplier_id > supplier_id),
        )
        .limit(1)
        .scalar_subquery()
    )
    query = select(Connection.id).where(Connection.id.in_(connection_ids), another.is_not(None))
    return frozenset(session.scalars(query))
