"""Customers and invoices of QuickBooks, and what Infactor has of them."""

from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict

from sqlalchemy import (
    BigInteger,
    Float,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.database.tables.metadata import Base
from service.database.types import ExactJSON, Instant, Key, Money, RowId

TO_FIX = "hold IS NULL AND (warnings <> '[]' OR delivery_warnings <> '[]')"
"""Which invoices have a warning that the supplier should fix and no hold."""

TO_CORRECT = "hold IS NULL AND warnings <> '[]'"
"""Which of these the supplier can correct in QuickBooks."""

TO_INVITE = "hold IS NULL AND delivery_warnings <> '[]'"
"""Which of these have a buyer who is not registered in Infactor."""

UNSEEN = "hold IS NULL AND (delivery_warnings <> '[]' OR warnings LIKE '%\"no_buyer_email\"%')"
"""Which of these their buyer cannot see, once they are in Infactor."""

HELD = "hold IS NOT NULL OR old_rows_held"
"""Which invoices are held; Infactor may have one of them all the same."""

NOT_HELD = f"NOT ({HELD})"

RECORDED = "sought <> ''"
"""Which invoices have a record to show: where `mapped` is set, `sought` is not empty.

Asked of `mapped`, SQLite would read the invoices that an index finds, which are large.
"""

OLD_ROWS_HELD = "old_rows_held"
"""Which invoices wait for somebody to explain rows of Infactor's old import."""

TO_EXPLAIN = (
    "approved_at IS NOT NULL AND settled_fetch < fetch_number"
    " AND (balance < total OR settled_fetch > 0)"
)
"""Which invoices that a buyer had approved were paid, or unpaid again, since that was explained."""

OPEN = "balance > 0 AND NOT deleted"
"""On which invoices something is left to be paid."""

CLOSED = f"NOT ({OPEN}) AND {RECORDED}"
"""Which known invoices have nothing left to be paid: they are paid, void or deleted."""

OUTSIDE = f"({HELD}) AND {OPEN} AND {RECORDED}"
"""Which known invoices are held while something is left to be paid."""

FIXED = "fixed_at IS NOT NULL"
"""Of which invoices something was ever fixed."""

WITHDRAWN = "withdrawn"
"""Which documents we have withdrawn."""

OFFERED = "NOT withdrawn"
"""Which documents we have not withdrawn: Infactor has them, whatever their state."""

_OUTGOING = "delivered_revision < revision"

TO_REMAP = "remap_after IS NOT NULL"
"""Which customers have invoices that are to be mapped again."""

ALARMING = "closed_at IS NULL AND acknowledged_at IS NULL AND severity = 'critical'"
"""Which findings are alerts."""


class FoundField(TypedDict):
    """One field of a finding, with what was approved and what is now, as text."""

    field: str
    severity: str
    approved: str | None
    current: str | None


class Customer(Base):
    """A company's customer as last read from QuickBooks."""

    __tablename__ = "customers"
    __table_args__ = (
        Index(
            "ix_customers_to_remap",
            *("connection_id", "quickbooks_id"),
            sqlite_where=text(TO_REMAP),
            postgresql_where=text(TO_REMAP),
        ),
    )

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    quickbooks_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    parent_id: Mapped[str | None] = mapped_column(String(64))
    sync_token: Mapped[int] = mapped_column(BigInteger)
    last_updated: Mapped[datetime] = mapped_column(Instant)
    fetch_number: Mapped[int] = mapped_column(BigInteger)
    # The read that first showed the present name: invoices read earlier carry the old one.
    renamed_at_fetch: Mapped[int | None] = mapped_column(BigInteger)
    # BillWithParent: its parent is the buyer.
    bills_parent: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Balance: its open invoices less its unapplied credits. Invoices that changed until then, by
    # QuickBooks' own clock, are surely in it.
    open_balance: Mapped[Decimal | None] = mapped_column(Money)
    balance_until: Mapped[datetime | None] = mapped_column(Instant)
    # This customer has changed: its invoices with a higher id than this one are still to be mapped
    # again. None once all are.
    remap_after: Mapped[str | None] = mapped_column(String(32))
    source: Mapped[dict[str, Any]] = mapped_column(ExactJSON)
    read_at: Mapped[datetime] = mapped_column(Instant)


class BuyerAccount(Base):
    """A customer with open invoices, and its buyer's whole account as last counted, in percent.

    Several customers may have one buyer; see `store.accounts`.
    """

    __tablename__ = "buyer_accounts"

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    buyer_id: Mapped[str] = mapped_column(String(64))
    concentration: Mapped[int | None] = mapped_column()
    overdue: Mapped[int | None] = mapped_column()
    credit: Mapped[int | None] = mapped_column()


class BusyHour(Base):
    """An hour, by its number since 1970, in which far more invoices were entered than usual."""

    __tablename__ = "busy_hours"

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    hour: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Invoice(Base):
    """One QuickBooks invoice: the newest version seen, and what it means for Infactor."""

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("connection_id", "quickbooks_id"),
        # For lists of the API, which go by ids.
        Index("ix_invoices_company", "connection_id", "id"),
        Index("ix_invoices_recorded_at", "recorded_at", "id"),
        Index("ix_invoices_newest", "connection_id", "created_ms", "id"),
        Index("ix_invoices_number", "connection_id", "number_key", "id"),
        Index("ix_invoices_amount", "connection_id", "total", "id"),
        Index("ix_invoices_due", "connection_id", "due_key", "id"),
        # Every column that a search compares or sorts by, so that it reads no invoice.
        Index(
            "ix_invoices_sought",
            *("connection_id", "sought", "id", "total", "created_ms", "number_key", "due_key"),
            sqlite_where=text(RECORDED),
            postgresql_where=text(RECORDED),
        ),
        Index(
            "ix_invoices_to_fix",
            *("connection_id", "created_ms", "id"),
            sqlite_where=text(TO_FIX),
            postgresql_where=text(TO_FIX),
        ),
        Index(
            "ix_invoices_held",
            *("connection_id", "id"),
            sqlite_where=text(HELD),
            postgresql_where=text(HELD),
        ),
        # Every column that the ledger adds up, so that it reads no invoice.
        Index(
            "ix_invoices_customer",
            *("connection_id", "customer_id", "currency", "due_key", "deleted", "total"),
            *("balance", "first_total", "settled_at", "created_ms", "id"),
        ),
        # All that an account is counted from, so that counting reads no invoice.
        Index(
            "ix_invoices_open",
            *("connection_id", "customer_id", "due_key", "currency", "last_updated", "balance"),
            "deleted",  # SQLite asks it again
            sqlite_where=text(OPEN),
            postgresql_where=text(OPEN),
        ),
        Index(
            "ix_invoices_to_correct",
            *("connection_id", "created_ms", "id"),
            sqlite_where=text(TO_CORRECT),
            postgresql_where=text(TO_CORRECT),
        ),
        # Before that of a part of it, which SQLite takes because it is younger.
        Index(
            "ix_invoices_unseen",
            *("connection_id", "created_ms", "id"),
            sqlite_where=text(UNSEEN),
            postgresql_where=text(UNSEEN),
        ),
        Index(
            "ix_invoices_to_invite",
            *("connection_id", "created_ms", "id"),
            sqlite_where=text(TO_INVITE),
            postgresql_where=text(TO_INVITE),
        ),
        # The three parts of a supplier's list, each in its order.
        Index(
            "ix_invoices_current",
            *("connection_id", "created_ms", "id"),
            sqlite_where=text(OPEN),
            postgresql_where=text(OPEN),
        ),
        Index(
            "ix_invoices_closed",
            *("connection_id", "created_ms", "id"),
            sqlite_where=text(CLOSED),
            postgresql_where=text(CLOSED),
        ),
        # With what its tile adds up, so that this reads no invoice.
        Index(
            "ix_invoices_outside",
            *("connection_id", "created_ms", "id", "currency", "total"),
            sqlite_where=text(OUTSIDE),
            postgresql_where=text(OUTSIDE),
        ),
        Index(
            "ix_invoices_fixed",
            *("connection_id", "fixed_at"),
            sqlite_where=text(FIXED),
            postgresql_where=text(FIXED),
        ),
        Index("ix_invoices_doc_number", "doc_number"),
        Index("ix_invoices_twin_number", "twin_number", "created_ms", "id"),
        Index("ix_invoices_twin_buyer", "twin_buyer", "created_ms", "id"),
        Index("ix_invoices_twin_name", "twin_name", "created_ms", "id"),
        Index("ix_invoices_twin_email", "twin_email", "created_ms", "id"),
        Index(
            "ix_invoices_withdrawn",
            "connection_id",
            "withdrawn_at",
            sqlite_where=text("withdrawn_at IS NOT NULL"),
            postgresql_where=text("withdrawn_at IS NOT NULL"),
        ),
        Index("ux_invoices_adopted", "adopted", unique=True),
        Index(
            "ix_invoices_adopted_as",
            "adopted_as",
            sqlite_where=text("adopted_as IS NOT NULL"),
            postgresql_where=text("adopted_as IS NOT NULL"),
        ),
        Index(
            "ix_invoices_to_explain",
            "connection_id",
            sqlite_where=text(TO_EXPLAIN),
            postgresql_where=text(TO_EXPLAIN),
        ),
        Index(
            "ix_invoices_old_rows_held",
            "connection_id",
            sqlite_where=text(OLD_ROWS_HELD),
            postgresql_where=text(OLD_ROWS_HELD),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # Infactor's invoiceId
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"))
    quickbooks_id: Mapped[str] = mapped_column(String(64))
    sync_token: Mapped[int] = mapped_column(BigInteger)
    # None where QuickBooks has said a time that is not believed; see `store.quickbooks_times`.
    last_updated: Mapped[datetime | None] = mapped_column(Instant)
    fetch_number: Mapped[int] = mapped_column(BigInteger)
    # A digest of all that the mapping depends on. A read with the same one is not mapped again.
    digest: Mapped[str] = mapped_column(String(32), default="", server_default="")
    deleted: Mapped[bool] = mapped_column(default=False)
    void_noticed: Mapped[bool] = mapped_column(default=False)
    source: Mapped[dict[str, Any]] = mapped_column(ExactJSON)
    # None if deleted before it was ever read, after a handover until mapped again, or forgotten.
    mapped: Mapped[dict[str, Any] | None] = mapped_column(ExactJSON)
    # What the rules ask of it; see `infactor.rules.facts`. Empty if it was never read.
    facts: Mapped[str] = mapped_column(Text, default="", server_default="")
    # The leading one of `holds`, for queries; a RuleCode.
    hold: Mapped[str | None] = mapped_column(String(20))
    # Every rule that keeps it from being offered, and every other that applies.
    holds: Mapped[list[Any]] = mapped_column(ExactJSON, default=list, server_default="[]")
    signals: Mapped[list[Any]] = mapped_column(ExactJSON, default=list, server_default="[]")
    warnings: Mapped[list[Any]] = mapped_column(ExactJSON)
    customer_id: Mapped[str | None] = mapped_column(String(64))
    customer_versions: Mapped[str] = mapped_column(Text, default="")
    doc_number: Mapped[str] = mapped_column(Text, default="")
    # What the supplier's list is sorted and searched by; see `store.invoices.keys`.
    number_key: Mapped[str] = mapped_column(Key, default="", server_default="")
    due_key: Mapped[str] = mapped_column(Key, default="~", server_default="~")
    # The buyer and the number, in one case; empty exactly while `mapped` is NULL.
    sought: Mapped[str] = mapped_column(Key, default="", server_default="")
    # Digests of what invoices of one sale share; see `infactor.rules.twins`.
    twin_number: Mapped[int | None] = mapped_column(BigInteger)
    twin_buyer: Mapped[int | None] = mapped_column(BigInteger)
    twin_name: Mapped[int | None] = mapped_column(BigInteger)
    twin_email: Mapped[int | None] = mapped_column(BigInteger)
    total: Mapped[Decimal | None] = mapped_column(Money)
    balance: Mapped[Decimal | None] = mapped_column(Money)
    currency: Mapped[str | None] = mapped_column(String(8))
    # The total with which it was first recorded.
    first_total: Mapped[Decimal | None] = mapped_column(Money)
    # When its balance was seen to have become 0, in seconds of the database's clock; None while
    # something is due, and where it was 0 when first read.
    settled_at: Mapped[float | None] = mapped_column(Float(53))
    created_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    revision: Mapped[int] = mapped_column(default=1)
    recorded_at: Mapped[datetime] = mapped_column(Instant)
    # Every valid address that QuickBooks gives for the buyer, the document's own first.
    buyer_emails: Mapped[list[Any]] = mapped_column(ExactJSON, default=list)
    # What only Infactor's own database shows, such as that no buyer has this address.
    delivery_warnings: Mapped[list[Any]] = mapped_column(ExactJSON, default=list)
    # The warnings before one of them last went, and when: what is gone of them has been fixed.
    fixed: Mapped[list[Any]] = mapped_column(ExactJSON, default=list, server_default="[]")
    fixed_at: Mapped[datetime | None] = mapped_column(Instant)
    # When it was last withdrawn, in seconds of the database's clock; restored or not since.
    withdrawn_at: Mapped[float | None] = mapped_column(Float(53))
    # When a buyer was first seen to have approved it: from then on its history is kept for years.
    approved_at: Mapped[datetime | None] = mapped_column(Instant)
    # Of which read its payments were last read.
    settled_fetch: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # The row of Infactor's old import that is this invoice's document: its ObjectId.
    adopted: Mapped[str | None] = mapped_column(String(24))
    # Its invoiceId, by which Infactor and its people know it.
    adopted_as: Mapped[str | None] = mapped_column(String(64))
    # Infactor has rows of its old import with this Id that nobody can explain.
    old_rows_held: Mapped[bool] = mapped_column(default=False, server_default=false())

    # Only whoever asks for it loads it.
    delivery: Mapped["DeliveryState"] = relationship(lazy="raise")

    @property
    def delivered_revision(self) -> int:
        """The revision that Infactor's own database has, of a loaded `delivery`; 0 is none."""
        return self.delivery.delivered_revision

    @property
    def document_id(self) -> str:
        """The invoiceId of its document in Infactor, which only an adopted row has of its own."""
        return self.id if self.adopted is None else self.adopted_as or self.adopted


class DeliveryState(Base):
    """How far the delivery of an invoice into Infactor's own database is.

    Each invoice has one. It is apart from the invoice, because a delivery changes nothing else, and
    the invoice's own row is wide and has many indexes. Whoever writes it holds the company's lock.
    """

    __tablename__ = "delivery_states"
    __table_args__ = (
        Index(
            "ix_delivery_states_outgoing",
            *("connection_id", "recorded_at", "invoice_id"),
            sqlite_where=text(_OUTGOING),
            postgresql_where=text(_OUTGOING),
        ),
    )

    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    connection_id: Mapped[str] = mapped_column(String(32))
    # As the invoice has them.
    revision: Mapped[int] = mapped_column(default=1)
    recorded_at: Mapped[datetime] = mapped_column(Instant)
    # The revision that Infactor's own database has; 0 is none.
    delivered_revision: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)


class BuyerAddress(Base):
    """An e-mail address that a company's customer has, or had, on an invoice or in its record."""

    __tablename__ = "buyer_addresses"
    __table_args__ = (Index("ix_buyer_addresses_domain", "connection_id", "domain", "since_ms"),)

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    address: Mapped[str] = mapped_column(Key, primary_key=True)  # case-folded
    # Of a project or sub-customer, the customer to whom it belongs.
    customer_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    domain: Mapped[str] = mapped_column(Key)
    # When the first invoice with it was entered in QuickBooks.
    since_ms: Mapped[int] = mapped_column(BigInteger)


class InvoiceToJudge(Base):
    """An invoice that has to be judged again, because another one has changed.

    Without foreign keys, which would wait for the other company's transactions.
    """

    __tablename__ = "invoices_to_judge"

    connection_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    invoice_id: Mapped[str] = mapped_column(String(32), primary_key=True)


class OldId(Base):
    """An Id that unexplained rows of Infactor's old import name, but no recorded invoice has.

    If such an invoice is recorded later, the rows are checked before it is delivered.
    """

    __tablename__ = "old_ids"

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    quickbooks_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class Revision(Base):
    """One change of an invoice's record: when, why, and which fields."""

    __tablename__ = "revisions"
    __table_args__ = (UniqueConstraint("connection_id", "sequence"),)

    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(Instant)
    cause: Mapped[str] = mapped_column(String(32))
    sync_token: Mapped[int] = mapped_column(BigInteger)
    last_updated: Mapped[datetime | None] = mapped_column(Instant)
    customer_versions: Mapped[str] = mapped_column(Text)
    hold: Mapped[str | None] = mapped_column(String(20))
    # Every reason, as the invoice's own row had them; see `infactor.rules.judge.plain`.
    holds: Mapped[list[Any]] = mapped_column(ExactJSON, default=list, server_default="[]")
    signals: Mapped[list[Any]] = mapped_column(ExactJSON, default=list, server_default="[]")
    changes: Mapped[dict[str, Any]] = mapped_column(ExactJSON)  # {field: [before, after]}
    # Its place in the company's chain; see `store.revision_chain`.
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"))
    sequence: Mapped[int] = mapped_column(BigInteger)
    entry: Mapped[str] = mapped_column(Text)
    entry_digest: Mapped[str] = mapped_column(String(64))
    link: Mapped[str] = mapped_column(String(64))


class ErasedRevision(Base):
    """A link of a company's chain whose revision was deleted when the company was forgotten."""

    __tablename__ = "erased_revisions"

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    entry_digest: Mapped[str] = mapped_column(String(64))
    link: Mapped[str] = mapped_column(String(64))


class Document(Base):
    """Infactor's invoice as last seen; its own table here while no other database is configured.

    With Infactor's own database configured, only deliveries and polls write these. Without foreign
    keys, which cost more than the row: whoever writes it has its DeliveryState, under the company's
    lock.
    """

    __tablename__ = "documents"
    __table_args__ = (
        Index("ix_documents_state", "connection_id", "supplier_id", "state", "invoice_id"),
        # For lists of the API.
        Index("ix_documents_of_state", "state", "invoice_id", "connection_id"),
        Index("ix_documents_changed_at", "seen_at", "written_at", "invoice_id"),
        Index(
            "ix_documents_withdrawn",
            *("connection_id", "supplier_id", "invoice_id"),
            sqlite_where=text(WITHDRAWN),
            postgresql_where=text(WITHDRAWN),
        ),
        # All that the tiles of a supplier's page add up, so that they read no document.
        Index(
            "ix_documents_total",
            *("connection_id", "supplier_id", "state", "currency", "total"),
            sqlite_where=text(OFFERED),
            postgresql_where=text(OFFERED),
        ),
    )

    invoice_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    connection_id: Mapped[str] = mapped_column(String(32))
    # The supplier it was written for: the company may since have been handed over to another.
    supplier_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(32))
    document: Mapped[dict[str, Any]] = mapped_column(ExactJSON)
    # Copied from the document for queries. `withdrawn`: we withdrew it and nobody has changed that
    # since. `marked`: it has our marker, whatever else somebody changed.
    withdrawn: Mapped[bool] = mapped_column(default=False, server_default=false())
    marked: Mapped[bool] = mapped_column(default=False, server_default=false())
    # None where Infactor has no amount that the record can hold.
    total: Mapped[Decimal | None] = mapped_column(Money)
    revision: Mapped[int] = mapped_column()
    written_at: Mapped[datetime] = mapped_column(Instant)
    # The invoice's when the document was last written: the document itself does not say.
    balance: Mapped[Decimal | None] = mapped_column(Money)
    currency: Mapped[str | None] = mapped_column(String(8))
    customer_id: Mapped[str | None] = mapped_column(String(64))
    seen_at: Mapped[datetime | None] = mapped_column(Instant)


class Receipt(Base):
    """What one delivery of one revision did in Infactor; without a foreign key, as a Document."""

    __tablename__ = "receipts"
    __table_args__ = (Index("ix_receipts_invoice", "invoice_id", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    invoice_id: Mapped[str] = mapped_column(String(32))
    revision: Mapped[int] = mapped_column()
    at: Mapped[datetime] = mapped_column(Instant)
    outcome: Mapped[str] = mapped_column(String(16))  # of an Action: created, refreshed …
    state: Mapped[str | None] = mapped_column(String(64))  # Infactor's, as met; None: no document
    changed: Mapped[list[Any]] = mapped_column(ExactJSON)  # names of the fields that were written


class SettlementRow(Base):
    """What one transaction settled of an approved invoice; see `infactor.settlements`."""

    __tablename__ = "settlements"

    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    # The payment that applied it; "" if the invoice itself names the credit.
    payment_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    # The payment, credit memo or journal entry itself.
    source_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))  # a SettlementKind
    amount: Mapped[Decimal] = mapped_column(Money)
    # What falls on the invoice if all that the payment settles share the credit.
    share: Mapped[Decimal] = mapped_column(Money)
    paid_on: Mapped[str] = mapped_column(String(10))  # when it was applied; "" if nobody says
    payer: Mapped[str] = mapped_column(Text)
    account: Mapped[str] = mapped_column(Text)
    # A credit's own number and day.
    number: Mapped[str] = mapped_column(Text)
    dated: Mapped[str] = mapped_column(String(10))
    read_at: Mapped[datetime] = mapped_column(Instant)


class Finding(Base):
    """What an operator should review, from its beginning to its end: a cause with its fields."""

    __tablename__ = "findings"
    __table_args__ = (
        Index(
            "ux_findings_open",
            "invoice_id",
            "kind",
            "cause",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("ix_findings_connection", "connection_id", "id"),
        Index(
            "ix_findings_alarming",
            "connection_id",
            "id",
            sqlite_where=text(ALARMING),
            postgresql_where=text(ALARMING),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoices.id"))
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"))
    kind: Mapped[str] = mapped_column(String(24))  # a FindingKind
    # Which of its kind: a rule's code, or "" where a kind has one cause alone.
    cause: Mapped[str] = mapped_column(String(32), default="", server_default="")
    severity: Mapped[str] = mapped_column(String(16))  # the most urgent of its fields'
    state: Mapped[str] = mapped_column(String(64))  # Infactor's, when it was found
    fields: Mapped[list[FoundField]] = mapped_column(ExactJSON)
    found_at: Mapped[datetime] = mapped_column(Instant)
    changed_at: Mapped[datetime] = mapped_column(Instant)
    closed_at: Mapped[datetime | None] = mapped_column(Instant)
    # When an operator acknowledged it; a later change undoes that.
    acknowledged_at: Mapped[datetime | None] = mapped_column(Instant)
    note: Mapped[str | None] = mapped_column(Text)
