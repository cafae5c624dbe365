"""A database whose clock is set while processes run."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import event, text

from service.database.engine import Database

_CLOCK_OF_POSTGRESQL = """
CREATE SCHEMA clocks;
CREATE TABLE clocks.ahead AS SELECT interval '0' AS by;
CREATE FUNCTION clocks.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  $$ SELECT pg_catalog.clock_timestamp() + by FROM clocks.ahead $$;
"""


class DatabaseClock:
    """The clock of a database, which can be set: connections that it opens know no other."""

    def __init__(self, database: Database) -> None:
        self._database, self._engine = database, database.engine
        self._ahead = timedelta()

    def set(self, seconds: float) -> None:
        """Set it forward by so many seconds, or back."""
        self._ahead += timedelta(seconds=seconds)
        if self._engine.dialect.name == "postgresql":
            with self._engine.begin() as connection:
                connection.execute(text("UPDATE clocks.ahead SET by = :by"), {"by": self._ahead})

    def open(self) -> None:
        if self._engine.dialect.name == "postgresql":
            with self._engine.begin() as connection:
                connection.execute(text(_CLOCK_OF_POSTGRESQL))
        event.listen(self._engine, "connect", self._replace)
        # What is kept connected from test to test, too, has to connect anew.
        Database.close(self._database)

    def close(self) -> None:
        event.remove(self._engine, "connect", self._replace)
        Database.close(self._database)
        if self._engine.dialect.name == "postgresql":
            with self._engine.begin() as connection:
                connection.execute(text("DROP SCHEMA clocks CASCADE"))

    def _replace(self, connection: Any, _: Any) -> None:
        if self._engine.dialect.name == "postgresql":
            connection.execute("SET search_path = clocks, pg_catalog, public")
            connection.commit()
        else:
            connection.create_function("julianday", 1, self._julian_day)

    def _julian_day(self, _: str) -> float:
        return (datetime.now(UTC) + self._ahead).timestamp() / 86_400 + 2_440_587.5
