"""Suppliers and their connections."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from service.store.insert import excluded, insert
from service.store.tables import Connection, Supplier


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTokens:
    """Both tokens, sealed for their connection's row, and when they end."""

    access: str
    access_expires_at: datetime
    refresh: str
    refresh_expires_at: datetime | None
    hard_expires_at: datetime | None


def upsert_supplier(session: Session, email: str, name: str, address: str, now: datetime) -> int:
    """Return the id of the supplier with this e-mail address, with name and address as given.

    An empty name or address leaves the one that is known.
    """
    given = [field for field, value in (("name", name), ("address", address)) if value]
    return _supplier(session, email, name, address, given, now)


def ensure_supplier(session: Session, email: str, name: str, address: str, now: datetime) -> int:
    """Return the id of the supplier with this e-mail address; one that is known stays as it is."""
    return _supplier(session, email, name, address, [], now)


def _supplier(
    session: Session, email: str, name: str, address: str, renewed: Sequence[str], now: datetime
) -> int:
    statement = insert(session, Supplier).values(
        email=email, name=name, address=address, created_at=now
    )
    return session.execute(
        statement.on_conflict_do_update(
            index_elements=[Supplier.email], set_=excluded(statement, "email", *renewed)
        ).returning(Supplier.id)
    ).scalar_one()


def supplier(session: Session, supplier_id: int) -> Supplier | None:
    """Return the supplier with this id."""
    return session.get(Supplier, supplier_id)


def supplier_by_email(session: Session, email: str) -> Supplier | None:
    """Return the supplier with exactly this e-mail address."""
    return session.scalars(select(Supplier).where(Supplier.email == email.strip())).first()


def get(session: Session, connection_id: str) -> Connection | None:
    """Return the connection with this id."""
    return session.get(Connection, connection_id)


def any_one(session: Session) -> Connection | None:
    """Return some connection, if there is any."""
    return session.scalars(select(Connection).limit(1)).first()


def lock(session: Session, connection_id: str) -> None:
    """Let nobody else hold this company's lock until the transaction ends.

    SQLite has one writer at a time anyway. On PostgreSQL the lock leaves the row's key alone:
    a notice that refers to it is stored meanwhile, so that no acknowledgement waits for a batch.
    """
    session.execute(
        select(Connection.id).where(Connection.id == connection_id).with_for_update(key_share=True)
    )


def may_be_called(environment: str, now: datetime) -> ColumnElement[bool]:
    """Say of a connection that QuickBooks may be called for it: alive, and not paused.

    A connection of another environment is never called: its tokens are not for this one.
    """
    return and_(
        Connection.environment == environment,
        Connection.state == "connected",
        or_(Connection.paused_until.is_(None), Connection.paused_until <= now),
    )


def callable_now(
    session: Session, connection_id: str, environment: str, now: datetime
) -> Connection | None:
    """Return the connection if QuickBooks may be called for it at this moment."""
    return session.scalars(
        select(Connection).where(Connection.id == connection_id, may_be_called(environment, now))
    ).first()


def by_realm(session: Session, environment: str, realm_digest: str) -> Connection | None:
    """Return the connection of this company in this environment, whoever holds it."""
    return session.scalars(
        select(Connection).where(
            Connection.environment == environment, Connection.realm_digest == realm_digest
        )
    ).first()


def of_supplier(session: Session, supplier_id: int, environment: str) -> Sequence[Connection]:
    """Return the supplier's connections in this environment, the oldest first."""
    return session.scalars(
        select(Connection)
        .where(Connection.supplier_id == supplier_id, Connection.environment == environment)
        .order_by(Connection.connected_at, Connection.id)
    ).all()


def everyone(session: Session, environment: str) -> Sequence[tuple[Connection, Supplier]]:
    """Return every connection of this environment with its supplier, the oldest first."""
    rows = session.execute(
        select(Connection, Supplier)
        .join(Supplier, Supplier.id == Connection.supplier_id)
        .where(Connection.environment == environment)
        .order_by(Connection.connected_at, Connection.id)
    )
    return [(connection, owner) for connection, owner in rows]


def lock_supplier(session: Session, supplier_id: int) -> None:
    """Let nobody else connect a company for this supplier before the transaction ends."""
    session.execute(
        select(Supplier.id).where(Supplier.id == supplier_id).with_for_update(key_share=True)
    )


def add(session: Session, connection: Connection) -> None:
    """Store a company's first connection.

    Raises IntegrityError when another transaction has stored one of the same company meanwhile.
    """
    session.add(connection)
    session.flush()


def renew(session: Session, connection_id: str, company_name: str, now: datetime) -> None:
    """Mark the connection as good again, whatever was wrong; its tokens follow."""
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(
            company_name=company_name,
            state="connected",
            problem=None,
            paused_until=None,
            failures=0,
            renewed_at=now,
        )
    )


def store_tokens(session: Session, connection_id: str, tokens: SealedTokens) -> None:
    """Replace both tokens of the connection."""
    session.execute(
        update(Connection).where(Connection.id == connection_id).values(_columns(tokens))
    )


def replace_tokens(
    session: Session, connection_id: str, tokens: SealedTokens, instead_of: str
) -> bool:
    """Replace the tokens if the refresh token is still the one that they were got with.

    A supplier who connected again meanwhile has newer ones, which must not be overwritten. What
    an earlier call has stored already counts as stored.
    """
    done = session.execute(
        update(Connection)
        .where(
            Connection.id == connection_id,
            Connection.refresh_sealed.in_((instead_of, tokens.refresh)),
        )
        .values(_columns(tokens))
        .returning(Connection.id)
    )
    return done.first() is not None


def _columns(tokens: SealedTokens) -> dict[str, Any]:
    return {
        "access_sealed": tokens.access,
        "access_expires_at": tokens.access_expires_at,
        "refresh_sealed": tokens.refresh,
        "refresh_expires_at": tokens.refresh_expires_at,
        "hard_expires_at": tokens.hard_expires_at,
    }


def disconnect(session: Session, connection_id: str, refresh_sealed: str, why: str) -> bool:
    """Mark the connection as dead, unless its refresh token was replaced meanwhile."""
    done = session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.refresh_sealed == refresh_sealed)
        .values(state="disconnected", problem=why)
        .returning(Connection.id)
    )
    return done.first() is not None


def draw_fetch_number(session: Session, connection_id: str) -> int:
    """Return the next fetch number of the company; draw it before the read is sent."""
    return session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(fetch_number=Connection.fetch_number + 1)
        .returning(Connection.fetch_number)
    ).scalar_one()


def changes_read_until(session: Session, connection_id: str) -> datetime:
    """Return the watermark up to which everything that changed has been read."""
    return session.execute(
        select(Connection.changes_read_until).where(Connection.id == connection_id)
    ).scalar_one()


def changes_read(session: Session, connection_id: str, until: datetime) -> None:
    """Move the watermark of changes forward; it never moves back."""
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.changes_read_until < until)
        .values(changes_read_until=until)
    )


def synced(session: Session, connection_id: str, now: datetime) -> None:
    """Note that the company was read without an error.

    A pause that somebody else was told to make meanwhile goes on.
    """
    session.execute(
        update(Connection)
        .where(
            Connection.id == connection_id,
            or_(Connection.paused_until.is_(None), Connection.paused_until <= now),
        )
        .values(last_synced_at=now, failures=0, paused_until=None, problem=None)
    )


def pause(session: Session, connection_id: str, until: datetime, why: str) -> None:
    """Leave the company alone until then, and count one more failure in a row."""
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(failures=Connection.failures + 1, paused_until=until, problem=why)
    )


def schedule_nudge(session: Session, connection_id: str, now: datetime, delay: timedelta) -> bool:
    """Return whether the caller should send a delayed nudge: one is enough for all who ask."""
    asked = session.execute(
        update(Connection)
        .where(
            Connection.id == connection_id,
            or_(Connection.nudge_due_at.is_(None), Connection.nudge_due_at < now),
        )
        .values(nudge_due_at=now + delay)
        .returning(Connection.id)
    )
    return asked.first() is not None
