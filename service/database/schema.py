"""Migrating a database to this version's schema, and telling whether it has it.

Alembic is imported only to migrate: that a database is at `HEAD` is one small query.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"
"""The revision of the latest migration, which is the schema that this version needs."""

# Any number will do, if every process takes the same one.
_ADVISORY_LOCK = 7_308_620_214
_VERSION = text("SELECT version_num FROM alembic_version")


def migrate(database: Database) -> None:
    """Bring the schema up to date, in one transaction.

    A second process waits, by SQLite's BEGIN IMMEDIATE or PostgreSQL's advisory lock, and finds the
    work done. Raises ConfigurationError if the schema is of a version that this one does not know.
    """
    from alembic import command  # noqa: PLC0415 - only here
    from alembic.util import CommandError  # noqa: PLC0415 - only here

    with database.engine.execution_options(writes=True).begin() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _ADVISORY_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as e:
            raise ConfigurationError(f"DATABASE_URL: the schema is not of this version: {e}") from e


def prepare(database: Database) -> None:
    """Leave a database that this version can work on.

    A SQLite file is migrated. For PostgreSQL a ConfigurationError names the command, so that a
    rolling deployment migrates once and on purpose.
    """
    current = version(database)
    if current == HEAD:
        return
    if not database.is_sqlite:
        raise ConfigurationError(
            f"DATABASE_URL: the schema is at {current or 'nothing'}, this version needs {HEAD};"
            " run `infactor-quickbooks migrate` first"
        )
    migrate(database)


def version(database: Database) -> str | None:
    """Return the revision of the schema that the database has; None if it has none."""
    with database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(_VERSION)
        return found


def is_current(session: Session) -> bool:
    """Return whether the schema is this version's; raises where there is none at all."""
    return bool(session.scalar(_VERSION) == HEAD)


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - only here

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
