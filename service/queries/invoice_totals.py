"""What a supplier's invoices are worth: in Infactor by state, and outside of it."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Executable, Select, func, or_, select
from sqlalchemy.orm import Session

from service.database.tables import Document, Invoice
from service.database.tables.invoices import OFFERED, OUTSIDE
from service.database.types import condition, money_sum
from service.domain import APPROVED, State
from service.store import findings


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

    It costs two reads of an index and one of the few findings, however many companies. Withdrawn
    invoices are outside, and so are those that are held while something is left to be paid. What
    somebody has deleted in Infactor is nowhere.
    """
    found: dict[str, dict[Portion, dict[str, Total]]] = {
        one: {portion: {} for portion in Portion} for one in connection_ids
    }
    in_infactor = _in_infactor(connection_ids, supplier_id)
    for company, state, currency, count, amount in session.execute(in_infactor):
        for portion in _portions(state):
            _add(found[company][portion], currency, count, amount)
    # Taken off afterwards: with a look for each, what is there would not come out of its index.
    gone = in_infactor.where(Document.invoice_id.in_(findings.missing(connection_ids)))
    for company, state, currency, count, amount in session.execute(gone):
        for portion in _portions(state):
            _add(found[company][portion], currency, -count, -(amount or _NOTHING))
    for company, *total in session.execute(_outside(connection_ids, supplier_id)):
        _add(found[company][Portion.OUTSIDE], *total)
    return {
        company: {
            portion: tuple(total for total in totals.values() if total.count)
            for portion, totals in portions.items()
        }
        for company, portions in found.items()
    }


def _portions(state: str) -> list[Portion]:
    if state == State.INVOICE_CREATED:
        return [Portion.INFACTOR, Portion.WAITING]
    return [Portion.INFACTOR, Portion.APPROVED] if state in UNDER_WAY else [Portion.INFACTOR]


def _in_infactor(
    connection_ids: Collection[str], supplier_id: int
) -> Select[str, str, str | None, int, Decimal | None]:
    return (
        select(
            Document.connection_id,
            Document.state,
            Document.currency,
            func.count(),
            money_sum(Document.total),
        )
        .where(
            Document.connection_id.in_(connection_ids),
            Document.supplier_id == supplier_id,
            condition(OFFERED),
        )
        .group_by(Document.connection_id, Document.state, Document.currency)
    )


def _outside(connection_ids: Collection[str], supplier_id: int) -> Executable:
    # Nearly all of them are in no document, so each is looked up there.
    there = select(Document.invoice_id).where(
        Document.invoice_id == Invoice.id,
        or_(~Document.withdrawn, Document.supplier_id != supplier_id),
    )
    return (
        select(Invoice.connection_id, Invoice.currency, func.count(), money_sum(Invoice.total))
        .where(
            Invoice.connection_id.in_(connection_ids),
            condition(OUTSIDE),
            ~there.correlate(Invoice).exists(),
        )
        .group_by(Invoice.connection_id, Invoice.currency)
    )


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
