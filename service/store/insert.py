"""INSERT with ON CONFLICT, in the dialect of the session's database."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.store.tables import Base


def insert(session: Session, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that offers `on_conflict_do_update` and `on_conflict_do_nothing`.

    The two dialects share that part of their interface.
    """
    name = session.get_bind().dialect.name
    return sqlite.insert(table) if name == "sqlite" else postgresql.insert(table)


def excluded(statement: sqlite.Insert | postgresql.Insert, *names: str) -> dict[str, Any]:
    """Return the SET clause that takes these columns from the row that could not be inserted."""
    return {name: statement.excluded[name] for name in names}
