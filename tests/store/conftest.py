"""Fixtures of the store: a migrated database, with a supplier and a connection."""

from collections.abc import Generator, Iterator
from datetime import UTC, datetime

import pytest

from service.database.engine import Database
from service.store import connections
from tests import databases
from tests.builders import a_connection

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makemodule() -> Generator[None, pytest.Module, pytest.Module]:
    """Mark every file of this folder."""
    module = yield
    module.add_marker(pytest.mark.both_databases("the statements are its own"))
    return module


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A migrated database, once of each kind."""
    made = databases.opened(migrated_url)
    yield made
    made.close()


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """A migrated SQLite file, where the kind of database cannot matter."""
    made = databases.opened(sqlite_url)
    yield made
    made.close()


@pytest.fixture
def connection_id(database: Database) -> str:
    """The id of a connection in the database."""
    with database.write() as session:
        supplier = connections.upsert_supplier(session, "s@example.com", "S", "", AT)
        session.add(a_connection("c1", supplier, AT, realm_digest="digest", company_name="Company"))
    return "c1"
