"""Fixtures of the background work: a simulator, a database, and a connected company."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.database import Database

from service.quickbooks import queries
from service.simulator.app import RunningSimulator
from service.simulator.books.book import Book
from tests.simulators import Simulators
from tests.workers import world as worlds
from tests.workers.delivering import Delivering, infactor_settings
from tests.workers.world import World
from workers.reading import by_change


@pytest.fixture
def simulator(simulators: Simulators) -> Iterator[RunningSimulator]:
    """A simulator with one company that has a customer and no invoices."""
    book = Book.of({worlds.REALM: {"Customer": [worlds.a_customer()]}})
    with simulators.running(worlds.CONFIG, book) as made:
        made.simulator.switch({"requests_per_second": None})
        yield made


@pytest.fixture
def world(simulator: RunningSimulator, migrated_url: str) -> Iterator[World]:
    """The company of the simulator, connected; where a test is marked so, on PostgreSQL too."""
    with connected(simulator, migrated_url) as made:
        yield made


@pytest.fixture
def postgres_world(simulator: RunningSimulator, migrated_postgres_url: str) -> Iterator[World]:
    """The same on PostgreSQL alone, for what SQLite cannot do."""
    with connected(simulator, migrated_postgres_url) as made:
        yield made


@pytest.fixture
def delivering(
    simulator: RunningSimulator, infactors: Database[dict[str, Any]], migrated_url: str
) -> Iterator[Delivering]:
    """The world, with Infactor's own database."""
    with connected(simulator, migrated_url, **infactor_settings(infactors)) as made:
        yield Delivering(made, infactors)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """QuickBooks is asked for 100 rows at most, where a real page of 1,000 takes seconds."""
    monkeypatch.setattr(queries, "PAGE", 100)
    monkeypatch.setattr(by_change, "_MOST_SEEN", 200)


@contextmanager
def connected(simulator: RunningSimulator, database_url: str, **settings: str) -> Iterator[World]:
    """A world with a connected company, which is closed afterwards."""
    made = worlds.build(simulator, database_url, **settings)
    with made.web, made.http:
        # However slow this machine is, a webhook is stored before it is answered.
        made.web.app_state["intake"]._timeout_seconds = 60.0
        made.connect()
        yield made
    for services in made.others:
        services.close()
