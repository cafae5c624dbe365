"""The tables, and what a row of each means.

Other tables know a company by its connection's own id; the realm id is sealed there.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service.store.columns import ExactJSON, Instant, Money, RowId


class Base(DeclarativeBase):
    """The metadata that migrations are compared with."""


class Supplier(Base):
    """One supplier of Infactor, known by the e-mail address of their account there."""

    __tablename__ = "suppliers"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # In the very spelling of their account: Infactor tells two spellings apart, and so do we.
    email: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class Connection(Base):
    """One company's authorisation. A company belongs to one supplier, for good."""

    __tablename__ = "connections"
    __table_args__ = (UniqueConstraint("environment", "realm_digest"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    supplier_id: Mapped[int] = mapped_column(ForeignKey("suppliers.id"), index=True)
    environment: Mapped[str] = mapped_column(String(16))
    realm_digest: Mapped[str] = mapped_column(String(64))
    realm_sealed: Mapped[str] = mapped_column(Text)
    company_name: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))  # connected | disconnected
    problem: Mapped[str | None] = mapped_column(Text)  # why it is disconnected or paused
    access_sealed: Mapped[str | None] = mapped_column(Text)
    access_expires_at: Mapped[datetime | None] = mapped_column(Instant)
    refresh_sealed: Mapped[str | None] = mapped_column(Text)
    refresh_expires_at: Mapped[datetime | None] = mapped_column(Instant)
    hard_expires_at: Mapped[datetime | None] = mapped_column(Instant)
    connected_at: Mapped[datetime] = mapped_column(Instant)
    renewed_at: Mapped[datetime] = mapped_column(Instant)
    last_synced_at: Mapped[datetime | None] = mapped_column(Instant)
    # Everything that changed up to here, by QuickBooks' own clock, has been read.
    changes_read_until: Mapped[datetime] = mapped_column(Instant)
    # Rises by one for each read of this company; orders answers without comparing clocks.
    fetch_number: Mapped[int] = mapped_column(BigInteger, default=0)
    paused_until: Mapped[datetime | None] = mapped_column(Instant)
    failures: Mapped[int] = mapped_column(default=0)
    nudge_due_at: Mapped[datetime | None] = mapped_column(Instant)


class Notice(Base):
    """One event that QuickBooks sent, and what became of it."""

    __tablename__ = "notices"
    __table_args__ = (
        Index(
            "ix_notices_pending",
            "connection_id",
            "id",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_notices_connection", "connection_id", "received_at"),
        Index(
            "ix_notices_unconnected",
            "realm_digest",
            sqlite_where=text("connection_id IS NULL"),
            postgresql_where=text("connection_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # An event without an id, as all legacy ones, lets its key go when work begins: a second real
    # change within the same second is not taken for a repetition.
    dedupe_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    connection_id: Mapped[str | None] = mapped_column(ForeignKey("connections.id"))
    realm_digest: Mapped[str | None] = mapped_column(String(64))
    realm_sealed: Mapped[str | None] = mapped_column(Text)
    format: Mapped[str] = mapped_column(String(16))
    event_id: Mapped[str | None] = mapped_column(String(128))
    entity: Mapped[str | None] = mapped_column(String(128))
    operation: Mapped[str | None] = mapped_column(String(128))
    entity_id: Mapped[str | None] = mapped_column(String(128))
    deleted_id: Mapped[str | None] = mapped_column(String(128))
    changed_at: Mapped[datetime | None] = mapped_column(Instant)
    received_at: Mapped[datetime] = mapped_column(Instant)
    body_sealed: Mapped[str | None] = mapped_column(Text)  # of what could not be parsed
    duplicates: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16))  # pending | done | parked | ignored
    reason: Mapped[str | None] = mapped_column(Text)  # the outcome, or why there is none yet
    attempts: Mapped[int] = mapped_column(default=0)
    # Claims that were never given back: their worker died. See `inbox.claim`.
    losses: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    claimed_by: Mapped[str | None] = mapped_column(String(64))
    last_attempt_at: Mapped[datetime | None] = mapped_column(Instant)
    error_class: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    intuit_tid: Mapped[str | None] = mapped_column(String(128))
    handled_at: Mapped[datetime | None] = mapped_column(Instant)


class Customer(Base):
    """The last read copy of a company's customer, as QuickBooks wrote it."""

    __tablename__ = "customers"

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    quickbooks_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    parent_id: Mapped[str | None] = mapped_column(String(64))
    sync_token: Mapped[int] = mapped_column(BigInteger)
    last_updated: Mapped[datetime] = mapped_column(Instant)
    fetch_number: Mapped[int] = mapped_column(BigInteger)
    # The read at which another name than before was seen: invoices read earlier carry the old one.
    renamed_at_fetch: Mapped[int | None] = mapped_column(BigInteger)
    source: Mapped[dict[str, Any]] = mapped_column(ExactJSON)
    read_at: Mapped[datetime] = mapped_column(Instant)


class Invoice(Base):
    """One QuickBooks invoice: the newest version seen, and what it means for Infactor."""

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("connection_id", "quickbooks_id"),
        Index("ix_invoices_newest", "connection_id", "created_ms"),
        Index("ix_invoices_customer", "connection_id", "customer_id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # Infactor's invoiceId
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"))
    quickbooks_id: Mapped[str] = mapped_column(String(64))
    sync_token: Mapped[int] = mapped_column(BigInteger)
    last_updated: Mapped[datetime] = mapped_column(Instant)
    fetch_number: Mapped[int] = mapped_column(BigInteger)
    deleted: Mapped[bool] = mapped_column(default=False)
    void_noticed: Mapped[bool] = mapped_column(default=False)
    source: Mapped[dict[str, Any]] = mapped_column(ExactJSON)
    # Nothing is mapped for an invoice that was deleted before it was ever read.
    mapped: Mapped[dict[str, Any] | None] = mapped_column(ExactJSON)
    hold: Mapped[str | None] = mapped_column(String(16))
    warnings: Mapped[list[Any]] = mapped_column(ExactJSON)
    customer_id: Mapped[str | None] = mapped_column(String(64))
    customer_versions: Mapped[str] = mapped_column(Text, default="")
    doc_number: Mapped[str] = mapped_column(Text, default="")
    total: Mapped[Decimal | None] = mapped_column(Money)
    balance: Mapped[Decimal | None] = mapped_column(Money)
    currency: Mapped[str | None] = mapped_column(String(8))
    created_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    revision: Mapped[int] = mapped_column(default=1)
    recorded_at: Mapped[datetime] = mapped_column(Instant)


class Revision(Base):
    """One change of an invoice's record: when, why, and which fields."""

    __tablename__ = "revisions"

    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(Instant)
    cause: Mapped[str] = mapped_column(String(32))
    sync_token: Mapped[int] = mapped_column(BigInteger)
    last_updated: Mapped[datetime] = mapped_column(Instant)
    customer_versions: Mapped[str] = mapped_column(Text)
    hold: Mapped[str | None] = mapped_column(String(16))
    changes: Mapped[dict[str, Any]] = mapped_column(ExactJSON)  # {field: [before, after]}


class Document(Base):
    """Infactor's invoice table, kept by this service itself while no other is configured."""

    __tablename__ = "documents"

    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    state: Mapped[str] = mapped_column(String(32))
    document: Mapped[dict[str, Any]] = mapped_column(ExactJSON)
    revision: Mapped[int] = mapped_column()
    written_at: Mapped[datetime] = mapped_column(Instant)


class Run(Base):
    """One backfill of one company: its range, its checkpoint and its count so far."""

    __tablename__ = "runs"
    __table_args__ = (
        Index(
            "ux_runs_active",
            "connection_id",
            "kind",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))  # backfill
    cause: Mapped[str] = mapped_column(String(16))  # connect | reconnect | command
    state: Mapped[str] = mapped_column(String(16))  # active | done | failed
    since: Mapped[datetime | None] = mapped_column(Instant)
    # Widening a run that is under way starts it over: pages of an older generation do not count.
    generation: Mapped[int] = mapped_column(default=0)
    cursor: Mapped[dict[str, Any] | None] = mapped_column(ExactJSON)
    expected: Mapped[int | None] = mapped_column()
    tally: Mapped[dict[str, Any]] = mapped_column(ExactJSON)
    attempts: Mapped[int] = mapped_column(default=0)
    # Pages that were never finished nor given back: their worker died. See `runs.claim`.
    losses: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)


class RunSeen(Base):
    """An invoice that a run over a company's whole past has met; kept while the run is active."""

    __tablename__ = "runs_seen"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    quickbooks_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class Lease(Base):
    """The right of one process to do one thing, until a moment of the database's clock."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    taken_at: Mapped[float] = mapped_column(Float(53))
    until: Mapped[float] = mapped_column(Float(53))


class Pace(Base):
    """When a company may next be called: the theoretical arrival time of its rate limit."""

    __tablename__ = "paces"

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    free_at: Mapped[float] = mapped_column(Float(53))


class Reads(Base):
    """How many metered reads a company has cost in a month, by kind."""

    __tablename__ = "reads"

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)  # 2026-11
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class BrowserSession(Base):
    """One browser, known by the digest of its cookie, and the supplier it has proved to be."""

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    supplier_id: Mapped[int | None] = mapped_column(ForeignKey("suppliers.id"))
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class OAuthState(Base):
    """One journey through QuickBooks' consent: usable once, by the browser that began it."""

    __tablename__ = "oauth_states"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_digest: Mapped[str] = mapped_column(String(64))
    environment: Mapped[str] = mapped_column(String(16))
    supplier_id: Mapped[int] = mapped_column(ForeignKey("suppliers.id"))
    link_id: Mapped[str | None] = mapped_column(String(64))
    another_company: Mapped[bool] = mapped_column(default=False)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


class SpentLink(Base):
    """A connect link with which a connection was stored, so that it opens nothing again."""

    __tablename__ = "spent_links"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
