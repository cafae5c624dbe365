"""INSERT with ON CONFLICT in the dialect of the session's database, and many rows at once."""

import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from itertools import chain
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    CursorResult,
    Dialect,
    Executable,
    FromClause,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from service.database.tables import Base
from service.database.types import ExactJSON, Instant
from service.kit import exact_json

T = TypeVar("T")
_CHUNK = 500
_ROWS_OF_VALUES = 200  # of at most 40 columns: SQLite takes 32,766 values

Insert = sqlite.Insert | postgresql.Insert
Rule = Callable[[Insert], Executable]
Conversions = Sequence[tuple[str, Callable[[Any], Any] | None]]
"""Columns, and how each one's values become what SQLite's driver takes; None: as they are."""


def insert(session: Session, table: type[Base]) -> Insert:
    """Return an INSERT with `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return insert_for(session.get_bind().dialect.name, table)


def insert_for(dialect: str, table: type[Base]) -> Insert:
    """Return the same for a dialect, "sqlite" or "postgresql"."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def excluded(statement: Insert, *names: str) -> dict[str, Any]:
    """Return the SET clause that takes these columns from the row that conflicts."""
    return {name: statement.excluded[name] for name in names}


def chunked(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the items in chunks of at most 500, which fit into one statement on SQLite too."""
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def _as_it_is(statement: Insert) -> Insert:
    return statement


def insert_all(
    session: Session,
    table: type[Base],
    rows: Sequence[Mapping[str, Any]],
    rule: Rule = _as_it_is,
) -> list[Any]:
    """Insert rows of the same columns; `rule` decides what happens to existing ones.

    Returns the rows of the rule's RETURNING. The statement is built once, and the rows go to the
    driver together, which takes a fifth of the time of a statement for each row, on both sides:
    PostgreSQL gets them as one JSON text, but for columns of JSON, which are arrays of texts.
    """
    names = tuple(rows[0])
    if session.get_bind().dialect.name == "sqlite":
        return _values_insert(table, rule, names).run(session, rows)
    statement, long = _from_text(table, rule, names)
    given: dict[str, Any] = {name: [_json_text(row[name]) for row in rows] for name in long}
    if long:
        rows = [{name: row[name] for name in names if name not in long} for row in rows]
    given["rows"] = rows_text(rows)
    return _returned(session.connection().execute(statement, given))


def update_all(
    session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]], key: str = "id"
) -> None:
    """Update the row that has each one's `key`, with its other columns, the same in each.

    PostgreSQL gets all of them in one statement.
    """
    if not rows:
        return
    names = tuple(name for name in rows[0] if name != key)
    if session.get_bind().dialect.name == "sqlite":
        _row_update(table, key, names).run(session, rows)
    else:
        session.connection().execute(
            _update_from_text(table, key, names), {"rows": rows_text(rows)}
        )


@dataclass(frozen=True, slots=True)
class _RowUpdate:
    """An UPDATE of one row on SQLite, which the driver runs for each, and how values become its.

    SQLAlchemy took as long to look those up again for each row as SQLite to write it.
    """

    text: str
    conversions: Conversions

    @classmethod
    def of(cls, table: type[Base], key: str, names: tuple[str, ...]) -> "_RowUpdate":
        columns = table.__table__.c
        changes = ", ".join(f"{name} = ?" for name in names)
        return cls(
            text=f"UPDATE {table.__tablename__} SET {changes} WHERE {key} = ?",  # noqa: S608 - names of ours
            conversions=[(name, _conversion(columns[name].type)) for name in (*names, key)],
        )

    def run(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        values = [tuple(_converted(row, self.conversions)) for row in rows]
        session.connection().exec_driver_sql(self.text, values)


@cache
def _update_from_text(table: type[Base], key: str, names: tuple[str, ...]) -> Executable:
    given = rows_given("postgresql", table, (key, *names))
    changes = {name: given.c[name] for name in names}
    return update(table).where(table.__table__.c[key] == given.c[key]).values(changes)


def _returned(result: CursorResult[Any]) -> list[Any]:
    return list(result.all()) if result.returns_rows else []


@dataclass(frozen=True, slots=True)
class _ValuesInsert:
    """An INSERT of many rows on SQLite: its text for one row, and how each value is converted.

    SQLAlchemy would build the text and look up the conversions again in each call.
    """

    text: str
    row: str
    conversions: Conversions
    defaults: Mapping[str, Any]
    own: Sequence[Any]  # what the rule brings: its places are behind those of the rows

    @classmethod
    def of(cls, table: type[Base], rule: Rule, names: Collection[str]) -> "_ValuesInsert":
        columns = table.__table__.c
        statement = typing.cast(ClauseElement, rule(sqlite.insert(table)))
        compiled = typing.cast(
            SQLCompiler, statement.compile(dialect=sqlite.dialect(), column_keys=[*names])
        )
        given = compiled.positiontup or []
        order = [name for name in given if name in columns]
        own = [compiled.binds[name] for name in given if name not in columns]
        return cls(
            text=str(compiled),
            row=f"({', '.join('?' * len(order))})",
            conversions=[(name, _conversion(columns[name].type)) for name in order],
            defaults={name: _default(columns[name].default) for name in order if name not in names},
            own=[_processed(bind.type, bind.value) for bind in own],
        )

    def run(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        connection = session.connection()
        returned: list[Any] = []
        for start in range(0, len(rows), _ROWS_OF_VALUES):
            some = rows[start : start + _ROWS_OF_VALUES]
            text = self.text.replace(self.row, ", ".join([self.row] * len(some)), 1)
            values = (*chain.from_iterable(map(self._values, some)), *self.own)
            returned += _returned(connection.exec_driver_sql(text, values))
        return returned

    def _values(self, row: Mapping[str, Any]) -> list[Any]:
        given = {**row, **self.defaults} if self.defaults else row
        return _converted(given, self.conversions)


def _converted(row: Mapping[str, Any], conversions: Conversions) -> list[Any]:
    return [row[name] if convert is None else convert(row[name]) for name, convert in conversions]


def _conversion(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Return how values of this type become what SQLite's driver takes; None: as they are."""
    return _instant if isinstance(kind, Instant) else _processor(kind)


def _processed(kind: TypeEngine[Any], value: Any) -> Any:
    convert = _conversion(kind)
    return value if convert is None else convert(value)


def _processor(kind: TypeEngine[Any]) -> Any:
    dialect = sqlite.dialect()
    return kind.dialect_impl(dialect).bind_processor(dialect)


# The rows of a batch share some instants, and a row's instant stands in several tables.
_instant = lru_cache(maxsize=4096)(_processor(Instant()))


def _default(default: Any) -> Any:
    """Return the value that a column gets to which a row gives none."""
    return default.arg(None) if default.is_callable else default.arg


_values_insert = cache(_ValuesInsert.of)
_row_update = cache(_RowUpdate.of)


@cache
def _from_text(
    table: type[Base], rule: Rule, names: tuple[str, ...]
) -> tuple[Executable, frozenset[str]]:
    """Return the statement, and which columns it is given as arrays.

    To find a text of JSON in another one took PostgreSQL longer than to store it.
    """
    columns = table.__table__.c
    long = [name for name in names if isinstance(columns[name].type, ExactJSON)]
    given = _rows_and_arrays(table, [n for n in names if n not in long], long)
    rows = select(*(given.c[name] for name in names))
    return rule(postgresql.insert(table).from_select(names, rows)), frozenset(long)


_POSTGRESQL: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]


def _rows_and_arrays(table: type[Base], names: Sequence[str], long: Sequence[str]) -> FromClause:
    """Return the rows of `rows_given` with these other columns, each from the array of its name."""
    if not long:
        return rows_given("postgresql", table, names)
    columns = table.__table__.c
    kind_of = _POSTGRESQL.type_compiler_instance.process
    kinds = ", ".join(f'"{name}" {kind_of(columns[name].type)}' for name in names)
    arrays = ", ".join(f"CAST(:{name} AS text[])" for name in long)
    listed = ", ".join(f'"{name}"' for name in (*names, *long))
    rows = text(
        f"SELECT * FROM ROWS FROM (json_to_recordset(CAST(:rows AS json)) AS ({kinds}),"  # noqa: S608 - names of ours
        f" unnest({arrays})) AS given ({listed})"
    ).bindparams(
        bindparam("rows", type_=Text),
        *(bindparam(name, type_=postgresql.ARRAY(Text)) for name in long),
    )
    return rows.columns(*(column(n, columns[n].type) for n in (*names, *long))).subquery("given")


def _json_text(value: Any) -> str | None:
    return None if value is None else exact_json.encode(value).decode()


def rows_text(rows: Sequence[Mapping[str, Any] | Struct]) -> str:
    """Return the rows as the value of `:rows` in a statement on `rows_given`."""
    return exact_json.encode(rows).decode()


def instant_given(dialect: str, name: str) -> ColumnElement[datetime]:
    """Return the instant in the text `:name`, as `instant_text` writes it."""
    text = bindparam(name, type_=Text)
    return type_coerce(text, Instant) if dialect == "sqlite" else cast(text, Instant)


def rows_given(dialect: str, table: type[Base], names: Sequence[str]) -> FromClause:
    """Return the rows of the JSON text `:rows` as a table with these columns of `table`.

    On SQLite the columns must be text or whole numbers, the only types of JSON that it keeps.
    """
    text = bindparam("rows", type_=Text)
    columns = [table.__table__.c[name] for name in names]
    if dialect == "sqlite":
        each = func.json_each(text).table_valued("value")
        named = [
            type_coerce(func.json_extract(each.c.value, f"$.{column.name}"), column.type).label(
                column.name
            )
            for column in columns
        ]
        return select(*named).subquery("given")
    rows = func.json_to_recordset(cast(text, postgresql.JSON))
    return rows.table_valued(*columns).render_derived(name="given", with_types=True)
