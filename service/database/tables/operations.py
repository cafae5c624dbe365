"""Alerts, the operators' audit and log-ins, and samples for charts."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Float, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables.metadata import Base
from service.database.types import ExactJSON, Instant, RowId


class Alert(Base):
    """One thing that is or was wrong. It outlives its subject, so it has no foreign key."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index(
            "ux_alerts_open",
            "cause",
            "subject",
            "about",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_alerts_newest", "raised_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    cause: Mapped[str] = mapped_column(String(32))  # connection.dead, reads.high …
    subject: Mapped[str] = mapped_column(String(64))  # a connection's id, or "" for all of it
    # Which of the subject's, where it may have several of this cause.
    about: Mapped[str] = mapped_column(String(64), default="", server_default="")
    severity: Mapped[str] = mapped_column(String(16))  # critical | warning
    text: Mapped[str] = mapped_column(Text)
    command: Mapped[str] = mapped_column(Text)  # what to run about it
    # The path of the page about it; "" where its cause and subject say which.
    page: Mapped[str] = mapped_column(Text, default="", server_default="")
    since: Mapped[datetime] = mapped_column(Instant)
    raised_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    # When every channel had accepted the message about its beginning, and about its end.
    sent_at: Mapped[datetime | None] = mapped_column(Instant)
    end_sent_at: Mapped[datetime | None] = mapped_column(Instant)
    # The names of the channels that accepted the last message, as `ALERT_URL, slack:// in …`.
    sent_to: Mapped[str] = mapped_column(Text, default="", server_default="")
    # Which of several channels have accepted the current message, by key, separated by spaces.
    accepted_by: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    error: Mapped[str | None] = mapped_column(Text)


class AuditEntry(Base):
    """One action of an operator. It outlives its subject, so it has no foreign key."""

    __tablename__ = "audit"
    __table_args__ = (
        # What operators list: one person's, one kind, or one company's.
        Index("ix_audit_actor", "actor", "id"),
        Index("ix_audit_action", "action", "id"),
        Index("ix_audit_connection", "connection_id", "id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, index=True)
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(32))
    connection_id: Mapped[str | None] = mapped_column(String(32))
    details: Mapped[dict[str, Any]] = mapped_column(ExactJSON)


class OperatorSession(Base):
    """One browser in which an operator is logged in, by the digest of its cookie."""

    __tablename__ = "operator_sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(32))
    mark: Mapped[str] = mapped_column(String(64))  # a digest; a new password ends the session
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class LoginAttempt(Base):
    """One log-in that failed or is being checked, by the digest of a name or an address."""

    __tablename__ = "login_attempts"
    __table_args__ = (Index("ix_login_attempts_about", "about", "at"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # A digest, because people type passwords into the field for names.
    about: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(Instant)


class Counter(Base):
    """A total that only rises, by two labels; see `store.counters`."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    first: Mapped[str] = mapped_column(String(64), primary_key=True)
    second: Mapped[str] = mapped_column(String(255), primary_key=True)
    total: Mapped[int] = mapped_column(BigInteger)
    # In the row without labels: everything from before then is in the others of its name.
    counted_until: Mapped[datetime | None] = mapped_column(Instant)


class Sample(Base):
    """The service's figures for five minutes; `slot` numbers those since 1970."""

    __tablename__ = "samples"

    slot: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    # Seconds from change in QuickBooks to record; None where nothing was recorded.
    lag_p50: Mapped[float | None] = mapped_column(Float(53))
    lag_p95: Mapped[float | None] = mapped_column(Float(53))
    pending: Mapped[int] = mapped_column(BigInteger)
    oldest_pending: Mapped[float] = mapped_column(Float(53))  # seconds
    done: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    ignored: Mapped[int] = mapped_column(BigInteger)
