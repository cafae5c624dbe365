"""Fixtures of the watch: a database whose rows a test sets as it likes."""

from collections.abc import Iterator

import pytest

from service.database.engine import Database
from tests.monitoring.scene import Scene


@pytest.fixture
def scene(migrated_url: str) -> Iterator[Scene]:
    """A scene on a database of each kind in turn."""
    made = Scene(Database(migrated_url))
    yield made
    made.database.close()
