"""Operators: what they did, and how often somebody has failed to log in as one."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from service.database.tables import AuditEntry, LoginAttempt

_LONGEST_ACTOR = 128


def record(
    session: Session,
    actor: str,
    action: str,
    connection_id: str | None,
    details: dict[str, Any],
    now: datetime,
) -> None:
    """Keep who did what; to be called in the transaction that does it.

    `details` hold counts and options: no name, e-mail address or realm id, because nothing here is
    ever forgotten.
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


WITHIN = timedelta(minutes=15)


def attempt(session: Session, about: Collection[str], now: datetime) -> list[int]:
    """Note a log-in before it is looked at; return the ids of its notes, to take it back by.

    Noted first and counted afterwards, a crowd of guesses at once gets no more of them than a row.
    """
    notes = [LoginAttempt(about=_digest(one), at=now) for one in about]
    session.add_all(notes)
    session.flush()
    return [note.id for note in notes]


def free_at(session: Session, about: str, most: int, now: datetime) -> datetime | None:
    """Return when one may try again about whom more than `most` attempts are noted, else None."""
    times = session.scalars(
        select(LoginAttempt.at)
        .where(LoginAttempt.about == _digest(about), LoginAttempt.at > now - WITHIN)
        .order_by(LoginAttempt.at.desc(), LoginAttempt.id.desc())
        .limit(most + 1)
    ).all()
    return times[most] + WITHIN if len(times) > most else None


def count(session: Session, about: str, now: datetime) -> int:
    """Return how many attempts are noted about this one."""
    noted = (LoginAttempt.about == _digest(about), LoginAttempt.at > now - WITHIN)
    return session.execute(select(func.count()).where(*noted)).scalar_one()


def take_back(session: Session, ids: Collection[int]) -> None:
    """Forget these notes: what they are about was no failure."""
    session.execute(delete(LoginAttempt).where(LoginAttempt.id.in_(ids)))


def forgive(session: Session, about: str) -> None:
    """Forget every failure that is noted about this one."""
    session.execute(delete(LoginAttempt).where(LoginAttempt.about == _digest(about)))


def prune(session: Session, now: datetime) -> None:
    """Forget the attempts that no longer count."""
    session.execute(delete(LoginAttempt).where(LoginAttempt.at <= now - WITHIN))


def _digest(text: str) -> str:
    """Return the digest under which a name or an address is stored."""
    return sha256(text.encode()).hexdigest()
