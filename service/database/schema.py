"""Migrating a database to this version's schema, and telling whether it has it."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.errors import ConfigurationError

# Any number will do, if every process takes the same one.
_ADVISORY_LOCK = 7_308_620_214


def migrate(database: Database) -> None:
    """Bring the schema up to date, in one transaction.

    A second process waits, by SQLite's BEGIN IMMEDIATE or PostgreSQL's advisory lock, and finds the
    work done.
    """
    with database.engine.execution_options(writes=True).begin() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _ADVISORY_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def prepare(database: Database) -> None:
    """Leave a database that this version can work on.

    A SQLite file is migrated. For PostgreSQL a ConfigurationError names the command, so that a
    rolling deployment migrates once and on purpose.
    """
    if database.is_sqlite:
        migrate(database)
        return
    current, head = versions(database)
    if current != head:
        raise ConfigurationError(
            f"DATABASE_URL: the schema is at {current or 'nothing'}, this version needs {head};"
            " run `infactor-quickbooks migrate` first"
        )


def versions(database: Database) -> tuple[str | None, str | None]:
    """Return (the schema that the database has, the one that this version needs)."""
    with database.engine.connect() as connection:
        return _current(connection), _head()


def is_current(session: Session) -> bool:
    """Return whether the schema is this version's; raises where there is none at all."""
    return session.scalars(text("SELECT version_num FROM alembic_version")).all() == [_head()]


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@cache
def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
