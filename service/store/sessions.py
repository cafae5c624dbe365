"""Sessions of browsers, consent states, and spent links.

Cookies and states are random and stored as digests: the database alone opens no session.
"""

import re
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.database.tables import BrowserSession, OAuthState, OperatorSession, SpentLink
from service.database.upsert import insert

_SPENT_KEPT = timedelta(days=7)
STATE_LIFETIME = timedelta(minutes=10)

_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")  # as `BrowserSessions.begin` makes them

S = TypeVar("S", BrowserSession, OperatorSession)


def digest(secret: str) -> str:
    """Return the digest under which a random secret is stored."""
    return sha256(secret.encode()).hexdigest()


class BrowserSessions(Generic[S]):
    """The sessions in one table: an unused one ends after `idle`, any after `longest`."""

    def __init__(self, table: type[S], *, idle: timedelta, longest: timedelta) -> None:
        self._table: type[S] = table
        self._idle = idle
        self._longest = longest

    def begin(self, session: Session, now: datetime, **whose: Any) -> str:
        """Return the cookie value of a new session; `whose` are the other columns of its row."""
        cookie = secrets.token_urlsafe(32)
        session.add(
            self._table(digest=digest(cookie), created_at=now, expires_at=now + self._idle, **whose)
        )
        session.flush()
        return cookie

    def find(self, session: Session, cookie: str, now: datetime) -> S | None:
        """Return this cookie's living session; a malformed cookie costs no query."""
        if not _COOKIE.fullmatch(cookie):
            return None
        found = session.get(self._table, digest(cookie))
        return found if found is not None and found.expires_at > now else None

    def end_of(self, known: S, now: datetime) -> datetime:
        """Return when a session ends that is used now."""
        return min(now + self._idle, known.created_at + self._longest)

    def keep_alive(self, session: Session, known: S, now: datetime) -> None:
        session.execute(
            update(self._table)
            .where(self._table.digest == known.digest)
            .values(expires_at=self.end_of(known, now))
        )

    def end(self, session: Session, session_digest: str) -> None:
        session.execute(delete(self._table).where(self._table.digest == session_digest))

    def prune(self, session: Session, now: datetime) -> None:
        session.execute(delete(self._table).where(self._table.expires_at <= now))


SUPPLIERS: Final = BrowserSessions(
    BrowserSession, idle=timedelta(hours=12), longest=timedelta(days=30)
)
OPERATORS: Final = BrowserSessions(
    OperatorSession, idle=timedelta(hours=1), longest=timedelta(hours=12)
)


def end_all(session: Session, supplier_id: int, now: datetime) -> int:
    """Delete every session of the supplier; return how many were living."""
    ended = session.scalars(
        delete(BrowserSession)
        .where(BrowserSession.supplier_id == supplier_id)
        .returning(BrowserSession.expires_at)
    )
    return sum(expires_at > now for expires_at in ended)


def replace(session: Session, old: str | None, supplier_id: int, now: datetime) -> str:
    """Return the cookie value of a new session of this supplier, in place of the session `old`.

    Somebody who planted the old cookie cannot use the new one. The supplier's other consents in the
    same browser go on under the new session.
    """
    cookie = SUPPLIERS.begin(session, now, supplier_id=supplier_id)
    if old is not None:
        session.execute(
            update(OAuthState)
            .where(OAuthState.session_digest == old, OAuthState.supplier_id == supplier_id)
            .values(session_digest=digest(cookie))
        )
        SUPPLIERS.end(session, old)
    return cookie


def begin_consent(
    session: Session,
    *,
    session_digest: str,
    environment: str,
    supplier_id: int,
    link_id: str | None,
    another_company: bool,
    now: datetime,
    infactor_user: str | None = None,
) -> str:
    """Return the `state` of a new consent; `infactor_user` is who pressed Infactor's own button."""
    state = secrets.token_urlsafe(32)
    session.add(
        OAuthState(
            digest=digest(state),
            session_digest=session_digest,
            environment=environment,
            supplier_id=supplier_id,
            link_id=link_id,
            another_company=another_company,
            infactor_user=infactor_user,
            expires_at=now + STATE_LIFETIME,
        )
    )
    return state


def use_consent(session: Session, state: str, now: datetime) -> tuple[OAuthState | None, bool]:
    """Return (the consent with this state, whether this call is the one that used it)."""
    used = session.execute(
        update(OAuthState)
        .where(OAuthState.digest == digest(state), OAuthState.used_at.is_(None))
        .values(used_at=now)
        .returning(OAuthState.digest)
    )
    first = used.first() is not None
    return session.get(OAuthState, digest(state), populate_existing=True), first


def began_by_button(session: Session, state: str) -> bool:
    """Return whether the consent with this state was begun by Infactor's own button."""
    consent = session.get(OAuthState, digest(state))
    return consent is not None and consent.infactor_user is not None


def is_under_way(session: Session, state_digest: str) -> bool:
    """Return whether this consent still counts; it does not once its supplier is forgotten."""
    query = select(OAuthState.digest).where(OAuthState.digest == state_digest)
    return session.execute(query).first() is not None


def forget(session: Session, supplier_id: int, now: datetime) -> None:
    """Delete the supplier's sessions in every browser, and the consents under way."""
    end_all(session, supplier_id, now)
    session.execute(delete(OAuthState).where(OAuthState.supplier_id == supplier_id))


def spend_link(session: Session, link_id: str, expires_at: datetime) -> None:
    statement = insert(session, SpentLink).values(id=digest(link_id), expires_at=expires_at)
    session.execute(statement.on_conflict_do_nothing())


def is_spent(session: Session, link_id: str) -> bool:
    """Return whether a connection was already stored with this link."""
    query = select(SpentLink.id).where(SpentLink.id == digest(link_id))
    return session.execute(query).first() is not None


def prune(session: Session, now: datetime) -> None:
    """Delete expired sessions and links, and states that expired a day ago."""
    SUPPLIERS.prune(session, now)
    OPERATORS.prune(session, now)
    session.execute(delete(OAuthState).where(OAuthState.expires_at <= now - timedelta(days=1)))
    # A link that has expired may not have, once the clock is set back.
    session.execute(delete(SpentLink).where(SpentLink.expires_at <= now - _SPENT_KEPT))
