"""Output of commands: answers to stdout, everything else to stderr."""

import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import typer
from alembic.util import CommandError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from service.errors import ConfigurationError, ServiceError
from service.kit import exact_json
from service.kit.text import cause_of

# Insufficient privilege, no such table, no such schema: for an operator to fix.
_OPERATORS_STATES = frozenset({"42501", "42P01", "3F000"})

P = ParamSpec("P")
R = TypeVar("R")

hints = Console(stderr=True, highlight=False, soft_wrap=True)
# A pipe has no width, and programs that read it want no line breaks.
_tables = Console(highlight=False, width=None if sys.stdout.isatty() else 220)

ENV_FILE = Path(".env")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def answer(text: str) -> None:
    """Print one line of the answer at once, without wrapping or colours."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def answer_json(rows: Iterable[Any]) -> None:
    for row in rows:
        sys.stdout.write(exact_json.encode(row).decode() + "\n")
    sys.stdout.flush()


def utc_cell(value: datetime | None) -> str:
    """Return a time as tables show it: `2026-11-22 09:36 UTC`."""
    return "" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def show_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; an empty one is a hint on stderr."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text from QuickBooks is not rich's markup.
        table.add_row(*(_cell(cell) for cell in row))
    if table.row_count == 0:
        hint(f"{title}: none.")
        return
    _tables.print(table)


def _cell(cell: object) -> str:
    from rich.markup import escape

    return escape("" if cell is None else plain(str(cell)))


def hint(text: str) -> None:
    """Print a line for people to stderr."""
    hints.print(plain(text), markup=False)


def plain(text: str) -> str:
    """Return the text without terminal control characters: names come from QuickBooks."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def fail(text: str, status: int = 1) -> typer.Exit:
    """Print what is wrong and how to fix it; return the exit to raise."""
    hints.print(text, markup=False, style="red")
    return typer.Exit(status)


def says_what_is_wrong(command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors that an operator can fix into a message and an exit status."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ConfigurationError as e:
            raise fail(str(e), 2) from None
        except DBAPIError as e:
            if is_ours(e):
                raise
            raise fail(database_trouble(e), 2) from None
        except CommandError as e:
            raise fail(f"DATABASE_URL: the schema is not of this version: {e}", 2) from None
        except ServiceError as e:
            raise fail(str(e)) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None

    return run


def is_ours(error: DBAPIError) -> bool:
    """Return whether the error is a bug of this program, not trouble with the database."""
    if isinstance(error, ProgrammingError) and error.statement is not None:
        return getattr(error.orig, "sqlstate", None) not in _OPERATORS_STATES
    return isinstance(error, DataError | IntegrityError)


def database_trouble(error: DBAPIError) -> str:
    """Return a message for the operator: what failed; what to do."""
    cause = cause_of(error.orig)
    if error.statement is not None:
        return f"DATABASE_URL: the database failed: {cause}; nothing is half done, try again"
    if type(error.orig).__module__.startswith("sqlite3"):
        advice = "check the path, and that its folder exists and can be written to"
    else:
        advice = "check that the database runs, and that its address, user and password are right"
    return f"DATABASE_URL: cannot be opened: {cause}; {advice}"
