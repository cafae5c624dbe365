"""Single statements on the driver: committed, typed, and what an error costs."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import (
    ClauseElement,
    Column,
    Integer,
    MetaData,
    Table,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError, OperationalError

from service.database.engine import Database, Statements

NUMBERS = Table("numbers", MetaData(), Column("n", Integer, primary_key=True))
ADD = insert(NUMBERS).returning(NUMBERS.c.n, literal("added"))
TWICE = insert(NUMBERS).from_select(["n"], select(text(":n * 2"))).returning(NUMBERS.c.n)
BACKEND: ClauseElement = text("SELECT pg_backend_pid()")


@pytest.fixture
def numbers(database: Database) -> Iterator[Database]:
    """A database with an empty table of numbers."""
    NUMBERS.create(database.engine)
    yield database
    NUMBERS.drop(database.engine)


def stored(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.scalars(select(NUMBERS.c.n).order_by(NUMBERS.c.n)))


def checked_out(database: Database) -> int:
    return database.engine.pool.checkedout()  # type: ignore[attr-defined,no-any-return]


def break_connection(database: Database, statements: Statements) -> None:
    """End the server's side of the connection that is kept, as a restart would."""
    [[pid]] = statements.run(BACKEND, {})
    with database.read() as session:
        session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_a_statement_is_committed_when_it_has_answered(numbers: Database) -> None:
    with closing(Statements(numbers.engine)) as statements:
        assert [tuple(row) for row in statements.run(ADD, {"n": 1})] == [(1, "added")]
        assert stored(numbers) == [1]


def test_each_statement_gets_its_own_values(numbers: Database) -> None:
    with closing(Statements(numbers.engine)) as statements:
        for number in (1, 2):
            statements.run(ADD, {"n": number})
        assert [tuple(row) for row in statements.run(TWICE, {"n": 7})] == [(14,)]
    assert stored(numbers) == [1, 2, 14]


def test_after_an_error_statements_go_on(numbers: Database) -> None:
    with closing(Statements(numbers.engine)) as statements:
        statements.run(ADD, {"n": 1})
        with pytest.raises(IntegrityError):
            statements.run(ADD, {"n": 1})
        assert checked_out(numbers) == 0
        statements.run(ADD, {"n": 2})
    assert stored(numbers) == [1, 2]


@pytest.mark.postgresql("its connections and locks are of its own")
def test_a_connection_that_broke_a_while_ago_is_not_used(numbers: Database) -> None:
    with closing(Statements(numbers.engine, trusted_seconds=0)) as statements:
        break_connection(numbers, statements)
        statements.run(ADD, {"n": 1})
    assert stored(numbers) == [1]


@pytest.mark.postgresql("its connections and locks are of its own")
def test_a_connection_that_breaks_in_use_costs_one_statement(numbers: Database) -> None:
    with closing(Statements(numbers.engine, trusted_seconds=3600)) as statements:
        break_connection(numbers, statements)
        with pytest.raises(OperationalError):
            statements.run(ADD, {"n": 1})
        statements.run(ADD, {"n": 2})
    assert stored(numbers) == [2]


@pytest.mark.postgresql("its connections and locks are of its own")
def test_a_connection_is_kept_between_statements(database: Database) -> None:
    with closing(Statements(database.engine, trusted_seconds=3600)) as statements:
        assert statements.run(BACKEND, {}) == statements.run(BACKEND, {})
        assert checked_out(database) == 1
    assert checked_out(database) == 0


@pytest.mark.postgresql("its connections and locks are of its own")
def test_what_a_session_gets_afterwards_has_transactions_again(numbers: Database) -> None:
    url = numbers.engine.url.render_as_string(hide_password=False)
    with closing(Database(url)) as database:  # which has no other connection
        with closing(Statements(database.engine)) as statements:
            [[pid]] = statements.run(BACKEND, {})
        with database.trial() as session:
            assert session.scalar(BACKEND) == pid  # type: ignore[call-overload]
            session.execute(insert(NUMBERS).values(n=1))
    assert stored(numbers) == []
