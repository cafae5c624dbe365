"""Migrations: they make what the tables say, once, whoever begins at the same time."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select

from service.database import schema
from service.database.engine import Database
from service.database.schema import migrate, prepare
from service.database.tables import Base, Run
from service.database.tables import Connection as TheConnection
from service.errors import ConfigurationError
from service.kit.clock import now

TABLES = {*Base.metadata.tables, "alembic_version"}
MIGRATE = """
import sys
from service.database.engine import Database
from service.database.schema import migrate
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


def test_a_database_of_the_first_version_keeps_what_it_has(database_url: str) -> None:
    """Its connections are reconciled from the day on which they were connected."""
    database = Database(database_url)
    with database.engine.execution_options(writes=True).begin() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO suppliers (id, email, name, address, created_at)"
            " VALUES (1, 'a@example.com', '', '', '2026-10-01 00:00:00')"
        )
        connection.exec_driver_sql(
            "INSERT INTO connections (id, supplier_id, environment, realm_digest, realm_sealed,"
            " company_name, state, connected_at, renewed_at, changes_read_until, fetch_number,"
            " failures) VALUES ('c1', 1, 'production', 'd', 's', 'Old Company', 'connected',"
            " '2026-10-02 00:00:00', '2026-10-03 00:00:00', '2026-10-04 00:00:00', 5, 0)"
        )
    migrate(database)
    with database.read() as session:
        kept = session.scalars(select(TheConnection)).one()
    assert kept.company_name == "Old Company"
    assert kept.reconciled_until == datetime(2026, 10, 2, tzinfo=UTC)
    assert kept.reconcile_due_at < datetime(2026, 10, 2, tzinfo=UTC)
    assert (kept.suspended_at, kept.released_at, kept.reconciled_at) == (None, None, None)
    database.close()


def test_what_the_last_day_has_found_unannounced_is_still_known(database_url: str) -> None:
    database = Database(database_url)
    at = "'2026-10-01 00:00:00'"
    runs = [
        ("reconcile", timedelta(hours=2), '{"unannounced":7}'),
        ("reconcile", timedelta(hours=3), '{"unannounced":0}'),
        ("reconcile", timedelta(hours=23), "{}"),
        ("reconcile", timedelta(days=2), '{"unannounced":9}'),
        ("backfill", timedelta(hours=1), "{}"),
    ]
    with database.engine.execution_options(writes=True).begin() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        for statement in (
            f"INSERT INTO suppliers (id, email, name, address, created_at)"
            f" VALUES (1, 'a@example.com', '', '', {at})",
            f"INSERT INTO connections (id, supplier_id, environment, realm_digest, realm_sealed,"
            f" company_name, state, connected_at, renewed_at, changes_read_until, reconciled_until,"
            f" reconcile_due_at, refreshes, fetch_number, failures) VALUES ('c1', 1, 'production',"
            f" 'd', 's', 'Company', 'connected', {at}, {at}, {at}, {at}, {at}, 0, 5, 0)",
            *(
                f"INSERT INTO runs (connection_id, kind, cause, state, generation, tally, attempts,"
                f" losses, confirmed, created_at, finished_at) VALUES ('c1', '{kind}', 'daily',"
                f" 'done', 0, '{tally}', 0, 0, false, {at},"
                f" '{now() - ago:%Y-%m-%d %H:%M:%S.%f}')"
                for kind, ago, tally in runs
            ),
        ):
            connection.exec_driver_sql(statement)
    migrate(database)
    with database.read() as session:
        assert session.scalars(select(Run.unannounced).order_by(Run.id)).all() == [7, 0, 0, 0, 0]
    with database.engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0007")
        command.upgrade(config, "head")
        assert connection.exec_driver_sql("SELECT max(unannounced) FROM runs").scalar() == 7
    database.close()
