"""Migrations: they make what the tables say, once, whoever begins at the same time."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from service.errors import ConfigurationError
from service.store.database import Database
from service.store.schema import migrate, prepare
from service.store.tables import Base

TABLES = {*Base.metadata.tables, "alembic_version"}
MIGRATE = """
import sys
from service.store.database import Database
from service.store.schema import migrate
migrate(Database(sys.argv[1]))
"""


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def test_the_migrations_make_exactly_what_the_tables_say(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "render_as_batch": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_twice_is_harmless(database: Database) -> None:
    migrate(database)
    assert tables(database) == TABLES


def test_two_threads_may_migrate_at_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, databases))
    assert tables(databases[0]) == TABLES
    for database in databases:
        database.close()


def test_two_processes_may_migrate_at_once(database_url: str) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "error", "-c", MIGRATE, database_url]
    begun = [
        subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    ended = [(process.communicate()[1], process.returncode) for process in begun]
    assert [code for _, code in ended] == [0, 0, 0], ended
    database = Database(database_url)
    assert tables(database) == TABLES
    database.close()


def test_a_sqlite_file_migrates_by_itself(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new.db")
    prepare(database)
    assert tables(database) == TABLES
    database.close()


def test_an_unmigrated_postgresql_stops_the_start_and_names_the_command(
    postgres_database: str,
) -> None:
    database = Database(postgres_database)
    with pytest.raises(ConfigurationError, match=r"DATABASE_URL: .*`infactor-quickbooks migrate`"):
        prepare(database)
    assert tables(database) == set()
    migrate(database)
    prepare(database)
    database.close()
