"""Which companies and invoices have to be judged again, and what the rules know of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, case, delete, func, literal, or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, Customer, Document, Invoice, InvoiceToJudge
from service.database.tables.invoices import TO_REMAP
from service.database.types import among, condition
from service.database.upsert import Insert, chunked, excluded, insert, insert_all, update_all
from service.domain import State
from service.store import accounts, infactor_outbox, proof
from service.store.infactor_outbox import RecordedRevision

_BEGUN = " begun"  # behind what a company is being judged by
_UNPROVEN = " unproven"


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
        return case((proved, f"{self.rules} proved"), else_=f"{self.rules}{_UNPROVEN}")


def due(session: Session, environment: str, basis: Basis, limit: int) -> Sequence[str]:
    """Return connections whose invoices were last judged by other rules, on another day, or while
    it was otherwise known whether they are true; or some of which are to be judged or mapped
    again, or whose buyers' accounts are to be counted.

    Those first that have waited for most turns of others: one that always fails waits like them.
    """
    asked = select(InvoiceToJudge.connection_id)
    is_due = or_(
        Connection.judged_by != basis.key(),
        Connection.id.in_(asked),
        Connection.id.in_(select(Customer.connection_id).where(condition(TO_REMAP))),
        accounts.is_due(basis.at),
    )
    return session.scalars(
        select(Connection.id)
        .where(Connection.environment == environment, is_due)
        .order_by(Connection.judging_turn, Connection.id)
        .limit(limit)
    ).all()


def take_turn(session: Session, connection_id: str) -> None:
    """Note that the company is about to be judged: each other one that is due comes before it."""
    last = select(func.max(Connection.judging_turn)).scalar_subquery()
    session.execute(
        update(Connection).where(Connection.id == connection_id).values(judging_turn=last + 1)
    )


def ask(session: Session, connection_id: str, ids: Collection[str]) -> None:
    """Ask for these invoices of the company to be judged again."""
    rows = [{"connection_id": connection_id, "invoice_id": id_} for id_ in sorted(ids)]
    for chunk in chunked(rows):
        insert_all(session, InvoiceToJudge, chunk, _unless_asked)


def ask_for(session: Session, connection_id: str, which: ColumnElement[bool]) -> int:
    """Ask for the company's invoices of which this is true to be judged again; return how many.

    No id comes out of the database: they may be all of a company's.
    """
    ids = select(Invoice.connection_id, Invoice.id).where(
        Invoice.connection_id == connection_id, which
    )
    # In the order in which `ask` locks them.
    rows = insert(session, InvoiceToJudge).from_select(
        ["connection_id", "invoice_id"], ids.order_by(Invoice.id)
    )
    statement = _unless_asked(rows).execution_options(preserve_rowcount=True)
    return session.connection().execute(statement).rowcount


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
    _answer(session, connection_id, among(InvoiceToJudge.invoice_id, ids))


def _answer(session: Session, connection_id: str, *which: ColumnElement[bool]) -> None:
    """Delete these, locked in the order in which `ask` locks them."""
    mine = (InvoiceToJudge.connection_id == connection_id, *which)
    locked = select(InvoiceToJudge.invoice_id).where(*mine)
    session.execute(locked.order_by(InvoiceToJudge.invoice_id).with_for_update()).all()
    session.execute(delete(InvoiceToJudge).where(*mine))


@dataclass(frozen=True, slots=True)
class WantedJudging:
    """By what all of a company's invoices have to be judged, and whether that has begun."""

    key: str
    begun: bool

    @property
    def unproven(self) -> bool:
        """Whether nothing proves the company."""
        return self.key.endswith(_UNPROVEN)


def wanted(session: Session, connection_id: str, basis: Basis) -> WantedJudging | None:
    """Return by what the company has to be judged; None if it was judged by that."""
    key = basis.key()
    found = session.execute(
        select(key, Connection.judged_by).where(
            Connection.id == connection_id, Connection.judged_by != key
        )
    ).first()
    return None if found is None else WantedJudging(found[0], found[1] == f"{found[0]}{_BEGUN}")


def begin(session: Session, connection_id: str, key: str) -> str:
    """Note that all of the company's invoices are about to be judged by this.

    Returns the QuickBooks Id after which to go on: "" unless that was begun before.
    """
    begun = f"{key}{_BEGUN}"
    done = select(Connection.judged_until).where(
        Connection.id == connection_id, Connection.judged_by == begun
    )
    until = session.scalars(done).first()
    if until is not None:
        return until
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(judged_by=begun, judged_until="")
    )
    _answer(session, connection_id)  # after the company, as whoever records locks them
    return ""


def judged_until(session: Session, connection_id: str, key: str, quickbooks_id: str) -> bool:
    """Note how far the company is judged by this; return False if it is to be judged otherwise."""
    going_on = session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.judged_by == f"{key}{_BEGUN}")
        .values(judged_until=quickbooks_id)
        .returning(Connection.id)
    )
    return going_on.first() is not None


def end(session: Session, connection_id: str, key: str) -> None:
    """Note by what the company's invoices are judged, unless that was asked for again meanwhile."""
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.judged_by == f"{key}{_BEGUN}")
        .values(judged_by=key)
    )


_HAS_FACTS = Invoice.facts != ""  # else it was never read, or is forgotten


class JudgedInvoice(NamedTuple):
    """The facts of an invoice, and its reasons, as the record keeps them."""

    id: str
    quickbooks_id: str
    facts: str
    holds: list[dict[str, object]]
    signals: list[dict[str, object]]


def page(session: Session, connection_id: str, after: str, limit: int) -> Sequence[JudgedInvoice]:
    """Return the company's next invoices of which facts are known, by their QuickBooks Id as text.

    So also what is not mapped anew since the company was handed over, and may have to be withdrawn.
    """
    columns = (Invoice.id, Invoice.quickbooks_id, Invoice.facts, Invoice.holds, Invoice.signals)
    found = session.execute(
        select(*columns)
        .where(
            Invoice.connection_id == connection_id,
            Invoice.quickbooks_id > after,
            _HAS_FACTS,
        )
        .order_by(Invoice.quickbooks_id)
        .limit(limit)
    )
    return [JudgedInvoice(*row) for row in found]


def at_risk(session: Session, connection_id: str, limit: int) -> Sequence[str]:
    """Return the company's invoices that are offered, undecided and not held: the largest first."""
    return session.scalars(
        select(Invoice.id)
        .join(Document, Document.invoice_id == Invoice.id)
        .where(
            Document.connection_id == connection_id,
            Document.state == State.INVOICE_CREATED,
            Invoice.connection_id == connection_id,
            Invoice.hold.is_(None),
        )
        .order_by(func.coalesce(Invoice.balance, literal(0, Invoice.balance.type)).desc())
        .limit(limit)
    ).all()


class RecordedReasons(NamedTuple):
    """What is recorded of an invoice that is judged again; the columns of `Invoice` by their names.

    Not an `Invoice`: to read and to write its original took most of the time.
    """

    id: str
    connection_id: str
    quickbooks_id: str
    revision: int
    sync_token: int
    last_updated: datetime | None
    customer_versions: str
    doc_number: str
    customer_id: str | None
    total: Decimal | None
    balance: Decimal | None
    currency: str | None
    due_key: str
    deleted: bool
    facts: str
    hold: str | None
    holds: list[dict[str, Any]]
    signals: list[dict[str, Any]]


_REASONS_COLUMNS = [getattr(Invoice, name) for name in RecordedReasons._fields]


def lock(session: Session, ids: Collection[str]) -> Sequence[RecordedReasons]:
    """Return those of these invoices of which facts are known, locked for this transaction."""
    found = session.execute(
        select(*_REASONS_COLUMNS)
        .where(among(Invoice.id, ids), _HAS_FACTS)
        .order_by(Invoice.id)
        .with_for_update()
    )
    return list(map(RecordedReasons._make, found))


def save(session: Session, rows: Sequence[RecordedReasons], at: datetime) -> None:
    """Write the revision and the reasons of these invoices, as recorded at this moment."""
    names = ("id", "revision", "hold", "holds", "signals")
    update_all(
        session,
        Invoice,
        [{**{name: getattr(row, name) for name in names}, "recorded_at": at} for row in rows],
    )
    infactor_outbox.add(
        session, [RecordedRevision(row.id, row.connection_id, row.revision, at) for row in rows]
    )


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
    """Return how many invoices the rules can judge, but for those not read since a hand-over."""
    return session.execute(
        select(func.count())
        .select_from(Invoice)
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(Connection.environment == environment, Invoice.mapped.is_not(None))
    ).scalar_one()


def kept_of(session: Session, ids: Collection[str]) -> dict[str, tuple[Kept, Kept]]:
    """Return (holds, signals) of those of these invoices that are recorded, by id."""
    columns = (Invoice.id, Invoice.holds, Invoice.signals)
    rows = session.execute(select(*columns).where(among(Invoice.id, ids)))
    return {id_: (holds, signals) for id_, holds, signals in rows}


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
    rows = session.execute(select(*columns).where(among(Invoice.id, ids)))
    for id_, own_id, number, mapped, *money in rows:
        buyer = str((mapped or {}).get("companyName") or "")
        found[id_] = NamedInvoice(id_, own_id, number, buyer, *money)
    return found
