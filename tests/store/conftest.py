"""Fixtures of the store: a migrated database, with a supplier and a connection."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from service.database.engine import Database
from service.database.tables import Connection
from service.store import connections
from tests import databases

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)


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
                reconciled_until=AT,
                reconcile_due_at=AT,
            )
        )
    return "c1"
