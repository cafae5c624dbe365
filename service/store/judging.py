"""Which companies and invoices have to be judged again, and what the rules know of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, case, delete, func, literal, or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, Invoice, InvoiceToJudge
from service.database.upsert import Insert, chunked, excluded, insert_all
from service.store import accounts, proof

_BEGUN = " begun"  # behind what a company is being judged by


@dataclass(frozen=True, slots=True)
class Basis:
    """What judgements depend on besides the record: the rules in force, the day, and the moment.

    `proof_hours` is for how long a company counts as proved; None where no rule asks that.
    """

    rules: str
    proof_hours: int | None
    at: datetime

    def key(self) -> ColumnElement[str]:
        """Return what a connection's `judged_by` is once its company has been judged by this."""
        if self.proof_hours is None:
            return literal(self.rules)
        proved = proof.is_proved(*proof.period(self.proof_hours, self.at))
        return case((proved, f"{self.rules} proved"), else_=f"{self.rules} unproven")


def due(session: Session, environment: str, basis: Basis, limit: int) -> Sequence[str]:
    """Return connections whose invoices were last judged by other rules, on another day, or while
    it was otherwise known whether they are true; or some of which are to be judged again, or whose
    buyers' accounts are to be counted.
    """
    asked = select(InvoiceToJudge.connection_id)
    is_due = or_(
        Connection.judged_by != basis.key(),
        Connection.id.in_(asked),
        accounts.is_due(basis.at),
    )
    return session.scalars(
        select(Connection.id)
        .where(Connection.environment == environment, is_due)
        .order_by(Connection.id)
        .limit(limit)
    ).all()


def ask(session: Session, connection_id: str, ids: Collection[str]) -> None:
    """Ask for these invoices of the company to be judged again."""
    rows = [{"connection_id": connection_id, "invoice_id": id_} for id_ in sorted(ids)]
    for chunk in chunked(rows):
        insert_all(session, InvoiceToJudge, chunk, _unless_asked)


def _unless_asked(statement: Insert) -> Insert:
    """Lock what is asked for already: whoever answers it waits for what is about to be committed,
    and judges by that.
    """
    return statement.on_conflict_do_update(
        index_elements=[InvoiceToJudge.connection_id, InvoiceToJudge.invoice_id],
        set_=excluded(statement, "invoice_id"),
    )


def ask_for_all(session: Session, connection_id: str) -> None:
    """Ask for all of the company's invoices to be judged again, though they are being judged."""
    session.execute(update(Connection).where(Connection.id == connection_id).values(judged_by=""))


def asked(session: Session, connection_id: str, limit: int) -> Sequence[str]:
    """Return the next of the company's invoices that are to be judged again."""
    return session.scalars(
        select(InvoiceToJudge.invoice_id)
        .where(InvoiceToJudge.connection_id == connection_id)
        .order_by(InvoiceToJudge.invoice_id)
        .limit(limit)
    ).all()


def answered(session: Session, connection_id: str, ids: Collection[str]) -> None:
    """Note that these invoices are judged, or are about to be."""
    for chunk in chunked(sorted(ids)):
        _answer(session, connection_id, InvoiceToJudge.invoice_id.in_(chunk))


def _answer(session: Session, connection_id: str, *which: ColumnElement[bool]) -> None:
    """Delete these, locked in the order in which `ask` locks them."""
    mine = (InvoiceToJudge.connection_id == connection_id, *which)
    locked = select(InvoiceToJudge.invoice_id).where(*mine)
    session.execute(locked.order_by(InvoiceToJudge.invoice_id).with_for_update()).all()
    session.execute(delete(InvoiceToJudge).where(*mine))


def begin(session: Session, connection_id: str, wanted: str) -> None:
    """Note that all of the company's invoices are about to be judged by this."""
    _answer(session, connection_id)
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(judged_by=f"{wanted}{_BEGUN}")
    )


def wanted(session: Session, connection_id: str, basis: Basis) -> str | None:
    """Return the key by which the company has to be judged; None if it was judged by that."""
    key = basis.key()
    return session.scalars(
        select(key).where(Connection.id == connection_id, Connection.judged_by != key)
    ).first()


def end(session: Session, connection_id: str, wanted: str) -> None:
    """Note by what the company's invoices are judged, unless that was asked for again meanwhile."""
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.judged_by == f"{wanted}{_BEGUN}")
        .values(judged_by=wanted)
    )


class JudgedInvoice(NamedTuple):
    """The facts of an invoice, and its reasons, as the record keeps them."""

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
