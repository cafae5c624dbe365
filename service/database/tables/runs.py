"""Backfills and reconciles, and what they have met."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables.metadata import Base
from service.database.types import ExactJSON, Instant, Money, RowId


class Run(Base):
    """One backfill or reconcile of one company: its range, its checkpoint, its count so far."""

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
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))  # backfill | reconcile
    cause: Mapped[str] = mapped_column(
        String(16)
    )  # connect | reconnect | command | daily | downtime
    state: Mapped[str] = mapped_column(String(16))  # active | done | failed
    since: Mapped[datetime | None] = mapped_column(Instant)
    # Widening a run that is under way starts it over: pages of an older generation do not count.
    generation: Mapped[int] = mapped_column(default=0)
    cursor: Mapped[dict[str, Any] | None] = mapped_column(ExactJSON)
    expected: Mapped[int | None] = mapped_column()
    tally: Mapped[dict[str, Any]] = mapped_column(ExactJSON)
    # How many changes a daily reconcile has found of which no notice had told.
    unannounced: Mapped[int] = mapped_column(default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(default=0)
    # Pages that were never finished nor given back: their worker died. See `runs.claim`.
    losses: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    error: Mapped[str | None] = mapped_column(Text)
    # Waits for an operator, because it would withdraw so much; then, that one has confirmed it.
    halted_at: Mapped[datetime | None] = mapped_column(Instant)
    confirmed: Mapped[bool] = mapped_column(default=False)
    # What it would withdraw in its next step: the hold of each invoice, by id.
    would_withdraw: Mapped[dict[str, str] | None] = mapped_column(ExactJSON)
    created_at: Mapped[datetime] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)


class RunSeen(Base):
    """An invoice that a run over a company's whole past has met; kept while the run is active.

    A reconcile keeps with it what QuickBooks showed, to compare all of it at the end.
    """

    __tablename__ = "runs_seen"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    quickbooks_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    sync_token: Mapped[int | None] = mapped_column(BigInteger)
    last_updated: Mapped[datetime | None] = mapped_column(Instant)
    total: Mapped[Decimal | None] = mapped_column(Money)
    balance: Mapped[Decimal | None] = mapped_column(Money)
