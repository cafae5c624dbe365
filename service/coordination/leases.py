"""Leases: the right of one process to do one thing, which lapses when the process dies.

Times are seconds of the database's own clock, so that no two machines' clocks are compared.
"""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from uuid import uuid4

import structlog
from sqlalchemy import Float, String, bindparam, delete, or_, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from service.database.engine import Database, after_commit
from service.database.tables import Lease
from service.database.types import LONGEST_FENCE, database_now, is_over
from service.database.upsert import insert_for

log = structlog.get_logger(__name__)

TTL_SECONDS = 20.0

_BEAT_SECONDS = TTL_SECONDS / 4


def new_owner() -> str:
    return uuid4().hex


def acquire(
    session: Session,
    name: str,
    owner: str,
    *,
    spacing: float = 0.0,
    seconds: float = TTL_SECONDS,
) -> bool:
    """Take the lease `name` for `seconds` unless another holds it; return whether it was taken.

    Everybody takes a lease for the same time: one that ends later is of a clock that was ahead.
    With `spacing`, it is also refused until that many seconds after it was last taken.
    """
    statement = _acquiring(session.get_bind().dialect.name, spaced=spacing > 0)
    longest = max(seconds, LONGEST_FENCE)
    given = {"lease": name, "by": owner, "seconds": seconds, "longest": longest}
    if spacing:
        given["spacing"] = spacing
    return session.connection().execute(statement, given).first() is not None


@cache
def _acquiring(dialect: str, *, spaced: bool) -> ReturningInsert[str]:
    now = database_now()
    owner = bindparam("by", type_=String)
    until = now + bindparam("seconds", type_=Float)
    statement = insert_for(dialect, Lease).values(
        name=bindparam("lease"), owner=owner, taken_at=now, until=until
    )
    free = is_over(Lease.until, bindparam("longest", type_=Float))
    if spaced:
        spacing = bindparam("spacing", type_=Float)
        free &= or_(Lease.taken_at <= now - spacing, Lease.taken_at > now + LONGEST_FENCE)
    return statement.on_conflict_do_update(
        index_elements=[Lease.name],
        set_={"owner": owner, "taken_at": now, "until": until},
        where=free,
    ).returning(Lease.name)


def extend(session: Session, names: Collection[str], owner: str) -> None:
    """Extend those of these leases that `owner` still holds to TTL_SECONDS from now."""
    now = database_now()
    session.execute(
        update(Lease)
        .where(Lease.name.in_(names), Lease.owner == owner)
        .values(until=now + TTL_SECONDS)
    )


def release(session: Session, name: str, owner: str, *, spacing: float = 0.0) -> float | None:
    """Give the lease back; return the seconds until it may be taken again by its spacing.

    None if the owner does not hold it. When it was taken is kept. It loses its owner, so that a
    heartbeat that is already on its way does not extend it.
    """
    given = {"lease": name, "by": owner}
    taken = session.connection().execute(_RELEASE, given).scalar_one_or_none()
    return None if taken is None else _left(taken, spacing)


_RELEASE = (
    update(Lease)
    .where(Lease.name == bindparam("lease"), Lease.owner == bindparam("by"))
    .values(until=0.0, owner="")
    .returning(Lease.taken_at - database_now())
)


def wait_seconds(session: Session, name: str, spacing: float) -> float | None:
    """Return the seconds until `name` may be taken by its spacing; None while somebody holds it.

    Waits for the transaction in which another takes it or gives it back at this moment.
    """
    row = session.execute(_LOOK, {"lease": name}).first()
    if row is None:
        return 0.0
    held, taken = row
    return None if held else _left(taken, spacing)


_LOOK = (
    select(~is_over(Lease.until), Lease.taken_at - database_now())
    .where(Lease.name == bindparam("lease"))
    .with_for_update()
)


def _left(taken: float, spacing: float) -> float:
    """Return how much of the spacing is left; `taken` is in seconds from now, so below zero."""
    return 0.0 if taken > LONGEST_FENCE else max(0.0, taken + spacing)


def prune(session: Session, older_than_seconds: float) -> None:
    """Delete leases that nobody has taken for this long."""
    now = database_now()
    session.execute(
        delete(Lease).where(Lease.taken_at <= now - older_than_seconds, Lease.until <= now)
    )


class HeldLeases:
    """Takes leases for as long as a block runs.

    A heartbeat extends them; when the process dies they lapse. A holder that was frozen past its
    lease does no harm: what it writes is guarded by versions and checkpoints.
    """

    def __init__(self, database: Database, *, beat_seconds: float = _BEAT_SECONDS) -> None:
        self._database = database
        self._beat_seconds = beat_seconds
        self.owner = new_owner()
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="leases", daemon=True)

    def start(self) -> None:
        """Begin to extend what is held."""
        self._thread.start()

    def stop(self) -> None:
        """Stop extending; what is still held lapses."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    @contextmanager
    def hold(self, name: str, *, spacing: float = 0.0) -> Iterator[bool]:
        """Give True while this block alone has the lease, False if somebody else has it."""
        with self._database.statement() as session:
            mine = self.acquire(session, name, spacing)
        if not mine:
            yield False
            return
        self.keep_alive(name)
        try:
            yield True
        finally:
            self._give_back(name)

    @contextmanager
    def join(self, name: str, *, spacing: float = 0.0) -> Iterator["JoinedLease"]:
        """Give a lease for the block to take, and give back, in transactions of its own.

        If the block has not given it back, it is given back at the end.
        """
        lease = JoinedLease(self, name, spacing)
        try:
            yield lease
        finally:
            if lease.is_held:
                self._give_back(name)

    def acquire(self, session: Session, name: str, spacing: float) -> bool:
        """Take the lease for this process; False also where another thread of it has the lease."""
        return self._free_here(name) and acquire(session, name, self.owner, spacing=spacing)

    def keep_alive(self, name: str) -> None:
        """Let the heartbeat extend the lease from now on."""
        with self._lock:
            self._names.add(name)

    def let_go(self, name: str) -> None:
        """Let the heartbeat extend it no more."""
        with self._lock:
            self._names.discard(name)

    def _give_back(self, name: str) -> None:
        """Release the lease, over a new connection if the first one has gone; else it lapses."""
        self.let_go(name)
        for is_last in (False, True):
            try:
                with self._database.statement() as session:
                    release(session, name, self.owner)
            except SQLAlchemyError as e:
                # What the block itself raises is for its caller to know, not this.
                is_gone = isinstance(e, DBAPIError) and e.connection_invalidated
                if is_last or not is_gone:
                    log.warning("lease.not_released", error=type(e).__name__)
                    return
            else:
                return

    def _free_here(self, name: str) -> bool:
        with self._lock:
            return name not in self._names

    def _beat(self) -> None:
        while not self._stopping.wait(self._beat_seconds):
            with self._lock:
                names = sorted(self._names)
            if not names:
                continue
            try:
                with self._database.statement() as session:
                    extend(session, names, self.owner)
            except Exception as e:
                # Three beats may fail before a lease lapses.
                log.warning("lease.not_extended", error=type(e).__name__)


class JoinedLease:
    """A lease that is taken and given back in its holder's own transactions, once each.

    So it is held, or free again, from the moment at which they are committed.
    """

    def __init__(self, leases: HeldLeases, name: str, spacing: float) -> None:
        self.is_held = False
        self._leases = leases
        self._name = name
        self._spacing = spacing

    def take(self, session: Session) -> bool:
        """Take the lease unless another holds it, or took it within the spacing; return whether it
        was taken.

        Waits for the transaction in which another gives it back at this moment.
        """
        if not self._leases.acquire(session, self._name, self._spacing):
            return False
        after_commit(session, self._note_taken)
        return True

    def wait_seconds(self, session: Session) -> float | None:
        """Return the seconds until it may be taken; None while somebody holds it."""
        return wait_seconds(session, self._name, self._spacing)

    def release(self, session: Session) -> float | None:
        """Give the lease back; return the seconds until it may be taken again, None if it had
        lapsed and somebody else has it.
        """
        after_commit(session, self._note_released)
        return release(session, self._name, self._leases.owner, spacing=self._spacing)

    def _note_taken(self) -> None:
        self.is_held = True
        self._leases.keep_alive(self._name)

    def _note_released(self) -> None:
        self.is_held = False
        self._leases.let_go(self._name)
