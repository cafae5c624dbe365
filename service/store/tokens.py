"""The tokens of connections: stored, replaced, and declared dead."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection
from service.domain import ConnectionState, EventType
from service.store import connection_lifecycle, proof, runs

_REVIVED_EVERY = timedelta(days=1)
# Long enough for the seventh time.
_REVIVED_FOR = timedelta(days=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTokens:
    """Both tokens, sealed for their connection's row, and when they end.

    `previous` is the refresh token that they were got with, if it is another one than `refresh`.
    """

    access: str
    access_expires_at: datetime
    refresh: str
    previous: str | None = None
    refresh_expires_at: datetime | None
    hard_expires_at: datetime | None


def store_tokens(session: Session, connection_id: str, tokens: SealedTokens) -> None:
    session.execute(
        update(Connection).where(Connection.id == connection_id).values(_columns(tokens))
    )


def replace_tokens(
    session: Session, connection_id: str, tokens: SealedTokens, instead_of: str
) -> bool:
    """Replace the tokens if the refresh token is still the one that they were got with.

    A supplier who connected again meanwhile has newer ones, which must not be overwritten. What an
    earlier call has stored counts as stored. The hard expiry stays known if an answer does not
    repeat it. A connection that was declared dead because of the old token is alive again; one that
    was ended on purpose has no token to replace.
    """
    columns = _columns(tokens)
    if tokens.hard_expires_at is None:
        del columns["hard_expires_at"]
    first_time = case((Connection.refresh_sealed == instead_of, 1), else_=0)
    done = session.execute(
        update(Connection)
        .where(
            Connection.id == connection_id,
            Connection.refresh_sealed.in_((instead_of, tokens.refresh)),
        )
        .values({**columns, **_ALIVE, "refreshes": Connection.refreshes + first_time})
        .returning(Connection.id)
    )
    return done.first() is not None


_ALIVE = {
    "state": ConnectionState.CONNECTED,
    "disconnected_at": None,
    "problem": case(
        (Connection.state == ConnectionState.DISCONNECTED, None), else_=Connection.problem
    ),
}


def _columns(tokens: SealedTokens) -> dict[str, Any]:
    return {
        "access_sealed": tokens.access,
        "access_expires_at": tokens.access_expires_at,
        "refresh_sealed": tokens.refresh,
        "previous_refresh_sealed": tokens.previous,
        "refresh_expires_at": tokens.refresh_expires_at,
        "hard_expires_at": tokens.hard_expires_at,
        "keys_refused_since": None,
    }


def disconnect(
    session: Session, connection_id: str, refresh_sealed: str, why: str, now: datetime
) -> bool:
    """Mark the connection as dead; return False if its refresh token was replaced meanwhile."""
    done = session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.refresh_sealed == refresh_sealed)
        .values(
            state=ConnectionState.DISCONNECTED,
            problem=why,
            disconnected_at=now,
            previous_refresh_sealed=None,  # it was tried, too
            **proof.LOST,
        )
        .returning(Connection.id)
    )
    if done.first() is None:
        return False
    connection_lifecycle.tell(session, EventType.ENDED, connection_id, now, problem=why)
    return True


def is_dead(connection: Connection) -> bool:
    """Return whether QuickBooks has ended the connection, and its last token is still there.

    Whoever ends one on purpose leaves neither a token nor a problem.
    """
    return (
        connection.state == ConnectionState.DISCONNECTED
        and connection.problem is not None
        and connection.refresh_sealed is not None
        and connection.released_at is None
    )


def to_revive(session: Session, environment: str, now: datetime, limit: int) -> Sequence[str]:
    """Return dead connections whose last token is to be tried again: daily, for a week."""
    not_today = now - _REVIVED_EVERY
    return session.scalars(
        select(Connection.id)
        .where(
            Connection.environment == environment,
            Connection.state == ConnectionState.DISCONNECTED,
            # Whoever ends a connection on purpose leaves no token.
            Connection.refresh_sealed.is_not(None),
            Connection.disconnected_at.between(now - _REVIVED_FOR, not_today),
            or_(
                Connection.revival_tried_at.is_(None),
                Connection.revival_tried_at <= not_today,
                Connection.revival_tried_at > now,  # the clock has been set back since
            ),
        )
        .order_by(Connection.disconnected_at)
        .limit(limit)
    ).all()


def revival_failed(session: Session, connection_id: str, now: datetime) -> None:
    """Note that QuickBooks has refused the last token of a dead connection once more."""
    session.execute(
        update(Connection).where(Connection.id == connection_id).values(revival_tried_at=now)
    )


def revived(session: Session, connection_id: str, now: datetime) -> None:
    """Ask for everything that was missed while the connection was dead.

    The reconcile finds what was deleted meanwhile, too.
    """
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(
            renewed_at=now,
            reconcile_due_at=now,
            paused_until=None,
            throttled_since=None,
            barred_since=None,
            failures=0,
        )
    )
    runs.hurry_all(session, connection_id)
    connection_lifecycle.tell(session, EventType.CONNECTED, connection_id, now, again=True)


def keys_refused(session: Session, environment: str, limit: int) -> Sequence[str]:
    """Return connections whose tokens were not renewed because of the app's own keys."""
    return session.scalars(
        select(Connection.id)
        .where(
            Connection.environment == environment,
            Connection.state == ConnectionState.CONNECTED,
            Connection.keys_refused_since.is_not(None),
        )
        .order_by(Connection.keys_refused_since)
        .limit(limit)
    ).all()


def to_keep_alive(
    session: Session, environment: str, idle_since: datetime, limit: int
) -> Sequence[str]:
    """Return connections, paused ones too, whose access token expired before then, oldest first."""
    return session.scalars(
        select(Connection.id)
        .where(
            Connection.environment == environment,
            Connection.state == ConnectionState.CONNECTED,
            Connection.access_expires_at < idle_since,
        )
        .order_by(Connection.access_expires_at)
        .limit(limit)
    ).all()
