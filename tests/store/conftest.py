"""Fixtures of the store: a migrated database, with a supplier and a connection."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.store import connections
from service.store.database import Database
from service.store.schema import migrate
from service.store.tables import Connection

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, once of each kind."""
    yield from _migrated(database_url)


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A migrated SQLite file, where the kind of database cannot matter."""
    yield from _migrated(f"sqlite:///{tmp_path}/test.db")


@pytest.fixture
def connection_id(database: Database) -> str:
    """The id of a connection in the database."""
    with database.write() as session:
        supplier = connections.upsert_supplier(session, "s@example.com", "S", "", AT)
        session.add(
            Connection(
                id="c1",
                supplier_id=supplier,
                environment="simulator",
                realm_digest="digest",
                realm_sealed="sealed",
                company_name="Company",
                state="connected",
                connected_at=AT,
                renewed_at=AT,
                changes_read_until=AT,
            )
        )
    return "c1"


def _migrated(url: str) -> Iterator[Database]:
    database = Database(url)
    migrate(database)
    yield database
    database.close()
