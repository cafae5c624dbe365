"""The one engine of a process, its kinds of transaction, and single fast statements."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVarTuple, cast

from sqlalchemy import (
    ClauseElement,
    Connection,
    CursorResult,
    Dialect,
    Engine,
    PoolProxiedConnection,
    Select,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.compiler import SQLCompiler

from service.errors import OutOfTime

_TRUSTED_SECONDS = 1.0
_TESTED_AT = "tested_at"

_SQLITE_BUSY_SECONDS = 20
# For the indexes that a page of invoices changes: 2 MiB, SQLite's own choice, are too few.
_SQLITE_CACHE_KIB = 16 * 1024
# Of its virtual machine: some tens of milliseconds. Each check of the clock asks for the
# interpreter, which is then not there for pages.
_SQLITE_STEPS = 1_000_000
_SQLITE_LOOKED_AT = 1000  # entries of an index, so that it takes a moment however many there are
_QUERY_CANCELED = "57014"
# A network that drops everything would hold a transaction for a quarter of an hour, and the writer
# of webhooks with it.
_NOTICES_A_DEAD_NETWORK = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")
_AFTER_COMMIT = "after_commit"
_IS_ALONE = "is_alone"
KEEPS_EVENTS = "keeps_events"
"""In a session's `info`: whether what happens is written down as events; see `store.event_feed`."""

SENDS_EVENTS = "sends_events"
"""Likewise: whether those are to be sent."""


class Database:
    """Opens transactions: `write()` commits on a clean exit, `read()` never does.

    Whoever builds the process says by `keeps_events` and `sends_events` whether what is written is
    told as events, too.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.keeps_events = self.sends_events = False
        self.engine = _engine(url, pool_size)
        reading = self.engine
        if not self.is_sqlite:  # SQLite sees one moment anyway
            reading = self.engine.execution_options(isolation_level="REPEATABLE READ")
        self._reading = sessionmaker(reading, expire_on_commit=False)
        self._writing = sessionmaker(
            self.engine.execution_options(writes=True), expire_on_commit=False
        )
        alone = self.engine
        if not self.is_sqlite:  # where nothing is asked over a network
            alone = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._alone = sessionmaker(alone, expire_on_commit=False)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session that commits at the end or rolls back.

        After the commit, with the connection given back, it calls what `after_commit` was given.
        """
        with self._writing.begin() as session:
            session.info[KEEPS_EVENTS] = self.keeps_events
            session.info[SENDS_EVENTS] = self.sends_events
            yield session
        for call in session.info.pop(_AFTER_COMMIT, ()):
            call()

    @contextmanager
    def statement(self) -> Iterator[Session]:
        """Give a session for one statement that writes, committed when it has answered.

        PostgreSQL needs one round trip for it, where `write` takes three. There is no transaction
        whose end `after_commit` could wait for, so it refuses such a session.
        """
        if self.is_sqlite:
            with self._writing.begin() as session:
                session.info[_IS_ALONE] = True
                yield session
            return
        with self._alone() as session:
            session.info[_IS_ALONE] = True
            yield session

    @contextmanager
    def trial(self) -> Iterator[Session]:
        """Give a session that is always rolled back, so that only it sees its writes."""
        with self._writing() as session:
            yield session
            session.rollback()

    @contextmanager
    def read(self, *, seconds: float | None = None) -> Iterator[Session]:
        """Give a session that sees one moment of the database and holds no lock.

        With `seconds`, OutOfTime is raised once a statement has taken so long; on SQLite, once all
        of them together have.
        """
        with self._reading() as session:
            if seconds is None:
                yield session
            else:
                with self._limited(session, seconds):
                    yield session

    @contextmanager
    def _limited(self, session: Session, seconds: float) -> Iterator[None]:
        driver: Any = None
        if self.is_sqlite:
            ends_at = time.monotonic() + seconds
            driver = session.connection().connection.driver_connection
            driver.set_progress_handler(lambda: time.monotonic() > ends_at, _SQLITE_STEPS)
        else:
            limit = f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}"
            session.connection().exec_driver_sql(limit)
        try:
            yield
        except OperationalError as e:
            cancelled = getattr(e.orig, "sqlstate", None) == _QUERY_CANCELED
            if cancelled or str(e.orig) == "interrupted":
                raise OutOfTime from None
            raise
        finally:
            if driver is not None:
                driver.set_progress_handler(None, 0)

    def learn(self) -> None:
        """Let SQLite learn which of its indexes lead to few rows.

        Before that it may prefer an index of all of a company's invoices to one of those held.
        PostgreSQL learns by itself.
        """
        if not self.is_sqlite:
            return
        with self.engine.begin() as connection:
            connection.exec_driver_sql(f"PRAGMA analysis_limit = {_SQLITE_LOOKED_AT}")
            connection.exec_driver_sql("ANALYZE")

    def close(self) -> None:
        """Close every connection; one that a thread still uses, when it is given back."""
        pool = self.engine.pool
        self.engine.dispose()
        # SQLAlchemy keeps it in the pool that is gone, open until the collector finds both.
        event.listen(pool, "checkin", _close_connection)
        pool.dispose()  # of what was given back meanwhile


def _close_connection(_: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    entry.invalidate()


def after_commit(
    session: Session, call: Callable[P, object], *args: P.args, **kwargs: P.kwargs
) -> None:
    """Call `call` once the transaction of `Database.write()` is committed, in the order of asking.

    It is not called after a rollback or in a trial. What it raises reaches the caller of `write()`,
    whose work stays committed, and the later calls are left out. Raises RuntimeError for a session
    of `Database.statement()`.
    """
    if session.info.get(_IS_ALONE):
        raise RuntimeError("a single statement has no commit to wait for: use Database.write()")
    session.info.setdefault(_AFTER_COMMIT, []).append(partial(call, *args, **kwargs))


def rows_of(
    session: Session, query: Select[*Ts], values: Mapping[str, Any] = MappingProxyType({})
) -> CursorResult[*Ts]:
    """Return the rows of a query of columns, past SQLAlchemy's ORM.

    The ORM took two fifths of the time of a short one on SQLite. As by the ORM, the session's new
    and changed objects are written first.
    """
    session.flush()
    return session.connection().execute(query, values)


# In UTC the driver can read every instant that we can write. JIT compiles our short queries for
# longer than they run: it doubled the time of a page. The default cost of a page at random, 4, is
# that of turning disks: for a search among 100,000 invoices the planner then read the whole table,
# and took four times as long as from the indexes.
_OPTIONS = "-c timezone=UTC -c jit=off -c random_page_cost=1.1"


def _engine(url: str, pool_size: int) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed,
            pool_size=pool_size,
            connect_args={"timeout": _SQLITE_BUSY_SECONDS},
            hide_parameters=True,
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=5,
        # Errors would quote them, and errors are logged.
        hide_parameters=True,
        connect_args={**_NOTICES_A_DEAD_NETWORK, "options": _OPTIONS},
    )
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "connect", _trust)
    event.listen(engine, "checkout", partial(_test_unless_trusted, engine.dialect))
    return engine


def _prepare_postgresql(driver: Any, _: ConnectionPoolEntry) -> None:
    # Where SQLite is used, nothing needs it.
    from psycopg.types.array import ListBinaryDumper  # noqa: PLC0415

    # As text, which the driver prefers, it takes eighty times as long to quote an array of JSON.
    driver.adapters.register_dumper(list, ListBinaryDumper)


def _trust(_: object, record: ConnectionPoolEntry) -> None:
    record.info[_TESTED_AT] = time.monotonic()


def _test_unless_trusted(
    dialect: Dialect, driver: DBAPIConnection, record: ConnectionPoolEntry, _: PoolProxiedConnection
) -> None:
    """Test a connection that is taken from the pool, once a second; a dead one is made anew.

    A test before each transaction was one of the four round trips that a small one took.
    """
    if time.monotonic() - record.info.get(_TESTED_AT, 0.0) <= _TRUSTED_SECONDS:
        return
    try:
        dialect.do_ping(driver)
    except dialect.loaded_dbapi.Error as e:
        raise InvalidatePoolError from e
    _trust(driver, record)


def _prepare_sqlite(dbapi_connection: Any, _: ConnectionPoolEntry) -> None:
    # The driver would begin transactions only at the first write, which leaves a read-then-write
    # unprotected. `_begin_sqlite` says BEGIN instead.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    _use_wal(cursor)
    # FULL, because an acknowledged notice must survive a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA cache_size = -{_SQLITE_CACHE_KIB}")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Set the file's journal mode; SQLite itself does not wait for this lock, unlike for others."""
    deadline = time.monotonic() + _SQLITE_BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as e:
            if "locked" not in str(e) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Statements:
    """Runs single statements of one thread, each in a transaction of its own; to be closed.

    Either database commits such a statement before it answers, without a round trip to begin or to
    commit. It goes to the driver as SQLAlchemy compiled it once: SQLAlchemy's own way took as long
    as the driver's. The pool tests the connection every `trusted_seconds`: a test before each
    statement took a fifth of its time.
    """

    def __init__(self, engine: Engine, *, trusted_seconds: float = _TRUSTED_SECONDS) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._trusted_seconds = trusted_seconds
        self._compiled: dict[ClauseElement, _Compiled] = {}
        self._kept: Connection | None = None
        self._tested_at = 0.0

    @property
    def dialect(self) -> str:
        """Either "postgresql" or "sqlite"."""
        return self._engine.dialect.name

    def run(self, statement: ClauseElement, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Run a statement and return its rows as the driver gives them.

        `values` are text and whole numbers, because nothing converts them. After a DBAPIError a
        fresh connection is used.
        """
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = self._compiled[statement] = _Compiled.of(statement, self._engine)
        driver = self._driver()
        try:
            cursor = driver.cursor()
            cursor.execute(compiled.text, compiled.parameters(values))
            rows = cursor.fetchall()
            cursor.close()
        except self._engine.dialect.loaded_dbapi.Error as e:
            self._give_up()
            dialect = self._engine.dialect
            raise DBAPIError.instance(compiled.text, None, e, type(e), dialect=dialect) from e
        return rows

    def close(self) -> None:
        """Give the connection back to the pool."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _driver(self) -> PoolProxiedConnection:
        if time.monotonic() - self._tested_at > self._trusted_seconds:
            if self._kept is not None:
                self._kept.info.pop(_TESTED_AT, None)  # the pool tests it again
            self.close()
        if self._kept is None:
            self._kept = self._engine.connect()
            self._tested_at = time.monotonic()
        return self._kept.connection

    def _give_up(self) -> None:
        if self._kept is not None:
            self._kept.invalidate()
        self.close()


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in its database's SQL, and the parameters that it brings."""

    text: str
    own: Mapping[str, Any]
    order: Sequence[str] | None

    @classmethod
    def of(cls, statement: ClauseElement, engine: Engine) -> "_Compiled":
        compiled = cast(SQLCompiler, statement.compile(dialect=engine.dialect))
        return cls(str(compiled), compiled.params, compiled.positiontup)

    def parameters(self, values: Mapping[str, Any]) -> Any:
        named = {**self.own, **values}
        return named if self.order is None else [named[name] for name in self.order]
