"""What a supplier's invoices are worth: in Infactor by state, and outside of it."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from service.database.tables import Document, Invoice
from service.database.tables.invoices import OUTSIDE
from service.database.types import condition
from service.domain import APPROVED, State
from service.queries.invoices import others_too


class Portion(StrEnum):
    """Where invoices are. `INFACTOR` holds `WAITING` and `APPROVED`, and what was rejected."""

    INFACTOR = "infactor"
    WAITING = "waiting"
    APPROVED = "approved"
    OUTSIDE = "outside"


UNDER_WAY = tuple(sorted(APPROVED - {State.COMPLETED}))
"""The states of what a buyer has approved and is not over."""


@dataclass(frozen=True, slots=True)
class Total:
    """How many invoices of one currency, and how much they come to; "" names no currency."""

    currency: str
    count: int
    amount: Decimal


Totals = dict[Portion, tuple[Total, ...]]
_NOTHING = Decimal(0)


def of_companies(
    session: Session, connection_ids: Collection[str], supplier_id: int
) -> dict[str, Totals]:
    """Return {company: {portion: totals by currency}} of the invoices that the supplier may see.

    Each company costs two reads of an index. Withdrawn invoices are outside, and so are those that
    are held while something is left to be paid.
    """
    mixed = others_too(session, connection_ids, supplier_id)
    return {
        one: _of_company(session, one, supplier_id, mixed=one in mixed) for one in connection_ids
    }


def _of_company(session: Session, connection_id: str, supplier_id: int, *, mixed: bool) -> Totals:
    query = (
        select(Document.state, Document.currency, func.count(), func.sum(Document.total))
        .where(
            Document.connection_id == connection_id,
            Document.supplier_id == supplier_id,
            ~Document.withdrawn,
        )
        .group_by(Document.state, Document.currency)
    )
    found: dict[Portion, dict[str, Total]] = {portion: {} for portion in Portion}
    for state, currency, count, amount in session.execute(query):
        _add(found[Portion.INFACTOR], currency, count, amount)
        if state == State.INVOICE_CREATED:
            _add(found[Portion.WAITING], currency, count, amount)
        elif state in UNDER_WAY:
            _add(found[Portion.APPROVED], currency, count, amount)
    # Nearly all of them are in no document, so each is looked up there.
    there = select(Document.invoice_id).where(Document.invoice_id == Invoice.id)
    hides = ~Document.withdrawn
    if mixed:
        hides = or_(hides, Document.supplier_id != supplier_id)
    outside = (
        select(Invoice.currency, func.count(), func.sum(Invoice.total))
        .where(
            and_(Invoice.connection_id == connection_id, condition(OUTSIDE)),
            ~there.where(hides).exists(),
        )
        .group_by(Invoice.currency)
    )
    for currency, count, amount in session.execute(outside):
        _add(found[Portion.OUTSIDE], currency, count, amount)
    return {portion: tuple(totals.values()) for portion, totals in found.items()}


def _add(
    totals: dict[str, Total], currency: str | None, count: int, amount: Decimal | None
) -> None:
    name = currency or ""
    before = totals.get(name, Total(name, 0, _NOTHING))
    totals[name] = Total(name, before.count + count, before.amount + (amount or _NOTHING))


def together(some: Collection[Totals], currency: str) -> Totals:
    """Return the sums of several companies' totals, Infactor's `currency` first, then by name.

    What names no currency is in Infactor's; no two currencies are ever added up.
    """
    found: Totals = {}
    for portion in Portion:
        sums: dict[str, Total] = {}
        for totals in some:
            for one in totals[portion]:
                _add(sums, one.currency.strip().upper() or currency, one.count, one.amount)
        order = sorted(sums.values(), key=lambda one: (one.currency != currency, one.currency))
        found[portion] = tuple(order)
    return found
