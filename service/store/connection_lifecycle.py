"""What operators decide about a company: pause, resume, disconnect, release, hand over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, Invoice
from service.domain import ConnectionState, EventType, OwnNotice
from service.store import event_feed, invoices, own_notices, proof, runs
from service.store.event_feed import Happening

NO_TOKENS = {
    "access_sealed": None,
    "access_expires_at": None,
    "refresh_sealed": None,
    "previous_refresh_sealed": None,
    "refresh_expires_at": None,
    "hard_expires_at": None,
}


def suspend(session: Session, connection_id: str, now: datetime) -> bool:
    """Pause the company: nobody calls QuickBooks for it. Return False if it is paused already."""
    paused = {"suspended_at": now, **proof.LOST}
    changed = _change(session, connection_id, Connection.suspended_at.is_(None), paused)
    if changed:
        tell(session, EventType.PAUSED, connection_id, now)
    return changed


def resume(session: Session, connection_id: str, now: datetime) -> bool:
    """End the pause, and ask for what was missed; return False if there was none."""
    resumed = _change(
        session,
        connection_id,
        Connection.suspended_at.is_not(None),
        {"suspended_at": None, "reconcile_due_at": now},
    )
    if resumed:
        own_notices.ask_for_changes(session, connection_id, OwnNotice.RESUMED, now)
        tell(session, EventType.RESUMED, connection_id, now)
    return resumed


def end(session: Session, connection_id: str, refresh_sealed: str | None, now: datetime) -> bool:
    """Disconnect the company; return False if its refresh token was replaced meanwhile.

    Without tokens nothing brings it back: a refresh at this moment compares the token that it used
    with the stored one.
    """
    ended = {
        **NO_TOKENS,
        **proof.LOST,
        "state": ConnectionState.DISCONNECTED,
        "problem": None,
        "disconnected_at": func.coalesce(Connection.disconnected_at, now),
        "paused_until": None,
        "throttled_since": None,
        "outage_since": None,
        "outage": None,
        "barred_since": None,
        "keys_refused_since": None,
        "failures": 0,
    }
    state = select(Connection.state).where(Connection.id == connection_id)
    was = session.execute(state).scalar_one_or_none()
    done = _change(session, connection_id, Connection.refresh_sealed == refresh_sealed, ended)
    if done and was == ConnectionState.CONNECTED:
        tell(session, EventType.ENDED, connection_id, now, problem=None)
    return done


def release(session: Session, connection_id: str, now: datetime) -> bool:
    """Let any supplier connect the company next, not paused; return False while it is connected."""
    released = {**NO_TOKENS, "released_at": now, "suspended_at": None, "problem": None}
    done = _change(
        session, connection_id, Connection.state == ConnectionState.DISCONNECTED, released
    )
    if done:
        tell(session, EventType.RELEASED, connection_id, now)
    return done


def hand_over(session: Session, connection_id: str, supplier_id: int, now: datetime) -> None:
    """Give a released company to another supplier, without any record yet.

    What is recorded was mapped for the former one: nobody sees it until it is mapped again.
    """
    runs.abandon(session, connection_id, "the company was handed over to another supplier", now)
    session.execute(
        update(Invoice)
        .where(Invoice.connection_id == connection_id)
        .values(mapped=None, digest="", **invoices.keys(None))
    )
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(supplier_id=supplier_id, connected_at=now, last_synced_at=None, adopted_at=None)
    )


def tell(session: Session, kind: EventType, connection_id: str, now: datetime, **data: Any) -> None:
    """Tell what has happened to the connection."""
    happening = Happening(type=kind, connection_id=connection_id, subject=connection_id, data=data)
    event_feed.tell(session, [happening], now)


def _change(
    session: Session, connection_id: str, only_if: ColumnElement[bool], values: Mapping[str, Any]
) -> bool:
    changed = session.execute(
        update(Connection)
        .where(Connection.id == connection_id, only_if)
        .values(values)
        .returning(Connection.id)
    )
    return changed.first() is not None
