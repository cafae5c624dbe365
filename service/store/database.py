"""The one engine of a process, and the kinds of transaction on it."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

_SQLITE_BUSY_SECONDS = 20
# A network that swallows everything would else hold a transaction for a quarter of an hour, and the
# writer of webhooks with it.
_NOTICES_A_DEAD_NETWORK = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


class Database:
    """Opens transactions: `write()` commits on a clean exit, `read()` never writes."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.engine = _engine(url, pool_size)
        reading = self.engine
        if not self.is_sqlite:  # which sees one moment in any case
            reading = self.engine.execution_options(isolation_level="REPEATABLE READ")
        self._reading = sessionmaker(reading, expire_on_commit=False)
        self._writing = sessionmaker(
            self.engine.execution_options(writes=True), expire_on_commit=False
        )

    @property
    def is_sqlite(self) -> bool:
        """True on a SQLite file, which this process shares with the command line alone."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session whose work is committed at the end, or rolled back on an exception."""
        with self._writing.begin() as session:
            yield session

    @contextmanager
    def trial(self) -> Iterator[Session]:
        """Give a session whose writes only it can see: they are rolled back at the end."""
        with self._writing() as session:
            yield session
            session.rollback()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees one moment of the database and holds no lock on it."""
        with self._reading() as session:
            yield session

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


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
    return create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=5,
        pool_pre_ping=True,
        # Errors would quote them, and errors are logged.
        hide_parameters=True,
        # In UTC no instant that we can write is one that the driver cannot read. Compiling our
        # short queries takes longer than they do: it doubled the time of a page.
        connect_args={**_NOTICES_A_DEAD_NETWORK, "options": "-c timezone=UTC -c jit=off"},
    )


def _prepare_sqlite(dbapi_connection: Any, _: ConnectionPoolEntry) -> None:
    # The driver must not begin transactions by itself: it does so only at the first write, which
    # leaves a read-then-write unprotected. `_begin_sqlite` says BEGIN instead.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    _use_wal(cursor)
    # FULL, because an acknowledged notice must survive a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Set the file's journal mode; for this lock, unlike any other, SQLite itself does not wait."""
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
