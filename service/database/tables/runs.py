"""Backfills and reconciles, their checkpoints, and the invoices they have met."""

from datetime import datetime
from decimal import Decimal
from typing import Literal, NotRequired, TypedDict

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables.metadata import Base
from service.database.types import ExactJSON, Instant, Money, RowId


class PageCursor(TypedDict):
    """Where the next page of changes begins; see `Cursor` in workers/reading/by_change.py."""

    since: str | None  # ISO 8601
    skip: int
    seen: list[str]
    last: str | None
    size: int
    slow: bool
    bad: int
    behind: int
    done: bool


class DocumentCursor(TypedDict):
    """How far Infactor's documents are compared: after this invoice id."""

    after: str
    done: bool


class ReconcileCursor(TypedDict):
    """What a reconcile was asked for, and how far it has come."""

    full: bool  # everything is compared, not only what changed
    fix: bool  # what differs is fixed
    overrule: NotRequired[bool]  # even where the record looks newer than what is read
    stage: NotRequired[Literal["changes", "customers", "listing"]]
    since: NotRequired[str]  # ISO 8601, from which changed customers are read
    page: NotRequired[PageCursor | None]  # None where a stage begins
    first: NotRequired[int]  # the fetch number with which the comparison began
    until: NotRequired[str]  # and QuickBooks' clock then, in ISO 8601
    infactor: NotRequired[DocumentCursor]


class InvoicesCursor(TypedDict):
    """Which invoices are still to be read, by QuickBooks id."""

    invoices: list[str]


class Failure(TypedDict):
    """An invoice that could not be recorded; `id` is its place where its Id is unknown."""

    id: str
    error: str  # the name of its class
    message: str


class DifferenceRow(TypedDict):
    """An invoice that differs from its record; `id` is its place where its Id is unknown."""

    id: str
    number: str
    kind: str  # a DifferenceKind
    there: str  # in QuickBooks, or in Infactor
    here: str


class SumsRow(TypedDict):
    count: int
    total: Decimal
    balance: Decimal


class Tally(TypedDict):
    """What a run has done so far. Each invoice that was read counts once."""

    read: int
    created: int
    refreshed: int
    unchanged: int
    withdrawn: int
    restored: int
    held: dict[str, int]  # by hold
    failed: int
    failures: list[Failure]  # the first of them
    rounds: int  # how often the last page was read once more

    # Of a backfill, at its end.
    counted: NotRequired[int]  # by QuickBooks
    recorded: NotRequired[int]

    # Of a reconcile.
    unreadable: NotRequired[list[str]]  # places
    fixed: NotRequired[list[DifferenceRow]]
    differences: NotRequired[list[DifferenceRow]]
    there: NotRequired[SumsRow | None]  # None until everything is read
    here: NotRequired[SumsRow | None]
    infactor: NotRequired[list[DifferenceRow]]
    infactor_fixed: NotRequired[list[DifferenceRow]]
    infactor_compared: NotRequired[int | None]  # documents; None where none was


class Run(Base):
    """One backfill or reconcile of one company: its range, its checkpoint, its counts."""

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
        Index("ix_runs_newest", "connection_id", "kind", "id"),
        Index("ix_runs_finished", "finished_at"),
        # What operators list: one kind, or what has gone wrong.
        Index("ix_runs_kind", "kind", "id"),
        Index(
            "ix_runs_error",
            "id",
            sqlite_where=text("error IS NOT NULL"),
            postgresql_where=text("error IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))  # a RunKind
    cause: Mapped[str] = mapped_column(String(16))  # a RunCause
    state: Mapped[str] = mapped_column(String(16))  # a RunState
    since: Mapped[datetime | None] = mapped_column(Instant)
    # Widening an active run starts it over: pages of an older generation do not count.
    generation: Mapped[int] = mapped_column(default=0)
    # The company's fetch number when it began: whatever it reads has a higher one.
    fetch_number: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # A PageCursor of a backfill, a ReconcileCursor of a reconcile, else an InvoicesCursor.
    cursor: Mapped[PageCursor | ReconcileCursor | InvoicesCursor | None] = mapped_column(ExactJSON)
    expected: Mapped[int | None] = mapped_column()
    tally: Mapped[Tally] = mapped_column(ExactJSON)
    # How many changes a daily reconcile found that no notice had announced.
    unannounced: Mapped[int] = mapped_column(default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(default=0)
    # Steps whose worker died. See `runs.claim`.
    losses: Mapped[int] = mapped_column(default=0)
    claimed_by: Mapped[str | None] = mapped_column(String(64))
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    error: Mapped[str | None] = mapped_column(Text)
    error_class: Mapped[str | None] = mapped_column(String(64))
    # Since when no step has succeeded; None while it only waits for a limit.
    failing_since: Mapped[datetime | None] = mapped_column(Instant)
    # Since when it waits for an operator, because it would withdraw too much.
    halted_at: Mapped[datetime | None] = mapped_column(Instant)
    # Names no invoice, because people write names into their numbers; `error` does.
    halt_reason: Mapped[str | None] = mapped_column(Text)
    confirmed: Mapped[bool] = mapped_column(default=False)
    # What its next step would withdraw: {invoice id: hold}.
    would_withdraw: Mapped[dict[str, str] | None] = mapped_column(ExactJSON)
    created_at: Mapped[datetime] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)


class RunSeen(Base):
    """An invoice that an active run has met; a reconcile keeps what QuickBooks showed of it."""

    __tablename__ = "runs_seen"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    quickbooks_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    sync_token: Mapped[int | None] = mapped_column(BigInteger)
    last_updated: Mapped[datetime | None] = mapped_column(Instant)
    total: Mapped[Decimal | None] = mapped_column(Money)
    balance: Mapped[Decimal | None] = mapped_column(Money)
