"""Migrations: they make what the tables say, once, whoever begins at the same time."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Select, inspect, select, text

from service.database import schema
from service.database.engine import Database
from service.database.schema import migrate, prepare
from service.database.tables import Base, Document, Finding, Invoice
from service.database.tables import DeliveryState as Outgoing
from service.database.tables.invoices import (
    ALARMING,
    CLOSED,
    HELD,
    OLD_ROWS_HELD,
    OPEN,
    OUTSIDE,
    TO_CORRECT,
    TO_FIX,
    TO_INVITE,
    UNSEEN,
    WITHDRAWN,
)
from service.database.types import among, condition
from service.errors import ConfigurationError
from tests.databases import empty_as_new, plan_of

TABLES = {*Base.metadata.tables, "alembic_version"}
MIGRATE = """
import sys
from service.database.engine import Database
from service.database.schema import migrate
migrate(Database(sys.argv[1]))
"""


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def indexes(database: Database) -> dict[str, str]:
    query = (
        "SELECT indexname, indexdef FROM pg_indexes"
        " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    )
    if database.is_sqlite:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    with database.read() as session:
        return {name: made for name, made in session.execute(text(query))}


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


@pytest.mark.slow
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


def test_an_index_is_what_the_tables_say_to_its_last_condition(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    migrated = indexes(database)
    Base.metadata.drop_all(database.engine)
    Base.metadata.create_all(database.engine)
    assert "WHERE" in migrated["ix_notices_pending"]
    assert migrated == indexes(database)
    database.close()


# Each question, and the index that answers it.
ANSWERED: dict[str, tuple[Select[Any], str]] = {
    "ids": (select(Invoice.source).where(among(Invoice.id, "ids")), "invoices_(pkey|1)"),
    "held": (select(Invoice.id).where(condition(HELD)), "ix_invoices_held"),
    "to fix": (select(Invoice.id).where(condition(TO_FIX)), "ix_invoices_to_fix"),
    "old rows": (select(Invoice.id).where(condition(OLD_ROWS_HELD)), "ix_invoices_old_rows_held"),
    "withdrawn": (
        select(Document.invoice_id)
        .where(Document.connection_id == text("'c'"), Document.supplier_id == text("1"))
        .where(condition(WITHDRAWN)),
        "ix_documents_withdrawn",
    ),
    "alarming": (
        select(Finding.id).where(Finding.connection_id == text("'c'"), condition(ALARMING)),
        "ix_findings_alarming",
    ),
    "outgoing": (
        select(Outgoing.error).where(Outgoing.delivered_revision < Outgoing.revision),
        "ix_delivery_states_outgoing",
    ),
}


@pytest.mark.parametrize("what", ANSWERED)
def test_an_index_answers_what_it_is_for(database: Database, what: str) -> None:
    """SQLite takes a partial index only where its very condition is asked, without a comparison."""
    query, index = ANSWERED[what]
    if what == "alarming" and not database.is_sqlite:
        index += "|ux_findings_open"  # as good while there is no finding
    sql = str(query.compile(database.engine))
    one: Any = ('["qbk-1"]',) if database.is_sqlite else {"ids": ["qbk-1"]}
    empty_as_new(database)
    plan = plan_of(database, sql, one if what == "ids" else None)
    assert re.search(index, " ".join(plan)), plan


PARTS = {
    "current": OPEN,
    "closed": CLOSED,
    "outside": OUTSIDE,
    "to_fix": TO_FIX,
    "to_correct": TO_CORRECT,
    "to_invite": TO_INVITE,
    "unseen": UNSEEN,
}


@pytest.mark.parametrize("part", PARTS)
def test_sqlite_reads_each_part_of_a_suppliers_list_from_its_own_index(
    sqlite_database: Database, part: str
) -> None:
    """Without statistics it takes the youngest of the indexes that have the right order."""
    query = (
        select(Invoice.id)
        .where(Invoice.connection_id == text("'c'"), Invoice.mapped.is_not(None))
        .where(condition(PARTS[part]))
        .order_by(Invoice.created_ms.desc(), Invoice.id.desc())
    )
    sql = str(query.compile(sqlite_database.engine))
    [step] = plan_of(sqlite_database, sql)
    assert f"ix_invoices_{part} " in step


def test_a_downgrade_leaves_nothing_behind(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    with database.engine.execution_options(writes=True).begin() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert tables(database) == {"alembic_version"}
    migrate(database)
    assert tables(database) == TABLES
    database.close()


def test_the_latest_migration_is_what_a_start_looks_for() -> None:
    assert ScriptDirectory.from_config(schema._config()).get_heads() == [schema.HEAD]
