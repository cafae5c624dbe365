"""The outbox of events for Infactor's own server, and the order in which they are told."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables.metadata import Base
from service.database.types import ExactJSON, Instant, RowId

WAITING = "waiting"
"""Which events are still to be sent."""

REFUSED = "waiting AND attempts > 0"
"""Which of them EVENTS_URL has refused: of each company at most the next one."""


class FeedEvent(Base):
    """Something that has happened, written in the transaction in which it did.

    Without foreign keys, which would lock the company's row.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("ux_events_position", "position", unique=True),
        Index("ix_events_environment", "environment", "position"),
        Index("ix_events_connection_id", "connection_id"),
        Index("ix_events_at", "at"),
        Index(
            "ix_events_waiting",
            *("connection_id", "position"),
            sqlite_where=text(WAITING),
            postgresql_where=text(WAITING),
        ),
        Index(
            "ix_events_waiting_since",
            *("environment", "at", "id", "waiting"),  # SQLite asks it again
            sqlite_where=text(WAITING),
            postgresql_where=text(WAITING),
        ),
        Index(
            "ix_events_refused",
            *("environment", "at", "id"),
            sqlite_where=text(REFUSED),
            postgresql_where=text(REFUSED),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    event_id: Mapped[str] = mapped_column(String(32))
    # Its place among all events, given after the commit; see `store.event_feed.place`.
    position: Mapped[int | None] = mapped_column(BigInteger)
    connection_id: Mapped[str] = mapped_column(String(32))
    # Its connection's, so that a page is read from one index.
    environment: Mapped[str] = mapped_column(String(16))
    type: Mapped[str] = mapped_column(String(32))  # an EventType
    subject: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(Instant)
    data: Mapped[dict[str, Any]] = mapped_column(ExactJSON)
    # Whether it is still to be sent to EVENTS_URL.
    waiting: Mapped[bool] = mapped_column()
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    error: Mapped[str | None] = mapped_column(Text)


class EventPosition(Base):
    """The last position that was given to an event, and the last one that was pruned; one row."""

    __tablename__ = "event_positions"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(BigInteger)
    pruned: Mapped[int] = mapped_column(BigInteger, default=0)
