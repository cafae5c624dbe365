"""The audit: who did what, and when. No line of it is ever changed or deleted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.database.tables import AuditEntry

_LONGEST_ACTOR = 128


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


def newest(session: Session, before: int | None, limit: int) -> Sequence[AuditEntry]:
    """Return the entries below the id `before`, the newest first."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    return session.scalars(query).all()
