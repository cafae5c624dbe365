"""INSERT with ON CONFLICT, in the dialect of the session's database."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Executable, Text, bindparam, cast, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service import exact_json
from service.store.tables import Base

Insert = sqlite.Insert | postgresql.Insert
Rule = Callable[[Insert], Insert]


def insert(session: Session, table: type[Base]) -> Insert:
    """Return an INSERT that offers `on_conflict_do_update` and `on_conflict_do_nothing`.

    The two dialects share that part of their interface.
    """
    name = session.get_bind().dialect.name
    return sqlite.insert(table) if name == "sqlite" else postgresql.insert(table)


def excluded(statement: Insert, *names: str) -> dict[str, Any]:
    """Return the SET clause that takes these columns from the row that could not be inserted."""
    return {name: statement.excluded[name] for name in names}


def insert_all(
    session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]], rule: Rule
) -> None:
    """Insert rows of the same columns; `rule` says what becomes of one that is there already.

    The statement is built once. PostgreSQL gets all rows as one JSON text, in one statement: that
    takes a fifth of the time that a statement for each of them takes, on either side.
    """
    if session.get_bind().dialect.name == "sqlite":
        session.connection().execute(_one_by_one(table, rule), rows)
    else:
        statement = _together(table, rule, tuple(rows[0]))
        session.connection().execute(statement, {"rows": exact_json.encode(rows).decode()})


@cache
def _one_by_one(table: type[Base], rule: Rule) -> Executable:
    return rule(sqlite.insert(table))


@cache
def _together(table: type[Base], rule: Rule, names: tuple[str, ...]) -> Executable:
    columns = [table.__table__.c[name] for name in names]
    rows = cast(bindparam("rows", type_=Text), postgresql.JSON)
    given = func.json_to_recordset(rows).table_valued(*columns).render_derived(with_types=True)
    statement = postgresql.insert(table).from_select(names, select(*given.c))
    return rule(statement)
