"""`audit`: which operator did what, and when."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from service.cli.console import answer_json, hint, moment, says_what_is_wrong, show_table
from service.cli.context import Json, command_services, name_of
from service.context import Services
from service.database.tables import AuditEntry
from service.store import connections, operators

_PAGE = 500
_SHOWN = 100


@says_what_is_wrong
def show_audit(
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"At most so many; default: {_SHOWN}, with --json all of them."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what operators did, the newest first: who, when and to which company."""
    with command_services() as services:
        if as_json:
            answer_json(islice(_entries(services), limit))
            return
        shown = limit or _SHOWN
        found = list(islice(_entries(services), shown + 1))
    show_table(
        "Audit",
        ("When", "Who", "What", "Company", "Details"),
        (
            (moment(row["at"]), row["actor"], row["action"], row["company"], _details(row))
            for row in found[:shown]
        ),
    )
    if len(found) > shown:
        hint(f"These are the newest {shown}. --limit shows more, --json all of them.")


def _entries(services: Services) -> Iterator[dict[str, Any]]:
    names: dict[str, str] = {}
    before: int | None = None
    while True:
        with services.database.read() as session:
            page = operators.newest(session, before, _PAGE)
            for connection_id in {e.connection_id for e in page if e.connection_id} - set(names):
                connection = connections.get(session, connection_id)
                names[connection_id] = name_of(connection) if connection else connection_id
        yield from (_entry(entry, names.get(entry.connection_id or "")) for entry in page)
        if len(page) < _PAGE:
            return
        before = page[-1].id


def _entry(entry: AuditEntry, company: str | None) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "connection": entry.connection_id,
        "company": company,
        "details": entry.details,
    }


def _details(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in row["details"].items())
