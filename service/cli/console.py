"""Output of commands: answers to stdout, everything else to stderr."""

import codecs
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from service.cli.exit_status import Exit
from service.database.tables import AuditEntry, Connection, Notice
from service.errors import (
    ConfigurationError,
    InfactorAway,
    OutOfTime,
    ServiceError,
    TransientError,
)
from service.kit import exact_json
from service.kit.text import cause_of, shown
from service.services import Services
from service.store import connections

# Insufficient privilege, no such table, no such schema: for an operator to fix.
_OPERATORS_STATES = frozenset({"42501", "42P01", "3F000"})

P = ParamSpec("P")
R = TypeVar("R")

hints = Console(stderr=True, highlight=False, soft_wrap=True)
_terminal = Console(highlight=False)
# Columns of these names are copied into other commands, so no terminal is too narrow for them.
_IDS = frozenset({"Id", "Infactor id", "Realm id", "intuit_tid", "Delivery", "Row", "Last link"})
_BETWEEN = "  "

ENV_FILE = Path(".env")

# In JSON these stand in strings alone, where an escape means the same.
_NOT_ASCII = re.compile(r"[^\x00-\x7e]")
_ESCAPED_IN_JSON = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: object) -> Text:
    """Return a text for a terminal that styles nothing, links nothing and moves nothing.

    Names of companies and buyers come from QuickBooks. Everything that this package prints passes
    here, or through `answer` and `answer_json`.
    """
    return Text(shown(str(text), keep="\n"))


def one_line(text: object) -> Text:
    """Return a text as `plain` does, in one line."""
    return Text(shown(str(text)))


def answer(text: str) -> None:
    """Print one line of the answer at once, without wrapping or colours."""
    _write(shown(text) + "\n")
    sys.stdout.flush()


def answer_json(rows: Iterable[Any]) -> None:
    for row in rows:
        text = exact_json.encode(row).decode()
        escaped = _ESCAPED_IN_JSON if codecs.lookup(_encoding()).name == "utf-8" else _NOT_ASCII
        _write(escaped.sub(_json_escape, text) + "\n")
    sys.stdout.flush()


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _encoding() -> str:
    return sys.stdout.encoding or "utf-8"


def _write(text: str) -> None:
    """Write to stdout; what its encoding does not know is escaped."""
    encoding = _encoding()
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def utc_cell(value: datetime | None) -> str:
    """Return a time as tables show it: `2026-11-22 09:36 UTC`."""
    return "" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def show_table(
    title: str, columns: Iterable[str], rows: Iterable[Iterable[object]], *, section: bool = False
) -> None:
    """Print a table; an empty one is a hint on stderr.

    A pipe gets plain columns with two spaces between them, `-` for an empty cell, a line for each
    row, and the title only above a `section`, one of several tables. A terminal folds what is too
    wide for it, but no id.
    """
    names = [shown(name) for name in columns]
    cells = [[shown(str("" if cell is None else cell)) for cell in row] for row in rows]
    if not cells:
        hint(f"{title}: none.")
        return
    if sys.stdout.isatty():
        with _terminal.capture() as printed:
            _terminal.print(_table(shown(title), names, cells), crop=False)
        _write(printed.get())
    else:
        lines = [shown(title)] if section else []
        _write("".join(f"{line}\n" for line in (*lines, *_plain_columns([names, *cells]))))
    sys.stdout.flush()


def _plain_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield each row with its cells in line; two spaces or more within one become one.

    An empty cell is `-`, so that who splits at two spaces finds every column.
    """
    rows = [[" ".join(cell.split()) or "-" for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        )
        yield _BETWEEN.join(padded).rstrip()


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=None,
        padding=(0, len(_BETWEEN), 0, 0),
        header_style="bold",
    )
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        widest = max(map(cell_len, (name, *column)))
        least = widest if name in _IDS else max(map(cell_len, name.split()), default=0)
        table.add_column(Text(name), overflow="fold", min_width=least)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def hint(text: str) -> None:
    """Print a line for people to stderr."""
    hints.print(plain(text))


def fail(text: str, status: Exit = Exit.WRONG_USE) -> typer.Exit:
    """Print what is wrong and how to fix it; return the exit to raise."""
    hints.print(plain(text), style="red")
    return typer.Exit(status)


def says_what_is_wrong(command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors that an operator can fix into a message and an exit status."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ConfigurationError as e:
            raise fail(str(e)) from None
        except DBAPIError as e:
            if is_ours(e):
                raise
            raise fail(database_trouble(e), Exit.UNREACHABLE) from None
        except (InfactorAway, OutOfTime, TransientError) as e:
            raise fail(str(e), Exit.UNREACHABLE) from None
        except ServiceError as e:
            raise fail(str(e), Exit.ATTENTION) from None
        except (KeyboardInterrupt, typer.Abort):
            raise typer.Exit(Exit.INTERRUPTED) from None

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


SHOWN = 100
_PAGE = 500

Limit = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help=f"At most so many; default: {SHOWN}, with --json all of them."
    ),
]
E = TypeVar("E", AuditEntry, Notice)


def show_list(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Iterable[object]],
    limit: int | None,
    order: str = "",
) -> None:
    """Print the first `limit` rows (100 if None) as a table, and a hint if there are more.

    `order` describes them in the hint: "the newest ".
    """
    shown = limit or SHOWN
    found = list(islice(rows, shown + 1))
    show_table(title, columns, found[:shown])
    if len(found) > shown:
        hint_at_more(shown, order)


def hint_at_more(shown: int, order: str = "") -> None:
    """Say that only so many were shown."""
    hint(f"These are {order}{shown}. --limit shows more, --json all of them.")


def newest(
    services: Services, read: Callable[[Session, int | None, int], Sequence[E]]
) -> Iterator[tuple[E, Connection | None]]:
    """Yield every row with its company, the newest first.

    `read(session, before, limit)` returns the next page: rows with ids below `before`.
    """
    companies: dict[str, Connection | None] = {}
    before: int | None = None
    while True:
        with services.database.read() as session:
            page = read(session, before, _PAGE)
            for connection_id in {row.connection_id for row in page if row.connection_id}:
                if connection_id not in companies:
                    companies[connection_id] = connections.get(session, connection_id)
        yield from ((row, companies.get(row.connection_id or "")) for row in page)
        if len(page) < _PAGE:
            return
        before = page[-1].id
