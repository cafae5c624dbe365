"""Infactor's own database, as the service opens it."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from service.infactor.mongo import InfactorDatabase


@pytest.fixture
def opened(mongodb_url: str, infactors: Database[dict[str, Any]]) -> Iterator[InfactorDatabase]:
    """Infactor's database as the service opens it."""
    database = InfactorDatabase(mongodb_url, infactors.name)
    yield database
    database.close()
