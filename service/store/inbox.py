"""The inbox: every notice that QuickBooks sent, stored before it was acknowledged.

A notice is `pending` until the transaction that records its result makes it `done`. One that
nothing can be done about is `ignored` from the start; one that keeps failing is `parked`, and is
tried again at its `due_at`, if it has one.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select, update
from sqlalchemy.orm import Session, aliased

from service.database.due import has_come
from service.database.tables import Connection, Notice, Run
from service.database.upsert import chunked, insert
from service.domain import NoticeStatus, OwnNotice, RunKind, RunState
from service.store.connections import may_be_called

# Written out in the query, where the databases recognise the condition of a partial index.
_PENDING = literal(NoticeStatus.PENDING.value, literal_execute=True)
_PARKED = literal(NoticeStatus.PARKED.value, literal_execute=True)
_WORKABLE = (NoticeStatus.PENDING, NoticeStatus.PARKED)
_later = aliased(Notice)

CLAIM_LIMIT = 500
# Nothing that is parked waits longer to come back; see `pause_of_parked`.
_LONGEST_PARKED = timedelta(days=1)
# A batch lost this often is taken one by one, to find the notice that kills its worker without
# parking the others.
_SUSPECT_LOSSES = 2
_FATAL_LOSSES = 5


def has_due(session: Session, connection_id: str, now: datetime) -> bool:
    due = (has.where(Notice.connection_id == connection_id).limit(1) for has in _due(now))
    return any(session.execute(one).first() is not None for one in due)


def claim(
    session: Session, connection_id: str, owner: str, now: datetime
) -> tuple[Sequence[Notice], Sequence[Notice]]:
    """Mark the next batch of due notices as being worked on; return (batch, given up).

    Only the holder of the connection's sync lease may claim. What another process claimed and
    never gave back is lost: that process died. A notice that kills its worker is tried alone until
    it was lost five times, and then given up, for the caller to park.
    """
    for status in (_PENDING, _PARKED):  # each has an index of its own
        session.execute(
            update(Notice)
            .where(Notice.connection_id == connection_id, Notice.status == status)
            .where(Notice.claimed_by != owner)
            .values(losses=Notice.losses + 1, claimed_by=None)
        )
    due = (
        select(Notice)
        .where(Notice.connection_id == connection_id, _is_due(now))
        .order_by(Notice.id)
        .execution_options(populate_existing=True)
    )
    fatal = session.scalars(due.where(Notice.losses >= _FATAL_LOSSES).limit(CLAIM_LIMIT)).all()
    batch = session.scalars(due.where(Notice.losses < _SUSPECT_LOSSES).limit(CLAIM_LIMIT)).all()
    if not batch:
        suspects = due.where(Notice.losses < _FATAL_LOSSES).limit(1)
        batch = session.scalars(suspects).all()
    for notice in batch:
        notice.attempts += 1
        notice.claimed_by = owner
        notice.last_attempt_at = now
        if notice.event_id is None and notice.operation != OwnNotice.UNREADABLE:
            notice.dedupe_key = None
    return batch, fatal


def finish(session: Session, ids: Collection[int], outcome: str, now: datetime) -> None:
    """Mark these notices as done, inside the transaction that records their result."""
    _close(session, ids, NoticeStatus.DONE, outcome, handled_at=now, losses=0)


def park(
    session: Session,
    ids: Collection[int],
    error: Exception,
    now: datetime,
    due_at: datetime | None = None,
) -> None:
    """Mark these notices as failed, with the error; they are due again at `due_at`, if given.

    One that was lost too often is tried once more then, and is lost too often after one more loss.
    """
    # Keeps since when it has failed.
    failed = {"handled_at": func.coalesce(Notice.handled_at, now), "due_at": due_at}
    losses = case((Notice.losses >= _FATAL_LOSSES, _FATAL_LOSSES - 1), else_=0)
    # An unreadable place is known by its reason alone.
    reason = case((Notice.operation == OwnNotice.UNREADABLE, Notice.reason), else_="given up")
    _close(session, ids, NoticeStatus.PARKED, reason, **failed, losses=losses, **evidence(error))


def retry(
    session: Session,
    ids: Collection[int],
    error: Exception,
    due_at: datetime,
    *,
    suspect: bool = False,
) -> None:
    """Make these notices due again at `due_at`, and keep the error.

    Those that are parked stay so. `suspect` ones are taken one by one from the second time on.
    """
    losses = case((Notice.losses < _SUSPECT_LOSSES, Notice.losses + 1), else_=_SUSPECT_LOSSES)
    session.execute(
        update(Notice)
        .where(Notice.id.in_(ids), Notice.status.in_(_WORKABLE))
        .values(
            due_at=due_at,
            losses=losses if suspect else 0,
            claimed_by=None,
            reason=case(
                (
                    (Notice.status == NoticeStatus.PENDING)
                    & Notice.operation.is_distinct_from(OwnNotice.UNREADABLE),
                    "waiting for the next attempt",
                ),
                else_=Notice.reason,
            ),
            **evidence(error),
        )
    )


_PROMISES = ("refreshed", "withdrawn", "restored")


def kept(promise: str) -> str:
    """Return the outcome of a notice about an invoice that Infactor keeps as it was decided."""
    return f"not {promise}: already decided in Infactor"


def take_back(session: Session, connection_id: str, quickbooks_id: str, since: datetime) -> None:
    """Correct the outcomes since then of notices about an invoice that nothing was written for.

    They were noted when it was recorded, before its delivery met a decision in Infactor.
    """
    promised = [(Notice.reason.startswith(promise), kept(promise)) for promise in _PROMISES]
    session.execute(
        update(Notice)
        .where(
            Notice.connection_id == connection_id,
            Notice.entity == "Invoice",
            Notice.entity_id == quickbooks_id,
            Notice.status == NoticeStatus.DONE,
            Notice.handled_at >= since,
            or_(*(condition for condition, _ in promised)),
        )
        .values(reason=case(*promised, else_=Notice.reason))
    )


def hurry(session: Session, connection_id: str, now: datetime) -> int:
    """Make the company's waiting notices due now; return how many."""
    hurried = session.execute(
        update(Notice)
        .where(
            Notice.connection_id == connection_id,
            Notice.status.in_(_WORKABLE),
            Notice.due_at > now,
        )
        .values(due_at=now)
        .returning(Notice.id)
    )
    return len(hurried.all())


def _close(
    session: Session,
    ids: Collection[int],
    status: NoticeStatus,
    reason: str | ColumnElement[str],
    **values: Any,
) -> None:
    session.execute(
        update(Notice)
        .where(Notice.id.in_(ids), Notice.status.in_(_WORKABLE))
        .values(status=status, reason=reason, claimed_by=None, **values)
    )


def evidence(error: Exception) -> dict[str, str | None]:
    """Return what a notice keeps of an error: its class, message and `intuit_tid`, by column."""
    return {
        "error_class": type(error).__name__,
        "error_message": str(error)[:2000],
        "intuit_tid": getattr(error, "intuit_tid", None),
    }


def link(session: Session, connection_id: str, realm_digest: str) -> int:
    """Give the connection the notices that came before its company connected; return how many."""
    linked = session.execute(
        update(Notice)
        .where(Notice.connection_id.is_(None), Notice.realm_digest == realm_digest)
        .values(
            connection_id=connection_id,
            realm_digest=None,
            realm_sealed=None,
            reason=case((Notice.status == NoticeStatus.PENDING, None), else_=Notice.reason),
        )
        .returning(Notice.id)
    )
    return len(linked.all())


def strays(session: Session, environment: str) -> Sequence[tuple[str, str]]:
    """Return (connection id, realm digest) of notices without a connection although there is one.

    They were stored while their company connected: neither transaction saw the other.
    """
    rows = session.execute(
        select(Connection.id, Connection.realm_digest)
        .join(Notice, Notice.realm_digest == Connection.realm_digest)
        .where(Notice.connection_id.is_(None), Connection.environment == environment)
        .distinct()
    )
    return [(connection_id, digest) for connection_id, digest in rows]


def due_connections(session: Session, environment: str, now: datetime) -> Sequence[str]:
    """Return the ids of connections that have due notices and may be called now."""
    return session.scalars(
        select(Connection.id).where(
            may_be_called(environment, now),
            or_(*(has.where(Notice.connection_id == Connection.id).exists() for has in _due(now))),
        )
    ).all()


def _due(now: datetime) -> tuple[Select[int], Select[int]]:
    """Return the queries for what is pending and for what is parked, each with its own index."""
    return select(Notice.id).where(_is_pending(now)), select(Notice.id).where(_comes_back(now))


def _is_due(now: datetime) -> ColumnElement[bool]:
    return or_(_is_pending(now), _comes_back(now))


def _is_pending(now: datetime) -> ColumnElement[bool]:
    return and_(Notice.status == _PENDING, has_come(Notice.due_at, now))


def _comes_back(now: datetime) -> ColumnElement[bool]:
    again = and_(Notice.due_at.is_not(None), has_come(Notice.due_at, now, _LONGEST_PARKED))
    return and_(Notice.status == _PARKED, again)


def ask_for_changes(session: Session, connection_id: str, why: OwnNotice, now: datetime) -> int:
    """Add an own notice that asks for whatever changed since the watermark; return its id."""
    notice = Notice(
        connection_id=connection_id,
        format="own",
        entity="Connection",
        operation=why,
        received_at=now,
        status=NoticeStatus.PENDING,
    )
    session.add(notice)
    session.flush()
    return notice.id


def ask_for_invoices(
    session: Session,
    connection_id: str,
    quickbooks_ids: Collection[str],
    why: OwnNotice,
    now: datetime,
) -> None:
    """Add an own notice for each of these invoices that has no pending or parked one.

    So one policy tries every failed invoice again and parks it in the end.
    """
    open_already = open_invoices(session, connection_id, quickbooks_ids)
    for quickbooks_id in sorted(set(quickbooks_ids) - open_already):
        session.add(
            Notice(
                connection_id=connection_id,
                format="own",
                entity="Invoice",
                operation=why,
                entity_id=quickbooks_id,
                received_at=now,
                status=NoticeStatus.PENDING,
            )
        )


def park_unnamed(
    session: Session,
    connection_id: str,
    place: str,
    error: Exception,
    now: datetime,
    due_at: datetime,
    *,
    since: datetime | None = None,
    is_customer: bool = False,
) -> None:
    """Park a notice for a place in QuickBooks' answers that it cannot show; no Id is known.

    A place has one parked notice, however often it is met, with the newest error. From `due_at` on
    it is looked at again, in the invoices or customers that changed from `since` on.
    """
    parked = insert(session, Notice).values(
        dedupe_key=_key_of_place(connection_id, place),
        connection_id=connection_id,
        format="own",
        entity="Customer" if is_customer else "Connection",
        operation=OwnNotice.UNREADABLE,
        received_at=now,
        status=NoticeStatus.PARKED,
        reason=f"QuickBooks cannot show {place}",
        handled_at=now,
        changed_at=since,
        due_at=due_at,
        **evidence(error),
    )
    met_again = {
        "duplicates": Notice.duplicates + 1,
        "status": NoticeStatus.PARKED,
        "reason": f"QuickBooks cannot show {place}",
        "handled_at": now,
        "due_at": case((Notice.status == NoticeStatus.PARKED, Notice.due_at), else_=due_at),
        **evidence(error),
    }
    session.execute(
        parked.on_conflict_do_update(index_elements=[Notice.dedupe_key], set_=met_again)
    )


def _key_of_place(connection_id: str, place: str) -> str:
    return sha256(f"{connection_id} {OwnNotice.UNREADABLE} {place}".encode()).hexdigest()


def open_invoices(
    session: Session, connection_id: str, quickbooks_ids: Collection[str]
) -> set[str]:
    """Return those of these invoices that have a pending or parked notice."""
    found: set[str] = set()
    ids = sorted(set(quickbooks_ids))
    for status in (NoticeStatus.PENDING, NoticeStatus.PARKED):  # each has an index of its own
        for chunk in chunked(ids):
            rows = session.scalars(
                select(Notice.entity_id).where(
                    Notice.connection_id == connection_id,
                    Notice.status == status,
                    Notice.entity == "Invoice",
                    Notice.entity_id.in_(chunk),
                )
            )
            found |= {entity_id for entity_id in rows if entity_id is not None}
    return found


def is_open() -> ColumnElement[bool]:
    """A condition: the notice is parked, and nothing since has done its work.

    That would be a later notice about the same object that is done, or a later reconcile that ended
    without a difference.
    """
    done_since = select(_later.id).where(
        _later.entity_id == Notice.entity_id,
        _later.entity == Notice.entity,
        _later.connection_id == Notice.connection_id,
        _later.status == NoticeStatus.DONE,
        _later.id > Notice.id,
    )
    agreed_since = select(Run.id).where(
        Run.connection_id == Notice.connection_id,
        Run.kind == RunKind.RECONCILE,
        Run.state == RunState.DONE,
        Run.error.is_(None),
        Run.created_at >= Notice.handled_at,
    )
    return and_(Notice.status == _PARKED, ~done_since.exists(), ~agreed_since.exists())


_parked_of_companies = (
    select(Notice.connection_id, func.count())
    .where(is_open(), Notice.connection_id.is_not(None))
    .group_by(Notice.connection_id)
)


def parked_of_companies(session: Session, connection_ids: Collection[str]) -> dict[str, int]:
    """Return how many open parked notices there are, by connection id, without zeros."""
    rows = session.execute(_parked_of_companies.where(Notice.connection_id.in_(connection_ids)))
    return {connection_id: count for connection_id, count in rows if connection_id}
