"""The kinds of transaction, where they differ from what SQLAlchemy does by itself."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from service.store.database import Database, Statements


@pytest.fixture
def numbers(database: Database) -> Iterator[Database]:
    """A database with an empty table of numbers."""
    with database.write() as session:
        session.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))
    yield database
    with database.write() as session:
        session.execute(text("DROP TABLE numbers"))


def insert(connection: Connection, number: int) -> None:
    connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": number})


def stored(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.scalars(text("SELECT n FROM numbers ORDER BY n")))


def break_connection(database: Database, statements: Statements) -> None:
    """End the server's side of the connection that is kept, as a restart would."""
    with statements.alone() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
    with database.read() as session:
        session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_a_statement_is_committed_when_it_ends(numbers: Database) -> None:
    with closing(numbers.statements()) as statements:
        with statements.alone() as connection:
            insert(connection, 1)
        assert stored(numbers) == [1]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_postgresql_commits_before_it_answers(numbers: Database) -> None:
    """Not when the block ends: that would be a round trip more."""
    with closing(numbers.statements()) as statements, statements.alone() as connection:
        insert(connection, 1)
        assert stored(numbers) == [1]


def test_after_an_error_statements_go_on(numbers: Database) -> None:
    with closing(numbers.statements()) as statements:
        with statements.alone() as connection:
            insert(connection, 1)
        with pytest.raises(DBAPIError), statements.alone() as connection:
            insert(connection, 1)
        assert numbers.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        with statements.alone() as connection:
            insert(connection, 2)
    assert stored(numbers) == [1, 2]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_connection_that_broke_a_while_ago_is_not_used(numbers: Database) -> None:
    with closing(numbers.statements(trusted_seconds=0)) as statements:
        break_connection(numbers, statements)
        with statements.alone() as connection:
            insert(connection, 1)
    assert stored(numbers) == [1]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_connection_that_breaks_in_use_costs_one_statement(numbers: Database) -> None:
    with closing(numbers.statements(trusted_seconds=3600)) as statements:
        break_connection(numbers, statements)
        with pytest.raises(DBAPIError), statements.alone() as connection:
            insert(connection, 1)
        with statements.alone() as connection:
            insert(connection, 2)
    assert stored(numbers) == [2]


def test_a_connection_is_kept_between_statements(database: Database) -> None:
    with closing(database.statements(trusted_seconds=3600)) as statements:
        with statements.alone() as first:
            pass
        with statements.alone() as second:
            pass
        assert first is second
        assert database.engine.pool.checkedout() == 1  # type: ignore[attr-defined]
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
