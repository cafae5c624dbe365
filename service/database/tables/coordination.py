"""What processes share: leases, limits, meters and signs of life."""

from datetime import datetime

from sqlalchemy import BigInteger, Float, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables.metadata import Base
from service.database.types import Instant


class Lease(Base):
    """The right of one process to do one thing until a time of the database's clock."""

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
    """How many metered reads a company has made in a month, by kind."""

    __tablename__ = "reads"
    __table_args__ = (Index("ix_reads_month", "month", "count"),)

    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)  # 2026-11
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class Breaker(Base):
    """Whether something that all processes need is away, and when one may try it again."""

    __tablename__ = "breakers"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    since: Mapped[float | None] = mapped_column(Float(53))
    open_until: Mapped[float] = mapped_column(Float(53), default=0.0)
    error: Mapped[str | None] = mapped_column(Text)


class Heartbeat(Base):
    """When any process of a kind was last alive, by the database's clock."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)  # receiver | clock
    at: Mapped[float] = mapped_column(Float(53))


class Process(Base):
    """When one process was last alive, by the database's clock, and what it is."""

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)  # a ProcessKind
    version: Mapped[str] = mapped_column(String(64))
    accepts_webhooks: Mapped[bool]
    at: Mapped[float] = mapped_column(Float(53))


class ClockError(Base):
    """A clock that was set, or differs from the database's: by how much, and when it was seen."""

    __tablename__ = "clock_errors"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)  # database, or a machine's name
    seconds: Mapped[float] = mapped_column(Float(53))
    at: Mapped[float] = mapped_column(Float(53))  # by the database's clock


class WebhookAnswers(Base):
    """How many webhooks all receivers answered in one minute, by outcome."""

    __tablename__ = "deliveries"

    minute: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    outcome: Mapped[str] = mapped_column(String(16), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
