"""Fixtures of the store: a migrated database, with a supplier and a connection."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.database.engine import Database
from service.database.tables import Connection
from service.store import connections
from tests.store import databases

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)


@pytest.fixture(scope="session")
def postgres_with_tables(postgres_url: str) -> Iterator[str]:
    """A migrated PostgreSQL database that all tests share, one after the other."""
    yield from databases.migrated_postgres(postgres_url, "store")


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    return databases.migrated_sqlite(tmp_path_factory.mktemp("migrated"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database, once of each kind."""
    made = Database(databases.fresh(request.param, request, tmp_path))
    yield made
    made.close()


@pytest.fixture
def sqlite_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated SQLite file, where the kind of database cannot matter."""
    made = Database(databases.fresh("sqlite", request, tmp_path))
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
