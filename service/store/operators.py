"""Operators in browsers: their sessions, and how often somebody has tried in vain to be one.

Cookies are random and stored as digests: the database alone opens no session.
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.database.tables import AuditEntry, LoginAttempt, OperatorSession

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


IDLE = timedelta(hours=1)
LONGEST = timedelta(hours=12)
WITHIN = timedelta(minutes=15)


def digest(text: str) -> str:
    """Return the digest under which a cookie, a name or an address is stored."""
    return sha256(text.encode()).hexdigest()


def begin(session: Session, name: str, mark: str, now: datetime) -> str:
    """Return the cookie value of a new session of this operator."""
    cookie = secrets.token_urlsafe(32)
    session.add(
        OperatorSession(
            digest=digest(cookie), name=name, mark=mark, created_at=now, expires_at=now + IDLE
        )
    )
    return cookie


def find(session: Session, cookie: str, now: datetime) -> OperatorSession | None:
    """Return the living session that this cookie stands for."""
    found = session.get(OperatorSession, digest(cookie))
    return found if found is not None and found.expires_at > now else None


def end_of(known: OperatorSession, now: datetime) -> datetime:
    """Return when a session ends that is used now: never past its twelfth hour."""
    return min(now + IDLE, known.created_at + LONGEST)


def keep_alive(session: Session, known: OperatorSession, now: datetime) -> None:
    """Put the session's end off."""
    session.execute(
        update(OperatorSession)
        .where(OperatorSession.digest == known.digest)
        .values(expires_at=end_of(known, now))
    )


def end(session: Session, session_digest: str) -> None:
    """Forget the session: its cookie opens nothing any more."""
    session.execute(delete(OperatorSession).where(OperatorSession.digest == session_digest))


def attempt(session: Session, about: Collection[str], now: datetime) -> list[int]:
    """Note a log-in before it is looked at; return the ids of its notes, to take it back by.

    Noted first and counted afterwards, a crowd of guesses at once gets no more of them than a row.
    """
    notes = [LoginAttempt(about=digest(one), at=now) for one in about]
    session.add_all(notes)
    session.flush()
    return [note.id for note in notes]


def free_at(session: Session, about: str, most: int, now: datetime) -> datetime | None:
    """Return when one may try again about whom more than `most` attempts are noted, else None."""
    times = session.scalars(
        select(LoginAttempt.at)
        .where(LoginAttempt.about == digest(about), LoginAttempt.at > now - WITHIN)
        .order_by(LoginAttempt.at.desc(), LoginAttempt.id.desc())
        .limit(most + 1)
    ).all()
    return times[most] + WITHIN if len(times) > most else None


def take_back(session: Session, ids: Collection[int]) -> None:
    """Forget these notes: what they are about was no failure."""
    session.execute(delete(LoginAttempt).where(LoginAttempt.id.in_(ids)))


def forgive(session: Session, about: str) -> None:
    """Forget every failure that is noted about this one."""
    session.execute(delete(LoginAttempt).where(LoginAttempt.about == digest(about)))


def prune(session: Session, now: datetime) -> None:
    """Forget what has expired."""
    session.execute(delete(OperatorSession).where(OperatorSession.expires_at <= now))
    session.execute(delete(LoginAttempt).where(LoginAttempt.at <= now - WITHIN))
