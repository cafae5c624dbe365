"""Which companies have to be judged again, and what the rules know of their invoices."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, Invoice
from service.database.upsert import chunked


def due(session: Session, environment: str, wanted: str, limit: int) -> Sequence[str]:
    """Return connections whose invoices were last judged by other rules or on another day."""
    return session.scalars(
        select(Connection.id)
        .where(Connection.environment == environment, Connection.judged_by != wanted)
        .order_by(Connection.id)
        .limit(limit)
    ).all()


def judged(session: Session, connection_id: str, wanted: str) -> None:
    """Note by what the company's invoices are judged now."""
    session.execute(
        update(Connection).where(Connection.id == connection_id).values(judged_by=wanted)
    )


class JudgedInvoice(NamedTuple):
    """The facts of an invoice, and its reasons as texts of the columns."""

    id: str
    quickbooks_id: str
    facts: str
    holds: list[dict[str, object]]
    signals: list[dict[str, object]]


def page(session: Session, connection_id: str, after: str, limit: int) -> Sequence[JudgedInvoice]:
    """Return the company's next invoices that were ever read, by their QuickBooks Id as text."""
    columns = (Invoice.id, Invoice.quickbooks_id, Invoice.facts, Invoice.holds, Invoice.signals)
    found = session.execute(
        select(*columns)
        .where(
            Invoice.connection_id == connection_id,
            Invoice.quickbooks_id > after,
            Invoice.mapped.is_not(None),
        )
        .order_by(Invoice.quickbooks_id)
        .limit(limit)
    )
    return [JudgedInvoice(*row) for row in found]


Kept = Sequence[Mapping[str, Any]]


def kept_reasons(session: Session, environment: str) -> Iterator[tuple[Kept, Kept]]:
    """Yield (holds, signals), as they are kept, of every invoice that has any."""
    found = session.execute(
        select(Invoice.holds, Invoice.signals)
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(
            Connection.environment == environment, or_(Invoice.holds != [], Invoice.signals != [])
        )
        .execution_options(yield_per=1_000)
    )
    yield from ((holds, signals) for holds, signals in found)


def count(session: Session, environment: str) -> int:
    """Return how many invoices the rules can judge: those that were ever read."""
    return session.execute(
        select(func.count())
        .select_from(Invoice)
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(Connection.environment == environment, Invoice.mapped.is_not(None))
    ).scalar_one()


def kept_of(session: Session, ids: Collection[str]) -> dict[str, tuple[Kept, Kept]]:
    """Return (holds, signals) of those of these invoices that are recorded, by id."""
    return {
        id_: (holds, signals)
        for chunk in chunked(sorted(ids))
        for id_, holds, signals in session.execute(
            select(Invoice.id, Invoice.holds, Invoice.signals).where(Invoice.id.in_(chunk))
        )
    }


class NamedInvoice(NamedTuple):
    """What tells people which invoice it is, and how much is due."""

    id: str
    quickbooks_id: str
    number: str
    buyer: str
    balance: Decimal | None
    currency: str | None


def named(session: Session, ids: Collection[str]) -> dict[str, NamedInvoice]:
    """Return these invoices, by id."""
    columns = (
        *(Invoice.id, Invoice.quickbooks_id, Invoice.doc_number),
        *(Invoice.mapped, Invoice.balance, Invoice.currency),
    )
    found = {}
    for chunk in chunked(sorted(ids)):
        for id_, own_id, number, mapped, *money in session.execute(
            select(*columns).where(Invoice.id.in_(chunk))
        ):
            buyer = str((mapped or {}).get("companyName") or "")
            found[id_] = NamedInvoice(id_, own_id, number, buyer, *money)
    return found
