"""The inbox: every notice that QuickBooks sent, kept from before it was acknowledged.

A notice is `pending` until the transaction that records its result makes it `done`. One that can
never be acted upon is `ignored` from the start, with the reason; one that keeps failing is
`parked`, with the error.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, bindparam, case, or_, select, update
from sqlalchemy.orm import Session

from service.store.connections import may_be_called
from service.store.insert import Insert, insert_all
from service.store.tables import Connection, Notice

CLAIM_LIMIT = 500
# A batch that was lost this often is taken one by one, so that the notice that kills its worker
# is found without parking the others with it.
_SUSPECT_LOSSES = 2
_FATAL_LOSSES = 5
_NO_CONNECTION = (None, "unknown")
# Built once: doing it for every commit was a fifth of the processor time of storing.
_CONNECTIONS = select(Connection.realm_digest, Connection.id, Connection.state).where(
    Connection.environment == bindparam("environment"),
    Connection.realm_digest.in_(bindparam("digests", expanding=True)),
)
_WAITS_BECAUSE = {
    "unknown": "no connection for this company yet: kept until it connects",
    "disconnected": "the company is disconnected: kept until it connects again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One event as the receiver hands it in; `ignored_because` marks what cannot be acted upon."""

    dedupe_key: str
    format: str
    event_id: str | None = None
    realm_digest: str | None = None
    realm_sealed: str | None = None
    entity: str | None = None
    operation: str | None = None
    entity_id: str | None = None
    deleted_id: str | None = None
    changed_at: datetime | None = None
    body_sealed: str | None = None
    ignored_because: str | None = None
    delivery_id: str | None = None


def receive(
    session: Session, arrivals: Iterable[Arrival], environment: str, now: datetime
) -> set[str]:
    """Store each arrival once, and return the connections that have new work.

    A repetition raises the counter of the notice that is there.
    """
    repeated: dict[str, int] = {}
    first: dict[str, Arrival] = {}
    for arrival in arrivals:
        repeated[arrival.dedupe_key] = repeated.get(arrival.dedupe_key, -1) + 1
        first.setdefault(arrival.dedupe_key, arrival)
    known = _connections_of(session, first.values(), environment)
    rows = [
        _row(arrival, *known.get(arrival.realm_digest or "", _NO_CONNECTION), repeated[key], now)
        # In one order everywhere, so that two receivers with the same events cannot deadlock.
        for key, arrival in sorted(first.items())
    ]
    if rows:
        insert_all(session, Notice, rows, _counted)
    work = [row["connection_id"] for row in rows if row["status"] == "pending"]
    return {str(connection_id) for connection_id in work if connection_id}


def _counted(statement: Insert) -> Insert:
    """Let a row that is there already count the repetition."""
    return statement.on_conflict_do_update(
        index_elements=[Notice.dedupe_key],
        set_={"duplicates": Notice.duplicates + statement.excluded.duplicates + 1},
    )


def _connections_of(
    session: Session, arrivals: Iterable[Arrival], environment: str
) -> dict[str, tuple[str | None, str]]:
    """Return (connection, its state) by realm digest."""
    digests = sorted({a.realm_digest for a in arrivals if a.realm_digest})
    found: dict[str, tuple[str | None, str]] = {}
    for start in range(0, len(digests), CLAIM_LIMIT):
        asked = {"environment": environment, "digests": digests[start : start + CLAIM_LIMIT]}
        rows = session.connection().execute(_CONNECTIONS, asked)
        found |= {digest: (connection_id, state) for digest, connection_id, state in rows}
    return found


def _row(
    arrival: Arrival, connection_id: str | None, state: str, repeated: int, now: datetime
) -> dict[str, object]:
    return {
        "dedupe_key": arrival.dedupe_key,
        "connection_id": connection_id,
        "realm_digest": None if connection_id else arrival.realm_digest,
        "realm_sealed": None if connection_id else arrival.realm_sealed,
        "format": arrival.format,
        "event_id": arrival.event_id,
        "entity": arrival.entity,
        "operation": arrival.operation,
        "entity_id": arrival.entity_id,
        "deleted_id": arrival.deleted_id,
        "changed_at": arrival.changed_at,
        "received_at": now,
        "handled_at": now if arrival.ignored_because else None,
        "delivery_id": arrival.delivery_id,
        "body_sealed": arrival.body_sealed,
        "duplicates": repeated,
        "status": "ignored" if arrival.ignored_because else "pending",
        "reason": arrival.ignored_because or _WAITS_BECAUSE.get(state),
        "attempts": 0,
        "losses": 0,
    }


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
