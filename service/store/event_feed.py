"""The outbox of events: what happened, for Infactor's own server to receive or read.

An event is a row of the transaction in which it happened, so it is there exactly if that was
committed. Transactions commit in another order than they began. Whoever reads by the number of a
row would miss those that are committed later under a lower number. So an event gets its position
only after its commit, by one transaction at a time, and everybody reads by position.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from msgspec import Meta, Struct
from sqlalchemy import ColumnElement, and_, bindparam, func, literal, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from service.database.engine import KEEPS_EVENTS, SENDS_EVENTS
from service.database.tables import Connection, EventPosition, FeedEvent, Invoice
from service.database.tables.events import REFUSED, WAITING
from service.database.types import among, condition, has_come
from service.database.upsert import insert, insert_all
from service.domain import EventType

EVENTS_MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
_PLACED_AT_ONCE = 500
_LONGEST_ERROR = 200
_WAITING = condition(WAITING)
_REFUSED = condition(REFUSED)


class CloudEvent(Struct, frozen=True, kw_only=True):
    """Something that has happened, as CloudEvents 1.0 writes it."""

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, Meta(description="The same however often it is sent.")]
    source: Annotated[str, Meta(description="The service that tells it.")]
    # Text: what an older or newer version wrote is passed on.
    type: Annotated[
        str,
        Meta(
            description="What has happened. Others may be added: ignore what you do not know.",
            examples=[kind.value for kind in EventType],
        ),
    ]
    subject: Annotated[str, Meta(description="The id of the invoice, connection or finding.")]
    time: Annotated[datetime, Meta(tz=True)]
    datacontenttype: Literal["application/json"] = "application/json"
    partitionkey: Annotated[
        str, Meta(description="The connection; its events are sent one after the other.")
    ]
    data: Annotated[dict[str, Any], Meta(description="What has happened, by the type.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What an event says; without a `subject` it is about the invoice, told with both its ids."""

    type: EventType
    connection_id: str
    subject: str = ""
    invoice_id: str = ""
    data: dict[str, Any]


def tell(session: Session, happenings: Iterable[Happening], at: datetime) -> None:
    """Write these events, unless nobody reads or receives any; then `happenings` stay unread."""
    if not session.info.get(KEEPS_EVENTS):
        return
    found = list(happenings)
    if not found:
        return
    environments = _environments(session, {one.connection_id for one in found})
    known_as = _known_as(session, {one.invoice_id for one in found if one.invoice_id})
    insert_all(
        session,
        FeedEvent,
        [
            {
                "event_id": uuid4().hex,
                "connection_id": one.connection_id,
                "environment": environments[one.connection_id],
                "type": one.type,
                "subject": one.subject or one.invoice_id,
                "at": at,
                "data": _data(one, known_as),
                "waiting": bool(session.info.get(SENDS_EVENTS)),
                "attempts": 0,
            }
            for one in found
        ],
    )


def _environments(session: Session, connection_ids: set[str]) -> dict[str, str]:
    query = select(Connection.id, Connection.environment).where(
        among(Connection.id, sorted(connection_ids))
    )
    return {id_: environment for id_, environment in session.execute(query)}


def _data(one: Happening, known_as: dict[str, str]) -> dict[str, Any]:
    about = {"connection": one.connection_id}
    if one.invoice_id:
        about["invoice"] = one.invoice_id
        about["infactor_id"] = known_as.get(one.invoice_id, one.invoice_id)
    return {**about, **one.data}


def _known_as(session: Session, invoice_ids: set[str]) -> dict[str, str]:
    """Return the ids in Infactor of those invoices that have another one there."""
    if not invoice_ids:
        return {}
    adopted = select(Invoice.id, func.coalesce(Invoice.adopted_as, Invoice.adopted)).where(
        among(Invoice.id, sorted(invoice_ids)), Invoice.adopted.is_not(None)
    )
    return {id_: name for id_, name in session.execute(adopted)}


def place(session: Session) -> bool:
    """Give a position to events that have none, in the order of their writing; return whether
    there may be more.

    The row of the last position is locked until the commit. So positions are committed in order,
    and whoever sees one sees all before it.
    """
    first = insert(session, EventPosition).values(id=1, last=0, pruned=0)
    last = session.execute(
        first.on_conflict_do_update(
            index_elements=[EventPosition.id], set_={"last": EventPosition.last}
        ).returning(EventPosition.last)
    ).scalar_one()
    ids = session.scalars(
        select(FeedEvent.id)
        .where(FeedEvent.position.is_(None))
        .order_by(FeedEvent.id)
        .limit(_PLACED_AT_ONCE)
    ).all()
    if ids:
        session.connection().execute(
            update(FeedEvent)
            .where(FeedEvent.id == bindparam("key"))
            .values(position=bindparam("place")),
            [{"key": id_, "place": last + n} for n, id_ in enumerate(ids, 1)],
        )
        session.execute(update(EventPosition).values(last=last + len(ids)))
    return len(ids) == _PLACED_AT_ONCE


def are_unplaced(session: Session) -> bool:
    return (
        session.execute(select(FeedEvent.id).where(FeedEvent.position.is_(None)).limit(1)).first()
        is not None
    )


def after(session: Session, environment: str, position: int, limit: int) -> Sequence[FeedEvent]:
    """Return the next events after this position, in order."""
    return session.scalars(
        select(FeedEvent)
        .where(FeedEvent.environment == environment, FeedEvent.position > position)
        .order_by(FeedEvent.position)
        .limit(limit)
    ).all()


@dataclass(frozen=True, slots=True)
class FeedCursor:
    """A place in the feed: behind this position, whose event is this one; empty if that is gone."""

    position: int
    event_id: str


def end(session: Session) -> FeedCursor:
    """Return the place behind all events that have a position."""
    last = session.execute(select(EventPosition.last)).scalar_one_or_none() or 0
    return FeedCursor(last, _event_at(session, last) or "")


def is_valid(session: Session, cursor: FeedCursor) -> bool:
    """Return whether all that was placed behind this cursor is still there.

    Else it was pruned, or the cursor is of a history that a restored backup does not have.
    """
    there = _event_at(session, cursor.position)
    if there is not None and cursor.event_id and there != cursor.event_id:
        return False
    row = session.execute(select(EventPosition.pruned, EventPosition.last)).first()
    pruned, last = row or (0, 0)
    return pruned <= cursor.position <= last


def _event_at(session: Session, position: int) -> str | None:
    query = select(FeedEvent.event_id).where(FeedEvent.position == position)
    return session.execute(query).scalar_one_or_none()


def due_connections(session: Session, environment: str, now: datetime, limit: int) -> Sequence[str]:
    """Return connections whose next event is to be sent now, in the order of their turns.

    Whose next event has waited longest since it happened, or since the company's last turn, is
    first; those with a refused event come after all others.
    """
    own = aliased(FeedEvent)
    first = (
        select(func.min(own.position))
        .where(own.connection_id == Connection.id, _WAITING)
        .correlate(Connection)
        .scalar_subquery()
    )
    return session.scalars(
        select(Connection.id)
        .join(FeedEvent, FeedEvent.position == first)
        .where(Connection.environment == environment, has_come(FeedEvent.due_at, now))
        .order_by(
            FeedEvent.attempts > 0,
            func.coalesce(FeedEvent.due_at, FeedEvent.at),
            FeedEvent.position,
        )
        .limit(limit)
    ).all()


def waiting(session: Session, connection_id: str, limit: int) -> Sequence[FeedEvent]:
    """Return the company's next events to send, in order."""
    return session.scalars(
        select(FeedEvent)
        .where(FeedEvent.connection_id == connection_id, _WAITING, FeedEvent.position > 0)
        .order_by(FeedEvent.position)
        .limit(limit)
    ).all()


def note_sent(session: Session, row_id: int) -> None:
    session.execute(
        update(FeedEvent)
        .where(FeedEvent.id == row_id)
        .values(waiting=False, attempts=0, due_at=None, error=None)
    )


def end_turn(session: Session, row_id: int, now: datetime) -> None:
    """Let the company whose next event this is come after those that wait since before now."""
    session.execute(
        update(FeedEvent)
        .where(FeedEvent.id == row_id, has_come(FeedEvent.due_at, now))
        .values(due_at=now)
    )


def postpone(session: Session, row_id: int, due_at: datetime, error: str) -> None:
    """Let the event, and so its company's later ones, wait until then."""
    session.execute(
        update(FeedEvent)
        .where(FeedEvent.id == row_id)
        .values(attempts=FeedEvent.attempts + 1, due_at=due_at, error=error[:_LONGEST_ERROR])
    )


def unsent(
    session: Session,
    environment: str,
    *,
    refused: bool = False,
    after: tuple[datetime, int] | None = None,
    limit: int,
) -> Sequence[FeedEvent]:
    """Return events that wait for EVENTS_URL, the oldest first; `after` is (at, id) of one.

    With `refused`, only those that it has refused.
    """
    query = select(FeedEvent).where(_unsent(environment, refused=refused))
    if after is not None:
        place = tuple_(literal(after[0], FeedEvent.at.type), literal(after[1], FeedEvent.id.type))
        query = query.where(tuple_(FeedEvent.at, FeedEvent.id) > place)
    return session.scalars(query.order_by(FeedEvent.at, FeedEvent.id).limit(limit)).all()


def find_unsent(session: Session, environment: str, event_id: str) -> FeedEvent | None:
    query = select(FeedEvent).where(_unsent(environment), FeedEvent.event_id == event_id)
    return session.scalars(query).first()


def _unsent(environment: str, *, refused: bool = False) -> ColumnElement[bool]:
    which = _REFUSED if refused else _WAITING
    return and_(FeedEvent.environment == environment, which)


def skip(session: Session, environment: str, event_id: str) -> FeedEvent | None:
    """Send this refused event no more, so that its company's later ones follow.

    It stays in the feed. Returns None if no event of this id is refused.
    """
    return session.scalars(
        update(FeedEvent)
        .where(_unsent(environment, refused=True), FeedEvent.event_id == event_id)
        .values(waiting=False, due_at=None)
        .returning(FeedEvent)
    ).first()


def hurry(session: Session, environment: str, event_id: str | None = None) -> int:
    """Let refused events, or this one, be sent again now; return how many."""
    which = _unsent(environment, refused=True)
    if event_id is not None:
        which = and_(which, FeedEvent.event_id == event_id)
    hurried = session.execute(
        update(FeedEvent).where(which).values(due_at=None).returning(FeedEvent.id)
    )
    return len(hurried.all())


@dataclass(frozen=True, slots=True)
class UnsentEvents:
    """How many events wait for EVENTS_URL, and since when the oldest does; None if none waits."""

    count: int
    since: datetime | None


def backlog(session: Session, environment: str) -> UnsentEvents:
    count, since = session.execute(
        select(func.count(), func.min(FeedEvent.at)).where(_unsent(environment))
    ).one()
    return UnsentEvents(count, since)


@dataclass(frozen=True, slots=True)
class HeldUpEvents:
    """How many events wait, since when one that is held up does, and why it was refused last.

    `error` is None if it was not refused: then the sending is too slow.
    """

    count: int
    since: datetime
    error: str | None


def held_up(
    session: Session, environment: str, attempts: int, before: datetime
) -> HeldUpEvents | None:
    """Return what waits, if an event was refused so often, or waits since before then."""
    refused = select(FeedEvent).where(
        _unsent(environment, refused=True), FeedEvent.attempts >= attempts
    )
    late = select(FeedEvent).where(_unsent(environment), FeedEvent.at < before)
    for found in (refused, late):
        first = session.scalars(found.order_by(FeedEvent.at).limit(1)).first()
        if first is not None:
            return HeldUpEvents(backlog(session, environment).count, first.at, first.error)
    return None


def as_cloud_event(event: FeedEvent, source: str) -> CloudEvent:
    return CloudEvent(
        id=event.event_id,
        source=source,
        type=event.type,
        subject=event.subject,
        time=event.at,
        partitionkey=event.connection_id,
        data=event.data,
    )
