"""Migrated databases for tests: made once, and emptied or copied for each of them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import event

from service.database.engine import Database
from service.database.schema import migrate
from service.database.tables import Base

# TRUNCATE makes a new file for each table and index: twelve times as slow where there are few rows.
_EMPTY = "; ".join(
    [
        *(f"DELETE FROM {table.name}" for table in reversed(Base.metadata.sorted_tables)),
        "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'",
    ]
)


def migrated_postgres(server_url: str, name: str) -> Iterator[str]:
    """Give the URL of a migrated database on this server, which is dropped afterwards."""
    name = f"test_{os.getpid()}_{name}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        url = urlsplit(server_url)._replace(path=f"/{name}").geturl()
        _migrate(url)
        yield url
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def migrated_sqlite(folder: Path) -> Path:
    """Return a migrated SQLite file, to be copied."""
    _migrate(f"sqlite:///{folder}/migrated.db")
    return folder / "migrated.db"


_opened: dict[str, Database] = {}


def opened(url: str) -> Database:
    """Return the database there, the same for every test: its statements are compiled once.

    To compile them took a third of a test's time. Nothing is connected; `close` leaves it usable.
    """
    if url not in _opened:
        _opened[url] = Database(url)
    return _opened[url]


def fresh(kind: str, request: pytest.FixtureRequest) -> str:
    """Return the URL of the migrated database of this kind, emptied for this test."""
    if kind == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        url = f"sqlite:///{template.parent}/test.db"
        opened(url).close()
        for left in template.parent.glob("test.db*"):
            left.unlink()
        shutil.copy(template, template.parent / "test.db")
        return url
    url = request.getfixturevalue("postgres_with_tables")
    opened(url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_EMPTY)
    return url


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Gather every statement that is sent to the database."""
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def _migrate(url: str) -> None:
    database = Database(url)
    migrate(database)
    database.close()
