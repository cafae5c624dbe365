"""Single statements without what a session does around them, for the one place that is busy."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ClauseElement, Connection, Engine, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

_TRUSTED_SECONDS = 1.0


class Statements:
    """Runs single statements, each with a transaction to itself, for one thread; to be closed.

    Either database commits such a statement before it answers: no round trip to begin, and none to
    commit. It goes to the driver as SQLAlchemy compiled it once, because SQLAlchemy's way there and
    back took as long as the driver's. The connection is kept, and given back every
    `trusted_seconds` for the pool to test: a test before each statement took a fifth of its time.
    """

    def __init__(self, engine: Engine, *, trusted_seconds: float = _TRUSTED_SECONDS) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._trusted_seconds = trusted_seconds
        self._compiled: dict[ClauseElement, _Compiled] = {}
        self._kept: Connection | None = None
        self._tested_at = 0.0

    @property
    def dialect(self) -> str:
        """The name of the database's dialect: "postgresql" or "sqlite"."""
        return self._engine.dialect.name

    def run(self, statement: ClauseElement, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Run a statement that returns rows, and return them as the driver gives them.

        `values` are text and whole numbers: nothing converts them. Raises DBAPIError, after which a
        fresh connection is used.
        """
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = self._compiled[statement] = _Compiled.of(statement, self._engine)
        driver = self._driver()
        try:
            cursor = driver.cursor()
            cursor.execute(compiled.text, compiled.parameters(values))
            rows = cursor.fetchall()
            cursor.close()
        except self._engine.dialect.loaded_dbapi.Error as e:
            self._give_up()
            dialect = self._engine.dialect
            raise DBAPIError.instance(compiled.text, None, e, type(e), dialect=dialect) from e
        return rows

    def close(self) -> None:
        """Give the connection back."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _driver(self) -> PoolProxiedConnection:
        if time.monotonic() - self._tested_at > self._trusted_seconds:
            self.close()
        if self._kept is None:
            self._kept = self._engine.connect()
            self._tested_at = time.monotonic()
        return self._kept.connection

    def _give_up(self) -> None:
        if self._kept is not None:
            self._kept.invalidate()
        self.close()


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in the words of its database, and the parameters that it comes with."""

    text: str
    own: Mapping[str, Any]
    order: Sequence[str] | None

    @classmethod
    def of(cls, statement: ClauseElement, engine: Engine) -> "_Compiled":
        compiled = cast(SQLCompiler, statement.compile(dialect=engine.dialect))
        return cls(str(compiled), compiled.params, compiled.positiontup)

    def parameters(self, values: Mapping[str, Any]) -> Any:
        named = {**self.own, **values}
        return named if self.order is None else [named[name] for name in self.order]
