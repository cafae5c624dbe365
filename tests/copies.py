"""Very many rows like one that is there, which is faster than to record them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Table, text
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.database.tables import Base

_NUMBERS = {
    "postgresql": "SELECT generate_series({first}, {last}) AS n",
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s"
    " WHERE n < {last}) SELECT n FROM s",
}


def copy_row(
    session: Session,
    table: type[Base],
    numbers: tuple[int, int],
    own: Mapping[str, str],
    where: str = "true",
) -> None:
    """Insert a copy of the row there for each n of these numbers, the first to the last.

    `own` are SQL expressions of n, and of the row `one`, by column.
    """
    dialect = session.get_bind().dialect.name
    names = [column.name for column in table.__table__.columns]
    values = ", ".join(own.get(name, f"one.{name}") for name in names)
    counted = _NUMBERS[dialect].format(first=numbers[0], last=numbers[1])
    session.execute(
        text(
            f"INSERT INTO {table.__tablename__} ({', '.join(names)}) SELECT {values}"
            f" FROM ({counted}) AS numbers, {table.__tablename__} AS one WHERE {where}"
        )
    )


ADD_DELIVERY_STATES = """INSERT INTO delivery_states
      (invoice_id, connection_id, revision, recorded_at, delivered_revision, attempts)
    SELECT id, connection_id, revision, recorded_at, revision, 0 FROM invoices"""
"""Lets every invoice be delivered."""


@contextmanager
def without_indexes(database: Database, table: type[Base]) -> Iterator[None]:
    """Let rows be inserted during the block, and make the table's indexes then: that is faster."""
    made = table.__table__
    assert isinstance(made, Table)
    for index in made.indexes:
        index.drop(database.engine)
    yield
    for index in made.indexes:
        index.create(database.engine)


def analyze(database: Database) -> None:
    """Let the database learn what is in its tables, as it does soon after an import."""
    if database.is_sqlite:
        database.learn()
        return
    autocommit = {"isolation_level": "AUTOCOMMIT"}
    with database.engine.connect().execution_options(**autocommit) as connection:
        # First, because to VACUUM no row is visible to all before its commit is on the disk, and
        # then no index answers alone. Nor did one after both in one statement.
        for statement in ("CHECKPOINT", "VACUUM", "ANALYZE"):
            connection.execute(text(statement))
