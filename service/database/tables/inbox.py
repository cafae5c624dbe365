"""The inbox: notices, and the attempts at them that failed."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables.metadata import Base
from service.database.types import Instant, RowId


class Notice(Base):
    """One event that QuickBooks sent, or that we sent ourselves, and what became of it."""

    __tablename__ = "notices"
    __table_args__ = (
        Index(
            "ix_notices_pending",
            "connection_id",
            "id",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_notices_failed",
            "connection_id",
            "id",
            sqlite_where=text("status = 'failed'"),
            postgresql_where=text("status = 'failed'"),
        ),
        # Few of very many, which operators list.
        Index(
            "ix_notices_ignored",
            "id",
            sqlite_where=text("status = 'ignored'"),
            postgresql_where=text("status = 'ignored'"),
        ),
        Index("ix_notices_connection", "connection_id", "received_at"),
        Index("ix_notices_handled", "handled_at"),
        Index("ix_notices_entity", "entity_id"),
        Index(
            "ix_notices_tid",
            "intuit_tid",
            sqlite_where=text("intuit_tid IS NOT NULL"),
            postgresql_where=text("intuit_tid IS NOT NULL"),
        ),
        Index(
            "ix_notices_unconnected",
            "realm_digest",
            sqlite_where=text("connection_id IS NULL"),
            postgresql_where=text("connection_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # An event without an id, such as every legacy one, loses its key when work begins: a second
    # change within the same second must not count as a repetition. A place that QuickBooks cannot
    # show has a key of its own.
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
    # The id of the webhook that brought it: the correlation id in every process's log.
    webhook_id: Mapped[str | None] = mapped_column("delivery_id", String(32))
    body_sealed: Mapped[str | None] = mapped_column(Text)  # of what could not be parsed
    duplicates: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16))  # a NoticeStatus
    reason: Mapped[str | None] = mapped_column(Text)  # the outcome, or why there is none yet
    attempts: Mapped[int] = mapped_column(default=0)
    # Claims whose worker died, and what makes it a suspect. See `inbox.claim`.
    losses: Mapped[int] = mapped_column(default=0)
    # When it is tried again. None: at once, or if failed, only on request.
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    claimed_by: Mapped[str | None] = mapped_column(String(64))
    last_attempt_at: Mapped[datetime | None] = mapped_column(Instant)
    error_class: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    intuit_tid: Mapped[str | None] = mapped_column(String(128))
    handled_at: Mapped[datetime | None] = mapped_column(Instant)


class NoticeAttempt(Base):
    """One attempt at a notice that failed; the last one that succeeded stands in the notice itself.

    It is deleted with its notice.
    """

    __tablename__ = "notice_attempts"
    __table_args__ = (Index("ix_notice_attempts_notice", "notice_id", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    notice_id: Mapped[int] = mapped_column(RowId, ForeignKey("notices.id", ondelete="CASCADE"))
    began_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime] = mapped_column(Instant)
    error_class: Mapped[str] = mapped_column(String(64))
    error_message: Mapped[str] = mapped_column(Text)
    intuit_tid: Mapped[str | None] = mapped_column(String(128))
    # When the next one was planned; None if none was.
    due_at: Mapped[datetime | None] = mapped_column(Instant)
