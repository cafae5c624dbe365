"""The inbox: every notice that QuickBooks sent, kept from before it was acknowledged.

A notice is `pending` until the transaction that records its result makes it `done`. One that can
never be acted upon is `ignored` from the start, with the reason; one that keeps failing is
`parked`, with the error.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, case, or_, select, update
from sqlalchemy.orm import Session

from service.store.connections import may_be_called
from service.store.tables import Connection, Notice

CLAIM_LIMIT = 500
# A batch that was lost this often is taken one by one, so that the notice that kills its worker
# is found without parking the others with it.
_SUSPECT_LOSSES = 2
_FATAL_LOSSES = 5


def has_due(session: Session, connection_id: str, now: datetime) -> bool:
    """Return whether this connection has a notice to work on."""
    due = _due(now).where(Notice.connection_id == connection_id).limit(1)
    return session.execute(due).first() is not None


def claim(
    session: Session, connection_id: str, owner: str, now: datetime
) -> tuple[Sequence[Notice], Sequence[Notice]]:
    """Mark the next batch of due notices as being worked on; return (batch, given up).

    Only the holder of the connection's sync lease may claim. Attempts rise here, before the work,
    so that a notice that kills its worker cannot come back for ever: alone it is tried until it
    was lost five times, and then given up, for the caller to park.
    """
    due = (
        select(Notice)
        .where(Notice.status == "pending", Notice.connection_id == connection_id)
        .where(or_(Notice.due_at.is_(None), Notice.due_at <= now))
        .order_by(Notice.id)
    )
    fatal = session.scalars(due.where(Notice.losses >= _FATAL_LOSSES).limit(CLAIM_LIMIT)).all()
    batch = session.scalars(due.where(Notice.losses < _SUSPECT_LOSSES).limit(CLAIM_LIMIT)).all()
    if not batch:
        suspects = due.where(Notice.losses < _FATAL_LOSSES).limit(1)
        batch = session.scalars(suspects).all()
    for notice in batch:
        notice.attempts += 1
        notice.losses += 1
        notice.claimed_by = owner
        notice.last_attempt_at = now
        if notice.event_id is None:
            notice.dedupe_key = None
    return batch, fatal


def finish(session: Session, ids: Collection[int], outcome: str, now: datetime) -> None:
    """Mark these notices as done, inside the transaction that records their result."""
    _close(session, ids, "done", outcome, now)


def park(session: Session, ids: Collection[int], error: Exception, now: datetime) -> None:
    """Stop trying these notices, and keep why."""
    _close(session, ids, "parked", "given up", now, **evidence(error))


def retry(session: Session, ids: Collection[int], error: Exception, due_at: datetime) -> None:
    """Give these notices back to be tried again from `due_at` on, and keep why."""
    session.execute(
        update(Notice)
        .where(Notice.id.in_(ids), Notice.status == "pending")
        .values(
            due_at=due_at,
            losses=0,
            claimed_by=None,
            reason="waiting for the next attempt",
            **evidence(error),
        )
    )


def _close(
    session: Session,
    ids: Collection[int],
    status: str,
    reason: str,
    now: datetime,
    **evidence: str | None,
) -> None:
    session.execute(
        update(Notice)
        .where(Notice.id.in_(ids), Notice.status == "pending")
        .values(status=status, reason=reason, handled_at=now, losses=0, claimed_by=None, **evidence)
    )


def evidence(error: Exception) -> dict[str, str | None]:
    """Return what a notice keeps of an error."""
    return {
        "error_class": type(error).__name__,
        "error_message": str(error)[:2000],
        "intuit_tid": getattr(error, "intuit_tid", None),
    }


def link(session: Session, connection_id: str, realm_digest: str) -> int:
    """Hand the notices that came before this company connected to its connection."""
    linked = session.execute(
        update(Notice)
        .where(Notice.connection_id.is_(None), Notice.realm_digest == realm_digest)
        .values(
            connection_id=connection_id,
            realm_digest=None,
            realm_sealed=None,
            reason=case((Notice.status == "pending", None), else_=Notice.reason),
        )
        .returning(Notice.id)
    )
    return len(linked.all())


def strays(session: Session, environment: str) -> Sequence[tuple[str, str]]:
    """Return (connection, realm digest) of notices that no connection has, though there is one.

    They were stored in the very moment in which their company connected: each of the two
    transactions was too early to see the other.
    """
    rows = session.execute(
        select(Connection.id, Connection.realm_digest)
        .join(Notice, Notice.realm_digest == Connection.realm_digest)
        .where(Notice.connection_id.is_(None), Connection.environment == environment)
        .distinct()
    )
    return [(connection_id, digest) for connection_id, digest in rows]


def due_connections(session: Session, environment: str, now: datetime) -> Sequence[str]:
    """Return the connections that have due notices and may be called now."""
    return session.scalars(
        select(Connection.id).where(
            may_be_called(environment, now),
            _due(now).where(Notice.connection_id == Connection.id).exists(),
        )
    ).all()


def _due(now: datetime) -> Select[int]:
    return select(Notice.id).where(
        Notice.status == "pending",
        or_(Notice.due_at.is_(None), Notice.due_at <= now),
    )
