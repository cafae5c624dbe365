"""Suppliers and their connections."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from service.database.engine import rows_of
from service.database.tables import Connection, Supplier
from service.database.types import NOW, Instant, Moment, among, has_come, moments
from service.database.upsert import excluded, insert
from service.domain import CompanyState, ConnectionState
from service.errors import Disconnected
from service.kit.backoff import LONGEST_PAUSE

_LONGEST_NUDGE = timedelta(minutes=2)
# SQLite's own lower() knows no letters beyond ASCII.
_EMAILS = select(Supplier.id, Supplier.email)
UNASKED_WHILE = timedelta(days=1)
"""How long an object that nobody asked for is spoken of."""

# A company that QuickBooks ended has a problem; none has that was released.
company_state: ColumnElement[Any] = case(
    (
        Connection.state == ConnectionState.DISCONNECTED,
        case(
            (Connection.problem.is_not(None), CompanyState.DEAD.value),
            (Connection.released_at.is_not(None), CompanyState.RELEASED.value),
            else_=CompanyState.DISCONNECTED.value,
        ),
    ),
    (Connection.suspended_at.is_not(None), CompanyState.PAUSED.value),
    else_=CompanyState.CONNECTED.value,
)
"""An expression: the `CompanyState` of a connection."""


def upsert_supplier(session: Session, email: str, name: str, address: str, now: datetime) -> int:
    """Return the supplier's id, after storing the name and address unless they are empty."""
    given = [field for field, value in (("name", name), ("address", address)) if value]
    return _supplier(session, email, name, address, given, now)


def ensure_supplier(session: Session, email: str, name: str, address: str, now: datetime) -> int:
    """Return the id of the supplier with this e-mail address; an existing one stays as it is."""
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
    return session.get(Supplier, supplier_id)


def supplier_by_email(session: Session, email: str) -> Supplier | None:
    """Return the supplier with exactly this e-mail address."""
    return session.scalars(select(Supplier).where(Supplier.email == email.strip())).first()


def suppliers_named(session: Session, email: str) -> Sequence[Supplier]:
    """Return the supplier with exactly this e-mail address, else all that differ in case alone."""
    exact = supplier_by_email(session, email)
    if exact is not None:
        return [exact]
    wanted = email.strip().casefold()
    ids = [id_ for id_, known in session.execute(_EMAILS) if known.casefold() == wanted]
    return session.scalars(select(Supplier).where(Supplier.id.in_(ids)).order_by(Supplier.id)).all()


def get(session: Session, connection_id: str) -> Connection | None:
    return session.get(Connection, connection_id)


def connected(session: Session, connection_id: str) -> Connection:
    """Return the connection; raises Disconnected unless it is alive."""
    connection = session.get(Connection, connection_id)
    if connection is None or connection.state != ConnectionState.CONNECTED:
        raise Disconnected("the connection has ended; the supplier has to connect again")
    return connection


def any_one(session: Session) -> Connection | None:
    return session.scalars(select(Connection).limit(1)).first()


def lock(session: Session, connection_id: str) -> None:
    """Lock the company for this transaction.

    SQLite has one writer anyway. On PostgreSQL the lock leaves the row's key alone: a notice that
    refers to it is stored meanwhile, so that no acknowledgement waits for a batch.
    """
    rows_of(session, _LOCK, {"company": connection_id})


def lock_if_held(session: Session, connection_id: str, supplier_id: int) -> bool:
    """Lock the company likewise; return whether it is connected and belongs to this supplier."""
    state, owner = rows_of(session, _LOCK, {"company": connection_id}).first() or (None, None)
    return (state, owner) == (ConnectionState.CONNECTED, supplier_id)


_LOCK = (
    select(Connection.state, Connection.supplier_id)
    .where(Connection.id == bindparam("company"))
    .with_for_update(key_share=True)
)


def lock_all(session: Session, ids: Collection[str]) -> None:
    """Lock these companies likewise, in one order, so that two who do so never wait in a circle."""
    session.execute(
        select(Connection.id)
        .where(among(Connection.id, ids))
        .order_by(Connection.id)
        .with_for_update(key_share=True)
    )


def may_be_called(environment: str | BindParameter[str], now: Moment) -> ColumnElement[bool]:
    """A condition: QuickBooks may be called for it: alive, not paused, in this environment."""
    return and_(
        Connection.environment == environment,
        Connection.state == ConnectionState.CONNECTED,
        Connection.suspended_at.is_(None),
        has_come(Connection.paused_until, now),
    )


def callable_now(
    session: Session, connection_id: str, environment: str, now: datetime
) -> Connection | None:
    """Return the connection if QuickBooks may be called for it now."""
    return session.scalars(
        select(Connection).where(Connection.id == connection_id, may_be_called(environment, now))
    ).first()


def by_realm(
    session: Session, environment: str, realm_digest: str, *, lock: bool = False
) -> Connection | None:
    """Return this company's connection in this environment, whoever holds it; `lock` locks it."""
    query = select(Connection).where(
        Connection.environment == environment, Connection.realm_digest == realm_digest
    )
    return session.scalars(query.with_for_update(key_share=True) if lock else query).first()


def of_supplier(session: Session, supplier_id: int, environment: str) -> Sequence[Connection]:
    """Return the supplier's unreleased connections in this environment, the oldest first."""
    return session.scalars(
        select(Connection)
        .where(
            Connection.supplier_id == supplier_id,
            Connection.environment == environment,
            Connection.released_at.is_(None),
        )
        .order_by(Connection.connected_at, Connection.id)
    ).all()


def own(
    session: Session, connection_id: str, supplier_id: int, environment: str
) -> Connection | None:
    """Return this connection if it is one of the supplier's in this environment."""
    mine = of_supplier(session, supplier_id, environment)
    return next((one for one in mine if one.id == connection_id), None)


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
    """Keep others from connecting a company for this supplier until the transaction ends."""
    session.execute(
        select(Supplier.id).where(Supplier.id == supplier_id).with_for_update(key_share=True)
    )


def add(session: Session, connection: Connection) -> None:
    """Store a company's first connection; raises IntegrityError if another was stored meanwhile."""
    session.add(connection)
    session.flush()


def renew(
    session: Session,
    connection_id: str,
    company_name: str,
    now: datetime,
    *,
    country: str = "",
    own_emails: Sequence[str] = (),
) -> None:
    """Mark the connection as good again; its tokens are stored apart. "" keeps the country, and no
    address keeps the addresses.
    """
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(
            company_name=company_name,
            country=country or Connection.country,
            own_emails=list(own_emails) or Connection.own_emails,
            state=ConnectionState.CONNECTED,
            problem=None,
            paused_until=None,
            throttled_since=None,
            outage_since=None,
            outage=None,
            barred_since=None,
            failures=0,
            renewed_at=now,
            disconnected_at=None,
            released_at=None,
        )
    )


def draw_fetch_number(session: Session, connection_id: str) -> int:
    """Return the company's next fetch number; draw it before the read is sent."""
    drawn = session.connection().execute(_DRAW_FETCH_NUMBER, {"company": connection_id})
    return int(drawn.scalar_one())


_DRAW_FETCH_NUMBER = (
    update(Connection)
    .where(Connection.id == bindparam("company"))
    .values(fetch_number=Connection.fetch_number + 1)
    .returning(Connection.fetch_number)
)


def synced(session: Session, connection_id: str, now: datetime) -> bool:
    """Note that the company was read without an error, unless another worker has paused it.

    Return whether that ended an outage, or that QuickBooks barred us.
    """
    hindered = rows_of(session, _HINDERED, {"company": connection_id}).first()
    given = {"company": connection_id, **moments(now, LONGEST_PAUSE)}
    noted = session.connection().execute(_NOTE_SYNCED, given)
    return noted.first() is not None and hindered is not None


_HINDERED = select(Connection.id).where(
    Connection.id == bindparam("company"),
    or_(Connection.outage_since.is_not(None), Connection.barred_since.is_not(None)),
)
_NOTE_SYNCED = (
    update(Connection)
    .where(
        Connection.id == bindparam("company"),
        Connection.state == ConnectionState.CONNECTED,
        has_come(Connection.paused_until, NOW),
    )
    .values(
        last_synced_at=NOW,
        failures=0,
        paused_until=None,
        throttled_since=None,
        outage_since=None,
        outage=None,
        barred_since=None,
        problem=None,
    )
    .returning(Connection.id)
)


def outage_began(session: Session, connection_id: str, why: str, now: datetime) -> None:
    """Keep since when QuickBooks cannot be reached for the company, and how it fails now."""
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.state == ConnectionState.CONNECTED)
        .values(outage_since=func.coalesce(Connection.outage_since, now), outage=why)
    )


def outage_ended(session: Session, connection_id: str) -> bool:
    """Note that QuickBooks answers for the company; return whether that ended an outage."""
    ended = session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.outage_since.is_not(None))
        .values(outage_since=None, outage=None)
        .returning(Connection.id)
    )
    return ended.first() is not None


def pause(session: Session, connection_id: str, until: datetime, why: str) -> None:
    """Leave the company alone until then, and count one more failure in a row.

    A longer pause goes on. A disconnected company stays as it is: its problem is not an error's.
    """
    longest = case(
        (Connection.paused_until > until, Connection.paused_until), else_=literal(until, Instant)
    )
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.state == ConnectionState.CONNECTED)
        .values(failures=Connection.failures + 1, paused_until=longest, problem=why)
    )


def throttle(
    session: Session, connection_id: str, until: datetime, why: str, now: datetime
) -> None:
    """Pause the company, and keep since when it has answered only 429."""
    pause(session, connection_id, until, why)
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.throttled_since.is_(None))
        .values(throttled_since=now)
    )


def bar(session: Session, connection_id: str, until: datetime, why: str, now: datetime) -> None:
    """Pause the company until then, and remember since when QuickBooks has barred us from it."""
    pause(session, connection_id, until, why)
    session.execute(
        update(Connection)
        .where(
            Connection.id == connection_id,
            Connection.state == ConnectionState.CONNECTED,
            Connection.barred_since.is_(None),
        )
        .values(barred_since=now)
    )


def refuse_keys(session: Session, connection_id: str, now: datetime) -> None:
    """Remember since when QuickBooks renews no tokens because of the app's own keys.

    The access token is over too: only a renewal can tell that the keys are right again.
    """
    over = case((Connection.access_expires_at > now, now), else_=Connection.access_expires_at)
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id, Connection.keys_refused_since.is_(None))
        .values(keys_refused_since=now, access_expires_at=over)
    )


def call_again(session: Session, connection_id: str, *, barred: bool = False) -> None:
    """End the pause that errors caused, so that the company can be called at once.

    With `barred` only if that is why it waits, and not because QuickBooks has asked for it.
    """
    called = update(Connection).where(
        Connection.id == connection_id, Connection.state == ConnectionState.CONNECTED
    )
    if barred:
        called = called.where(Connection.barred_since.is_not(None))
    session.execute(called.values(paused_until=None, failures=0))


def count_unasked(session: Session, connection_id: str, count: int, now: datetime) -> None:
    """Add objects that QuickBooks sent and nobody asked for; what is older than a while is over."""
    lately = case((Connection.unasked_at > now - UNASKED_WHILE, Connection.unasked), else_=0)
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(unasked=lately + count, unasked_at=now)
    )


def failures(session: Session, connection_id: str) -> int:
    """Return how often in a row the company could not be read."""
    return session.execute(
        select(Connection.failures).where(Connection.id == connection_id)
    ).scalar_one()


def schedule_nudge(session: Session, connection_id: str, now: datetime, delay: timedelta) -> bool:
    """Return whether the caller should send a delayed nudge: one is enough for all who ask."""
    given = {"company": connection_id, "due_at": now + delay, **moments(now, _LONGEST_NUDGE)}
    return session.connection().execute(_SCHEDULE_NUDGE, given).first() is not None


_SCHEDULE_NUDGE = (
    update(Connection)
    .where(
        Connection.id == bindparam("company"),
        has_come(Connection.nudge_due_at, NOW, _LONGEST_NUDGE),
    )
    .values(nudge_due_at=bindparam("due_at", type_=Instant))
    .returning(Connection.id)
)
