"""Migrated databases for tests: made once, and emptied or copied for each of them."""

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from pymongo.database import Database as MongoDatabase
from sqlalchemy import event, text

from service.database.engine import Database
from service.database.schema import migrate
from service.database.tables import Base
from tests.servers import postgres

MARKS = {"both_databases": ("sqlite", "postgresql"), "postgresql": ("postgresql",)}
"""By its mark, on what a test runs; each test without one runs on SQLite."""

# TRUNCATE makes a new file for each table and index: twelve times as slow where there are few rows.
# As a function of one connection, which keeps its plans: to connect and to plan forty statements
# took the server twenty times as long as to run them.
_EMPTY = "SELECT pg_temp.empty()"
_DEFINE_EMPTY = """
CREATE FUNCTION pg_temp.empty() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    {};
    PERFORM setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S';
END $$
""".format(
    "; ".join(f"DELETE FROM {table.name}" for table in reversed(Base.metadata.sorted_tables))
)


def migrated_postgres(server_url: str, name: str) -> Iterator[str]:
    """Give the URL of a migrated database on this server, which is dropped afterwards."""
    name = f"test_{os.getpid()}_{name}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        url = urlsplit(server_url)._replace(path=f"/{name}").geturl()
        _migrate(url)
        yield url
        _close_kept(url)
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@cache
def _sqlite_folder() -> Path:
    """Return this process' folder of SQLite files, with the migrated one that is copied."""
    folder = tempfile.TemporaryDirectory(prefix="infactor-test-")
    atexit.register(folder.cleanup)
    _migrate(f"sqlite:///{folder.name}/migrated.db")
    return Path(folder.name)


def copy_migrated_sqlite(to: Path) -> None:
    """Make a migrated SQLite file without a row, unless there is one already."""
    if not to.exists():
        shutil.copy(_sqlite_folder() / "migrated.db", to)


class _Kept(Database):
    """A PostgreSQL database that stays connected from test to test, whoever closes it.

    A new connection costs its server as much as all that a test asks by it.
    """

    def close(self) -> None:
        """Stay connected."""


_opened: dict[str, Database] = {}
_emptying: dict[str, psycopg.Connection] = {}


def opened(url: str) -> Database:
    """Return the database there, the same for every test: its statements are compiled once.

    To compile them took a third of a test's time. `close` leaves it usable.
    """
    if url not in _opened:
        if url.startswith("sqlite"):
            _opened[url] = Database(url)
            event.listen(_opened[url].engine, "connect", _trust_the_disk)
        else:
            _opened[url] = _Kept(url)
    return _opened[url]


def _close_kept(url: str) -> None:
    """Close what stays connected to the PostgreSQL database there."""
    if database := _opened.pop(url, None):
        Database.close(database)
    if emptying := _emptying.pop(url, None):
        emptying.close()


def _empty(url: str) -> None:
    """Empty each table of a PostgreSQL database, and begin its numbers anew."""
    if url not in _emptying:
        _emptying[url] = psycopg.connect(url, autocommit=True)
        _emptying[url].execute(_DEFINE_EMPTY)
    _emptying[url].execute(_EMPTY)


def _trust_the_disk(connection: Any, _: Any) -> None:
    """To wait for the disk at each commit took longer than all else in most tests."""
    connection.execute("PRAGMA synchronous = OFF")


def fresh(kind: str, request: pytest.FixtureRequest) -> str:
    """Return the URL of the migrated database of this kind, emptied for this test."""
    if kind == "sqlite":
        folder = _sqlite_folder()
        url = f"sqlite:///{folder}/test.db"
        opened(url).close()
        for left in folder.glob("test.db*"):
            left.unlink()
        copy_migrated_sqlite(folder / "test.db")
        return url
    url = request.getfixturevalue("postgres_with_tables")
    try:
        _empty(url)
    except psycopg.OperationalError:  # the test before has ended every connection
        _close_kept(url)
        _empty(url)
    return url


def empty_infactors(infactors: MongoDatabase[dict[str, Any]]) -> None:
    """Leave no document there, and no collection that is not as the first write would make it.

    To make and to drop collections takes the server ten times as long as to empty them.
    """
    collections = list(infactors.list_collections())
    if not all(_is_plain(infactors, collection) for collection in collections):
        infactors.client.drop_database(infactors.name)
        return
    for collection in collections:
        infactors[collection["name"]].delete_many({})


def _is_plain(infactors: MongoDatabase[dict[str, Any]], described: Mapping[str, Any]) -> bool:
    if described["type"] != "collection" or described["options"]:
        return False
    return [*infactors[described["name"]].index_information()] == ["_id_"]


def empty_as_new(database: Database) -> None:
    """Empty PostgreSQL's tables so that it plans as in a new database.

    What earlier tests had in a table counts until it is truncated: its length and its statistics.
    """
    if database.is_sqlite:
        return
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with database.write() as session:
        session.execute(text(f"TRUNCATE {tables}"))
        session.execute(text("DELETE FROM pg_statistic"))


class Statement(str):
    """A statement as it was sent, and its parameters."""

    parameters: Any = None


@contextmanager
def statements(database: Database) -> Iterator[list[Statement]]:
    """Gather every statement that is sent to the database, but by its heartbeat, at any moment."""
    sent: list[Statement] = []

    def note(connection: Any, cursor: Any, sql: str, parameters: Any, *rest: Any) -> None:
        if threading.current_thread().name != "heartbeat":
            statement = Statement(sql)
            statement.parameters = parameters
            sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def plan_of(database: Database, statement: str, parameters: Any = None) -> list[str]:
    """Return each step of how the database would run a statement.

    PostgreSQL, which reads a small table as a whole, is kept from it.
    """
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    with database.engine.connect() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)
        return [str(row[-1]) for row in rows]


def _migrate(url: str) -> None:
    database = Database(url)
    migrate(database)
    database.close()


@contextmanager
def an_own_database(on_postgresql: bool) -> Iterator[str]:
    """Give the URL of an empty database as in production, which waits for the disk."""
    if on_postgresql:
        with postgres(durable=True) as url:
            yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'own.db'}"


def is_waited_for(database: Database) -> bool:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with database.read() as session:
        return bool(session.scalar(query))
