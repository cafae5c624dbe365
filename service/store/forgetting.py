"""Deleting what is known of a company and of its supplier, but for receipts.

A lender may rely on an invoice that is past `invoice_created`: its document stays as it is, and
enough of its record to keep it from being sent to Infactor again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Delete, Update, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import (
    Alert,
    BusyHour,
    BuyerAccount,
    BuyerAddress,
    Connection,
    Customer,
    DeliveryState,
    Document,
    FeedEvent,
    Finding,
    Invoice,
    InvoiceToJudge,
    Notice,
    OldId,
    Pace,
    Receipt,
    Revision,
    Run,
    RunSeen,
    SettlementRow,
    Supplier,
)
from service.database.upsert import update_all
from service.domain import ConnectionState, EventType, State
from service.store import connection_lifecycle, revision_chain, sessions
from service.store.documents import count_undecided
from service.store.invoices import keys


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much of a company was deleted; `receipts` are kept documents by Infactor's state.

    `left_undecided` documents stay in Infactor's own database, and nobody updates them.
    """

    customers: int
    invoices: int
    documents: int
    notices: int
    runs: int
    receipts: Mapping[str, int]
    left_undecided: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def forget_company(session: Session, connection_id: str) -> Forgotten:
    """Delete what is known of a disconnected company; its lock must be held.

    The connection stays: if the company ever connects again, it meets the receipts of its invoices.
    """
    receipts = _receipts(session, connection_id)
    theirs = Invoice.connection_id == connection_id
    kept = select(Document.invoice_id).where(Document.state != State.INVOICE_CREATED)
    gone = select(Invoice.id).where(theirs, Invoice.id.not_in(kept))
    kept_ids = select(Invoice.id).where(theirs)
    left_undecided = count_undecided(session, connection_id)
    of_runs = select(Run.id).where(Run.connection_id == connection_id)
    revision_chain.erase(session, connection_id, gone)
    for table in (Revision, Receipt, Finding, SettlementRow, DeliveryState):
        _do(session, delete(table).where(table.invoice_id.in_(gone)))
    documents = _do(session, delete(Document).where(Document.invoice_id.in_(gone)))
    invoices = _do(session, delete(Invoice).where(theirs, Invoice.id.not_in(kept)))
    _do(
        session,
        update(Revision)
        .where(Revision.invoice_id.in_(kept_ids))
        .values(changes={}, holds=[], signals=[]),
    )
    _reduce(session, connection_id)
    _do(session, delete(RunSeen).where(RunSeen.run_id.in_(of_runs)))
    for of_company in (Pace, OldId, BusyHour, BuyerAccount, BuyerAddress, InvoiceToJudge):
        _do(session, delete(of_company).where(of_company.connection_id == connection_id))
    # What is told of the connection itself names nobody, and Infactor is to learn that it ended.
    about_others = FeedEvent.subject != connection_id
    _do(session, delete(FeedEvent).where(FeedEvent.connection_id == connection_id, about_others))
    forgotten = Forgotten(
        customers=_do(session, delete(Customer).where(Customer.connection_id == connection_id)),
        invoices=invoices,
        documents=documents,
        notices=_do(session, _notices(connection_id)),
        runs=_do(session, delete(Run).where(Run.connection_id == connection_id)),
        receipts=receipts,
        left_undecided=left_undecided,
    )
    reduced: dict[str, Any] = {
        "company_name": "",
        "country": "",
        "own_emails": [],
        "last_synced_at": None,
        "suspended_at": None,
        "adopted_at": None,
        "accounts_due_at": None,
    }
    _do(session, update(Connection).where(Connection.id == connection_id).values(reduced))
    # Texts of findings name buyers.
    _do(session, update(Alert).where(Alert.subject == connection_id).values(text=""))
    return forgotten


def _receipts(session: Session, connection_id: str) -> dict[str, int]:
    """Return how many documents stay, by state; lock all, so that nothing is decided meanwhile."""
    states = session.scalars(
        select(Document.state)
        .join(Invoice, Invoice.id == Document.invoice_id)
        .where(Invoice.connection_id == connection_id)
        .with_for_update(of=Document)
    ).all()
    return {
        state: states.count(state) for state in sorted({*states} - {State.INVOICE_CREATED.value})
    }


def _reduce(session: Session, connection_id: str) -> None:
    """Leave of the invoices that stay only what they are and how much they were for."""
    rows = session.execute(
        select(Invoice.id, Invoice.quickbooks_id).where(Invoice.connection_id == connection_id)
    ).all()
    nothing: dict[str, Any] = {
        "mapped": None,
        "facts": "",
        "holds": [],
        "signals": [],
        "buyer_emails": [],
        "digest": "",
        "warnings": [],
        "fixed": [],
        "fixed_at": None,
        "customer_id": None,
        "customer_versions": "",
        "old_rows_held": False,
        **keys(None),
    }
    reduced = [{"id": i, "source": {"Id": number}, **nothing} for i, number in rows]
    update_all(session, Invoice, reduced)


def _notices(connection_id: str) -> Delete:
    digest = select(Connection.realm_digest).where(Connection.id == connection_id).scalar_subquery()
    return delete(Notice).where(
        or_(
            Notice.connection_id == connection_id,
            and_(Notice.connection_id.is_(None), Notice.realm_digest == digest),
        )
    )


def still_has_companies(session: Session, supplier_id: int) -> bool:
    """Return whether a company of the supplier, in any environment, was not forgotten."""
    runs = select(Run.id).where(Run.connection_id == Connection.id)
    forgotten = and_(
        Connection.state == ConnectionState.DISCONNECTED,
        Connection.refresh_sealed.is_(None),
        Connection.company_name == "",
        ~runs.exists(),
    )
    left = select(Connection.id).where(Connection.supplier_id == supplier_id, ~forgotten).limit(1)
    return session.execute(left).first() is not None


def forget_supplier(session: Session, supplier_id: int, now: datetime) -> bool:
    """End the sessions of a supplier without companies; return whether they were erased.

    Then their name and address are gone, and anyone may connect the companies. They are kept while
    there are receipts in the supplier's name.
    """
    sessions.forget(session, supplier_id, now)
    if _has_receipts(session, supplier_id):
        return False
    nobody = {"email": f"forgotten-{supplier_id}", "name": "", "address": ""}
    _do(session, update(Supplier).where(Supplier.id == supplier_id).values(nobody))
    of_theirs = Connection.supplier_id == supplier_id
    fresh = select(Connection.id).where(of_theirs, Connection.released_at.is_(None))
    for connection_id in session.scalars(fresh).all():
        connection_lifecycle.tell(session, EventType.RELEASED, connection_id, now)
    _do(session, update(Connection).where(of_theirs).values(released_at=now))
    return True


def _has_receipts(session: Session, supplier_id: int) -> bool:
    receipts = (
        select(Document.invoice_id)
        .join(Invoice, Invoice.id == Document.invoice_id)
        .join(Connection, Connection.id == Invoice.connection_id)
        .where(or_(Document.supplier_id == supplier_id, Connection.supplier_id == supplier_id))
    )
    return session.execute(receipts.limit(1)).first() is not None


def _do(session: Session, statement: Delete | Update) -> int:
    """Return how many rows the statement changed; objects of the session do not follow."""
    return session.connection().execute(statement).rowcount
