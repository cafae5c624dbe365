"""The audit: who did what, and when. No line of it is ever changed or deleted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.database.tables import AuditEntry

_LONGEST_ACTOR = 128
_MOST_DISTINCT = 200


def record(
    session: Session,
    actor: str,
    action: str,
    connection_id: str | None,
    details: dict[str, Any],
    now: datetime,
) -> None:
    """Keep who did what; call it in the transaction that does it.

    `details` hold counts and options: no name, e-mail address or realm id, because the audit is
    never deleted.
    """
    session.add(
        AuditEntry(
            at=now,
            actor=actor[:_LONGEST_ACTOR],
            action=action,
            connection_id=connection_id,
            details=details,
        )
    )


def newest(
    session: Session,
    before: int | None,
    limit: int,
    *,
    actor: str = "",
    action: str = "",
    connection_id: str | None = None,
) -> Sequence[AuditEntry]:
    """Return the entries below the id `before`, the newest first; "" and None ask for nothing."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    if actor:
        query = query.where(AuditEntry.actor == actor)
    if action:
        query = query.where(AuditEntry.action == action)
    if connection_id is not None:
        query = query.where(AuditEntry.connection_id == connection_id)
    return session.scalars(query).all()


def actors(session: Session) -> Sequence[str]:
    """Return everyone who is in the audit, in order."""
    return _distinct(session, AuditEntry.actor)


def actions(session: Session) -> Sequence[str]:
    """Return everything that anyone did, in order."""
    return _distinct(session, AuditEntry.action)


def _distinct(session: Session, column: InstrumentedAttribute[str]) -> Sequence[str]:
    """Return each value once, with one look-up in the column's index for each."""
    found = select(func.min(column).label("value")).cte("found", recursive=True)
    following = select(func.min(column)).where(column > found.c.value).scalar_subquery()
    found = found.union_all(select(following).where(found.c.value.is_not(None)))
    query = select(found.c.value).where(found.c.value.is_not(None)).limit(_MOST_DISTINCT)
    return session.scalars(query).all()
