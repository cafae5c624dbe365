"""Samples: how the service did in each five minutes, so that its course can be drawn.

What happened since the last change in QuickBooks is counted once and kept; a page reads a few
hundred rows, however much has happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Float, cast, delete, func, literal, select
from sqlalchemy.orm import Session

from service.store import measures
from service.store.insert import insert
from service.store.tables import Notice, Sample

SECONDS = 300
_STATUSES = ("done", "parked", "ignored")


@dataclass(frozen=True, slots=True)
class Span:
    """How the service did in several slots: the worst of each, and the sums of what was counted."""

    at: datetime
    lag_p50: float | None
    lag_p95: float | None
    pending: int
    oldest_pending: float
    done: int
    parked: int
    ignored: int


def slot_of(at: datetime) -> int:
    """Return the number of the five minutes in which this moment is."""
    return int(at.timestamp()) // SECONDS


def begin_of(slot: int) -> datetime:
    """Return when these five minutes began."""
    return datetime.fromtimestamp(slot * SECONDS, UTC)


def is_taken(session: Session, slot: int) -> bool:
    """Return whether there is a sample of these five minutes."""
    return session.execute(select(Sample.slot).where(Sample.slot == slot)).first() is not None


def take(session: Session, environment: str, slot: int, now: datetime) -> None:
    """Keep how the service did in these five minutes, which are over; once, whoever does it."""
    since, until = begin_of(slot), begin_of(slot + 1)
    pending = select(func.count()).where(Notice.status == literal("pending", literal_execute=True))
    lags = measures.quantiles(measures.lags(session, since, until))
    sample = insert(session, Sample).values(
        slot=slot,
        lag_p50=lags.get(0.5),
        lag_p95=lags.get(0.95),
        pending=session.execute(pending).scalar_one(),
        oldest_pending=measures.oldest_due(session, environment, now),
        **_ended(session, since, until),
    )
    session.execute(sample.on_conflict_do_nothing())


def _ended(session: Session, since: datetime, until: datetime) -> dict[str, int]:
    rows = session.execute(
        select(Notice.status, func.count())
        .where(Notice.handled_at >= since, Notice.handled_at < until)
        .group_by(Notice.status)
    )
    return {**dict.fromkeys(_STATUSES, 0), **{s: count for s, count in rows if s in _STATUSES}}


def spans(session: Session, since: datetime, slots: int) -> Sequence[Span]:
    """Return what is known since then, with its slot; what is not known is left out.

    So many slots are one: the median of several is the mean of theirs, of all else the worst.
    """
    number = (Sample.slot // slots).label("number")
    rows = session.execute(
        select(
            number,
            cast(func.avg(Sample.lag_p50), Float),
            func.max(Sample.lag_p95),
            func.max(Sample.pending),
            func.max(Sample.oldest_pending),
            *(cast(func.sum(column), Float) for column in (Sample.done, Sample.parked)),
            cast(func.sum(Sample.ignored), Float),
        )
        .where(Sample.slot >= slot_of(since))
        .group_by(number)
        .order_by(number)
    )
    return [
        Span(begin_of(n * slots), p50, p95, pending, oldest, int(done), int(parked), int(ignored))
        for n, p50, p95, pending, oldest, done, parked, ignored in rows
    ]


def newest(session: Session) -> datetime | None:
    """Return when the newest sample ended."""
    slot = session.execute(select(func.max(Sample.slot))).scalar_one()
    return None if slot is None else begin_of(slot) + timedelta(seconds=SECONDS)


def old_samples(session: Session, before: datetime, limit: int) -> int:
    """Delete samples from before then."""
    slots = select(Sample.slot).where(Sample.slot < slot_of(before)).limit(limit)
    found = session.scalars(slots).all()
    session.execute(delete(Sample).where(Sample.slot.in_(found)))
    return len(found)
