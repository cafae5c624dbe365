"""What is called after a commit: once, in order, and never for what was rolled back."""

import psycopg
import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError

from service.database.engine import Database, after_commit
from service.database.tables import Supplier
from service.kit.clock import now
from tests.servers import wait_until

A_SUPPLIER = insert(Supplier).values(email="s@example.com", name="S", address="", created_at=now())
CHECKED_AT_COMMIT = """
CREATE TABLE late (
    id INTEGER PRIMARY KEY,
    parent INTEGER REFERENCES late DEFERRABLE INITIALLY DEFERRED
)
"""


def stored(database: Database) -> int | None:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Supplier))


def checked_out(database: Database) -> int:
    return database.engine.pool.checkedout()  # type: ignore[attr-defined,no-any-return]


def test_what_waits_for_the_commit_is_called_once_it_is_there_for_all_to_see(
    database: Database,
) -> None:
    seen: list[int | None] = []
    with database.write() as session:
        after_commit(session, lambda: seen.append(stored(database)))
        session.execute(A_SUPPLIER)
        assert seen == []
    assert seen == [1]


def test_a_call_may_write_in_a_transaction_of_its_own(database: Database) -> None:
    held: list[int] = []

    def write() -> None:
        held.append(checked_out(database))
        with database.write() as session:
            session.execute(A_SUPPLIER)

    with database.write() as session:
        session.execute(text("SELECT 1"))
        after_commit(session, write)
    assert (held, stored(database)) == ([0], 1)


def test_after_a_rollback_nothing_is_called(database: Database) -> None:
    called: list[str] = []

    def write() -> None:
        with database.write() as session:
            after_commit(session, lambda: called.append("call"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    with database.write():
        pass
    assert called == []


def test_a_commit_that_the_database_refuses_calls_nothing(database: Database) -> None:
    called: list[str] = []

    def write() -> None:
        with database.write() as session:
            session.execute(text(CHECKED_AT_COMMIT))
            session.execute(text("INSERT INTO late VALUES (1, 2)"))
            after_commit(session, lambda: called.append("call"))

    with pytest.raises(IntegrityError):
        write()
    assert called == []


def test_calls_come_once_and_in_the_order_in_which_they_were_asked_for(database: Database) -> None:
    called: list[str] = []
    with database.write() as session:
        after_commit(session, called.append, "first")
        with session.begin_nested():
            after_commit(session, called.append, "second")
        assert called == []
    with database.write():
        pass
    assert called == ["first", "second"]


def test_a_trial_calls_nothing(database: Database) -> None:
    called: list[str] = []
    with database.trial() as session:
        after_commit(session, lambda: called.append("call"))
        session.execute(A_SUPPLIER)
    assert (called, stored(database)) == ([], 0)


def test_a_call_that_fails_undoes_nothing(database: Database) -> None:
    def write() -> None:
        with database.write() as session:
            session.execute(A_SUPPLIER)
            after_commit(session, lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        write()
    assert stored(database) == 1


def test_a_single_statement_refuses_to_call_anything_afterwards(database: Database) -> None:
    """On either database: the one could, the other has no commit."""
    with database.statement() as session, pytest.raises(RuntimeError, match=r"Database\.write"):
        after_commit(session, lambda: None)


@pytest.mark.postgresql("its server tells who is connected")
class TestOnPostgreSQL:
    def test_what_a_thread_still_uses_is_closed_when_it_is_given_back(
        self, migrated_postgres_url: str
    ) -> None:
        with psycopg.connect(migrated_postgres_url, autocommit=True) as other:

            def connected() -> int:
                query = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
                return int(other.execute(query, [pid]).fetchall()[0][0])

            database = Database(migrated_postgres_url)
            with database.read() as session:
                pid = session.scalar(text("SELECT pg_backend_pid()"))
                database.close()
                assert connected() == 1
            wait_until(lambda: connected() == 0, what="its end")
