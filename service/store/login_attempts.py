"""Failed log-ins of operators, counted for 15 minutes by name and by address."""

from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import ColumnElement, and_, delete, func, not_, select
from sqlalchemy.orm import Session

from service.database.tables import LoginAttempt

WITHIN = timedelta(minutes=15)


def attempt(session: Session, about: Collection[str], now: datetime) -> list[int]:
    """Note a log-in before its password is checked; return the ids of the notes.

    Noted first and counted afterwards, so that parallel guesses get no more tries than serial ones.
    """
    notes = [LoginAttempt(about=_digest(one), at=now) for one in about]
    session.add_all(notes)
    session.flush()
    return [note.id for note in notes]


def free_at(session: Session, about: str, most: int, now: datetime) -> datetime | None:
    """Return when the next attempt is allowed, if more than `most` are noted; None means now."""
    times = session.scalars(
        select(LoginAttempt.at)
        .where(*_noted(about, now))
        .order_by(LoginAttempt.at.desc(), LoginAttempt.id.desc())
        .limit(most + 1)
    ).all()
    return times[most] + WITHIN if len(times) > most else None


def count(session: Session, about: str, now: datetime) -> int:
    """Return how many attempts at this name, or from this address, are noted."""
    return session.execute(select(func.count()).where(*_noted(about, now))).scalar_one()


def take_back(session: Session, ids: Collection[int]) -> None:
    """Delete these notes, because the log-in did not fail."""
    session.execute(delete(LoginAttempt).where(LoginAttempt.id.in_(ids)))


def forgive(session: Session, about: str) -> None:
    """Delete every note about this name or address."""
    session.execute(delete(LoginAttempt).where(LoginAttempt.about == _digest(about)))


def prune(session: Session, now: datetime) -> None:
    """Delete the attempts that no longer count."""
    session.execute(delete(LoginAttempt).where(not_(_lately(now))))


def _noted(about: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return LoginAttempt.about == _digest(about), _lately(now)


def _lately(now: datetime) -> ColumnElement[bool]:
    """A condition: the attempt counts. One of the future was noted before a clock was set back."""
    return and_(LoginAttempt.at > now - WITHIN, LoginAttempt.at <= now + WITHIN)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
