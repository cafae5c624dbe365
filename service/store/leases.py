"""Leases: the right of one process to do one thing, lost by itself when the process dies.

Times are seconds of the database's own clock, so that no two machines' clocks are compared.
"""

from collections.abc import Collection
from uuid import uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.store.columns import database_now
from service.store.insert import insert
from service.store.tables import Lease

TTL_SECONDS = 20.0


def new_owner() -> str:
    """Return a name that no other holder of a lease has."""
    return uuid4().hex


def acquire(
    session: Session,
    name: str,
    owner: str,
    *,
    spacing: float = 0.0,
    seconds: float = TTL_SECONDS,
) -> bool:
    """Take the lease `name` for `seconds` unless somebody holds it; return whether it was taken.

    With `spacing`, it is also refused until so many seconds after it was last taken.
    """
    now = database_now()
    statement = insert(session, Lease).values(
        name=name, owner=owner, taken_at=now, until=now + seconds
    )
    free = Lease.until <= now
    taken = session.execute(
        statement.on_conflict_do_update(
            index_elements=[Lease.name],
            set_={"owner": owner, "taken_at": now, "until": now + seconds},
            where=free & (Lease.taken_at <= now - spacing) if spacing else free,
        ).returning(Lease.name)
    )
    return taken.first() is not None


def extend(session: Session, names: Collection[str], owner: str) -> None:
    """Move the end of these leases forward, as far as `owner` still holds them."""
    now = database_now()
    session.execute(
        update(Lease)
        .where(Lease.name.in_(names), Lease.owner == owner)
        .values(until=now + TTL_SECONDS)
    )


def release(session: Session, name: str, owner: str) -> None:
    """Give the lease back, keeping when it was taken for the next one's spacing.

    It has no owner any more, so that a heartbeat that is just on its way does not extend it.
    """
    session.execute(
        update(Lease).where(Lease.name == name, Lease.owner == owner).values(until=0.0, owner="")
    )


def wait_seconds(session: Session, name: str, spacing: float) -> float | None:
    """Return how long until `name` may be taken by its spacing; None while somebody holds it."""
    now = database_now()
    row = session.execute(
        select(Lease.until > now, Lease.taken_at + spacing - now).where(Lease.name == name)
    ).first()
    if row is None:
        return 0.0
    held, remaining = row
    return None if held else max(0.0, remaining)


def prune(session: Session, older_than_seconds: float) -> None:
    """Forget leases that nobody has taken for so long."""
    now = database_now()
    session.execute(
        delete(Lease).where(Lease.taken_at <= now - older_than_seconds, Lease.until <= now)
    )
