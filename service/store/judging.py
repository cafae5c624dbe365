"""Which companies have to be judged again, and what the rules know of their invoices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, case, literal, select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, Invoice
from service.store import proof


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
    it was otherwise known whether they are true.
    """
    return session.scalars(
        select(Connection.id)
        .where(Connection.environment == environment, Connection.judged_by != basis.key())
        .order_by(Connection.id)
        .limit(limit)
    ).all()


def wanted(session: Session, connection_id: str, basis: Basis) -> str | None:
    """Return the key by which the company has to be judged; None if it was judged by that."""
    key = basis.key()
    return session.scalars(
        select(key).where(Connection.id == connection_id, Connection.judged_by != key)
    ).first()


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
