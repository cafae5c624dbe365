"""Fixtures of the watch: a database whose rows a test sets as it likes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.database.engine import Database
from tests.monitoring.scene import Scene
from tests.store import databases


@pytest.fixture(scope="session")
def postgres_with_tables(postgres_url: str) -> Iterator[str]:
    """A migrated PostgreSQL database that all tests share, one after the other."""
    yield from databases.migrated_postgres(postgres_url, "watch")


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    return databases.migrated_sqlite(tmp_path_factory.mktemp("migrated"))


@pytest.fixture(params=["sqlite", "postgresql"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A scene on a database of each kind in turn."""
    made = Scene(Database(databases.fresh(request.param, request, tmp_path)))
    yield made
    made.database.close()
