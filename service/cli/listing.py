"""Prints a long list for `audit`, `notices` and `findings`, page by page."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, TypeVar

import typer
from sqlalchemy.orm import Session

from service.cli.console import hint, show_table
from service.database.tables import AuditEntry, Connection, Notice
from service.services import Services
from service.store import connections

SHOWN = 100
_PAGE = 500

Limit = Annotated[
    int | None,
    typer.Option(min=1, help=f"At most so many; default: {SHOWN}, with --json all of them."),
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
