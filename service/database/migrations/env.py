"""Alembic's entry: migrates on the connection it is handed, or on DATABASE_URL for developers."""

import os

from alembic import context
from sqlalchemy import Connection

from service.database.engine import Database
from service.database.tables import Base


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


handed_in = context.config.attributes.get("connection")
if handed_in is not None:
    _run(handed_in)
else:
    database = Database(os.environ.get("DATABASE_URL", "sqlite:///infactor-quickbooks.db"))
    with database.engine.execution_options(writes=True).begin() as own_connection:
        _run(own_connection)
