"""Servers and databases for the tests that need them; see `servers` for how they are started."""

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import psycopg
import pytest
import redis
from pymongo import MongoClient
from pymongo.database import Database

from tests import databases, running, servers
from tests.missing import missing
from tests.simulators import Simulators

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the suite be short; let the chaos test be long, or the same as before."""
    parser.addoption(
        "--fast", action="store_true", help="in a minute: each part by itself, without a server"
    )
    parser.addoption("--long", action="store_true", help="as many rounds as there are")
    group = parser.getgroup("chaos")
    group.addoption("--chaos-minutes", type=float, help="let the storm rage for so many minutes")
    group.addoption(
        "--chaos-seed", type=int, help="repeat the storm of this seed, with the same other options"
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Test side by side."""
    return running.workers(config)


def pytest_configure(config: pytest.Config) -> None:
    """End in order, and say how far it is."""
    running.end_in_order()
    hypothesis.settings.register_profile("short", max_examples=30)
    hypothesis.settings.register_profile("long", max_examples=300)
    hypothesis.settings.load_profile("long" if config.getoption("--long") else "short")
    if hasattr(config, "workerinput"):
        running.import_a_share(config)
        return
    config.pluginmanager.register(running.Gaps())
    if os.environ.get("CI"):
        config.pluginmanager.register(running.Progress(config))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out, or let others decide."""
    return running.is_left_out(collection_path, config) or None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test run on the databases that its closest mark names, which says why."""
    if "database_kind" not in metafunc.fixturenames:
        return
    for mark in metafunc.definition.iter_markers():
        if kinds := databases.MARKS.get(mark.name):
            (_why,) = mark.args
            metafunc.parametrize("database_kind", kinds)
            return


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose and order."""
    running.select(config, items)


def pytest_collection_finish() -> None:
    """Begin."""
    running.freeze()


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a race is run: 1,000 times with --long."""
    return 1000 if request.config.getoption("--long") else 150


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: our own, or the one that TEST_DATABASE_URL names."""
    yield from _server("TEST_DATABASE_URL", servers.postgres)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server: our own, or the one that TEST_REDIS_URL names."""
    yield from _server("TEST_REDIS_URL", servers.redis_server)


@pytest.fixture(scope="session")
def mongodb_url() -> Iterator[str]:
    """A MongoDB server: our own, or the one that TEST_MONGODB_URL names."""
    yield from _server("TEST_MONGODB_URL", servers.mongodb_server)


@pytest.fixture(scope="session")
def simulators() -> Iterator[Simulators]:
    """The server of every test's own simulator."""
    with Simulators.served() as served:
        yield served


@pytest.fixture(scope="session")
def mongodb(mongodb_url: str) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of that server."""
    with MongoClient[dict[str, Any]](mongodb_url) as client:
        client.drop_database(_infactors_name())  # of a process with this id that was killed
        yield client


def _infactors_name() -> str:
    return f"test_{os.getpid()}"


@pytest.fixture
def infactors(mongodb: MongoClient[dict[str, Any]]) -> Iterator[Database[dict[str, Any]]]:
    """Infactor's own database, empty; collections of earlier tests may be there."""
    database = mongodb[_infactors_name()]
    yield database
    databases.empty_infactors(database)


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """The URL of a PostgreSQL database made for this test, without tables."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_database(redis_url: str) -> str:
    """The URL of a Redis database that was emptied for this test."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    return redis_url


@pytest.fixture
def database_kind() -> str:
    """On what kind of database a test runs that no mark of `databases.MARKS` has."""
    return "sqlite"


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    url: str = request.getfixturevalue("postgres_database")
    return url


@pytest.fixture(scope="session")
def postgres_with_tables(postgres_url: str) -> Iterator[str]:
    """A migrated PostgreSQL database that all tests share, one after the other."""
    yield from databases.migrated_postgres(postgres_url, "shared")


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated SQLite file without a row."""
    return databases.fresh("sqlite", request)


@pytest.fixture
def migrated_postgres_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated PostgreSQL database without a row."""
    return databases.fresh("postgresql", request)


@pytest.fixture
def migrated_url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database without a row."""
    return databases.fresh(database_kind, request)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _server(variable: str, start: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    if url := os.environ.get(variable):
        yield url
        return
    try:
        with start() as url:
            yield url
    except servers.Missing as e:
        missing(e.what, e.brings)
