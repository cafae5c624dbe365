"""Alerts: what was found to be wrong, from beginning to end, and what was sent of it."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import Alert
from service.database.types import has_come
from service.database.upsert import insert

QUIET = timedelta(seconds=60)
"""What comes back within this time never ended: its alert goes on, and no end is sent."""

REFUSED = "alerts.refused"
"""The cause of the alert about alerts that could not be sent."""

# An alert that could not be sent is no longer news when it has been over for this long.
_OLD_NEWS = timedelta(days=1)
_LONGEST_ERROR = 200

Key = tuple[str, str, str]
"""(cause, subject, which of the subject's) of an alert."""


def open_now(session: Session) -> dict[Key, Alert]:
    rows = session.scalars(select(Alert).where(Alert.ended_at.is_(None)))
    return {(alert.cause, alert.subject, alert.about): alert for alert in rows}


def begin(
    session: Session,
    key: Key,
    *,
    severity: str,
    text: str,
    command: str,
    page: str = "",
    since: datetime,
    now: datetime,
) -> None:
    """Leave one open alert of this key, which may be one that is open or has just ended."""
    cause, subject, about = key
    if _resume(session, key, now):
        return
    new = insert(session, Alert).values(
        cause=cause,
        subject=subject,
        about=about,
        severity=severity,
        text=text,
        command=command,
        page=page,
        since=since,
        raised_at=now,
        accepted_by="",
        attempts=0,
    )
    session.execute(new.on_conflict_do_nothing())


def escalate(
    session: Session, alert_id: int, *, severity: str, text: str, command: str, now: datetime
) -> None:
    """Send the open alert again, as one that has become more serious."""
    session.execute(
        update(Alert)
        .where(Alert.id == alert_id, Alert.ended_at.is_(None))
        .values(
            severity=severity,
            text=text,
            command=command,
            raised_at=now,
            sent_at=None,
            accepted_by="",
            attempts=0,
            due_at=None,
        )
    )


def _resume(session: Session, key: Key, now: datetime) -> bool:
    """Open the alert again that has just ended, if nobody was sent its end."""
    cause, subject, about = key
    mine = and_(Alert.cause == cause, Alert.subject == subject, Alert.about == about)
    latest = select(func.max(Alert.id)).where(mine).scalar_subquery()
    resumed = session.execute(
        update(Alert)
        .where(Alert.id == latest, Alert.ended_at > now - QUIET, Alert.end_sent_at.is_(None))
        .values(ended_at=None)
        .returning(Alert.id)
    )
    return resumed.first() is not None


def end(session: Session, ids: Collection[int], now: datetime) -> None:
    session.execute(
        update(Alert).where(Alert.id.in_(ids), Alert.ended_at.is_(None)).values(ended_at=now)
    )


def unsent(session: Session, now: datetime, limit: int) -> Sequence[Alert]:
    """Return the alerts whose beginning or end is to be sent now, the oldest first."""
    return session.scalars(
        select(Alert)
        .where(_is_news(now), has_come(Alert.due_at, now))
        .order_by(Alert.id)
        .limit(limit)
    ).all()


def _is_news(now: datetime) -> ColumnElement[bool]:
    """A condition: the alert's beginning or end is still to be sent."""
    begun = and_(
        Alert.sent_at.is_(None),
        or_(Alert.ended_at.is_(None), Alert.ended_at > now - _OLD_NEWS),
    )
    over = and_(
        Alert.sent_at.is_not(None),
        Alert.end_sent_at.is_(None),
        or_(Alert.ended_at <= now - QUIET, Alert.ended_at > now + QUIET),
        Alert.ended_at > now - _OLD_NEWS,
    )
    return or_(begun, over)


def refused(session: Session, now: datetime) -> tuple[int, datetime | None, str | None]:
    """Return (how many alerts could not be sent so far, since when, the newest error).

    The alert about that itself does not count.
    """
    waiting = (Alert.attempts > 0, Alert.cause != REFUSED, _is_news(now))
    count, since = session.execute(
        select(func.count(), func.min(Alert.raised_at)).where(*waiting)
    ).one()
    newest = select(Alert.error).where(*waiting).order_by(Alert.due_at.desc()).limit(1)
    return count, since, session.scalars(newest).first() if count else None


def hurry(session: Session) -> None:
    """Let what could not be sent be sent now."""
    session.execute(update(Alert).where(Alert.due_at.is_not(None)).values(due_at=None))


def note_sent(
    session: Session, alert_id: int, *, over: bool, to: Collection[str], now: datetime
) -> None:
    """Note that every channel, by these names, accepted the message about the alert's beginning,
    or end.
    """
    news = {"end_sent_at": now} if over else {"sent_at": now}
    session.execute(
        update(Alert)
        .where(Alert.id == alert_id)
        .values(attempts=0, due_at=None, error=None, accepted_by="", sent_to=", ".join(to), **news)
    )


def postpone(
    session: Session, alert_id: int, due_at: datetime, error: str, accepted_by: Collection[str]
) -> None:
    """Let the message be sent again from `due_at` on, but not to those who have accepted it."""
    session.execute(
        update(Alert)
        .where(Alert.id == alert_id)
        .values(
            attempts=Alert.attempts + 1,
            due_at=due_at,
            error=error[:_LONGEST_ERROR],
            accepted_by=" ".join(sorted(accepted_by)),
        )
    )
