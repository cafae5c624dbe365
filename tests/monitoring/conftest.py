"""Fixtures of the watch: a database whose rows a test sets as it likes."""

from collections.abc import Iterator

import pytest

from tests import databases
from tests.monitoring.scene import Scene


@pytest.fixture
def scene(migrated_url: str) -> Iterator[Scene]:
    """A scene on a database of each kind in turn."""
    made = Scene(databases.opened(migrated_url))
    yield made
    made.database.close()
