"""`audit`: which operator did what, and when."""

from itertools import islice
from typing import Any

from service.cli.console import Limit, answer_json, newest, says_what_is_wrong, show_list, utc_cell
from service.cli.context import Json, command_services, name_of
from service.database.tables import AuditEntry, Connection
from service.store import audit


@says_what_is_wrong
def show_audit(limit: Limit = None, as_json: Json = False) -> None:
    """Show what operators did, the newest first."""
    with command_services() as services:
        rows = (_row(entry, company) for entry, company in newest(services, audit.newest))
        if as_json:
            answer_json(islice(rows, limit))
        else:
            columns = ("When", "Who", "What", "Company", "Details")
            show_list("Audit", columns, map(_cells, rows), limit, "the newest ")


def _row(entry: AuditEntry, company: Connection | None) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "connection": entry.connection_id,
        "company": name_of(company) if company else entry.connection_id,
        "details": entry.details,
    }


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    details = ", ".join(f"{name}: {value}" for name, value in row["details"].items())
    return (utc_cell(row["at"]), row["actor"], row["action"], row["company"], details)
