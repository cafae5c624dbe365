"""`connections`: every company's connection, and what operators do about one."""

from datetime import datetime, timedelta
from typing import Any

import typer

from service.bootstrap import Services
from service.cli import connection_orders
from service.cli.compose import command_services
from service.cli.console import answer_json, hint, moment, says_what_is_wrong, show_table
from service.cli.options import Json
from service.store import connections, counts, pace, runs
from service.store.tables import Connection, Supplier
from service.times import now

_HARD_END_NEAR = timedelta(days=30)

group = typer.Typer(rich_markup_mode="markdown")
group.command("pause")(connection_orders.pause)
group.command("resume")(connection_orders.resume)
group.command("disconnect")(connection_orders.disconnect)
group.command("release")(connection_orders.release)


@group.callback(invoke_without_command=True)
@says_what_is_wrong
def show_connections(context: typer.Context, as_json: Json = False) -> None:
    """Show every company's connection: its state, its last reads, how many invoices it has, and how
    many reads it has cost this month.

    `pause`, `resume`, `disconnect` and `release` change one.
    """
    if context.invoked_subcommand is not None:
        return
    with command_services() as services:
        rows = _rows(services)
    if as_json:
        answer_json(rows)
        return
    show_table(
        "Connections",
        (
            *("Supplier", "Company", "Realm id", "State", "Last sync", "Reconciled"),
            *("Invoices", "Backfill", "Reads this month"),
        ),
        (
            (
                row["supplier"],
                row["company"],
                row["realm_id"],
                _state(row),
                moment(row["last_synced_at"]),
                moment(row["reconciled_at"]),
                f"{row['in_infactor']} of {row['invoices']} in Infactor",
                row["backfill"],
                f"{row['reads']:,}",
            )
            for row in rows
        ),
    )
    for row in rows:
        _say_what_to_do(row)


def _rows(services: Services) -> list[dict[str, Any]]:
    rows = []
    with services.database.read() as session:
        reads = pace.reads(session, f"{now():%Y-%m}")
        everyone = connections.everyone(session, services.settings.quickbooks_environment)
        ids = [connection.id for connection, _ in everyone]
        numbers, backfills = counts.of_companies(session, ids), runs.latest_of(session, ids)
        for connection, owner in everyone:
            recorded, offered = numbers[connection.id]
            run = backfills.get(connection.id)
            rows.append(
                {
                    **_row(services, connection, owner),
                    "invoices": recorded,
                    "in_infactor": offered,
                    "backfill": None if run is None else run.state,
                    "reads": reads.get(connection.id, 0),
                }
            )
    return rows


def _row(services: Services, connection: Connection, supplier: Supplier) -> dict[str, Any]:
    return {
        "connection": connection.id,
        "supplier": supplier.email,
        "company": connection.company_name,
        "realm_id": services.access.realm_id(connection),
        "environment": connection.environment,
        "state": connection.state,
        "problem": connection.problem,
        "connected_at": connection.connected_at,
        "renewed_at": connection.renewed_at,
        "disconnected_at": connection.disconnected_at,
        "suspended_at": connection.suspended_at,
        "released_at": connection.released_at,
        "last_synced_at": connection.last_synced_at,
        "reconciled_at": connection.reconciled_at,
        "refresh_token_expires_at": connection.refresh_expires_at,
        "authorisation_ends_at": connection.hard_expires_at,
    }


def _state(row: dict[str, Any]) -> str:
    """Return in words how the connection stands."""
    if row["state"] == "disconnected":
        words = _disconnected(row)
    else:
        words = row["state"] if not row["problem"] else f"{row['state']}: {row['problem']}"
    if row["suspended_at"]:
        words += f"; paused by an operator {moment(row['suspended_at'])}"
    ends: datetime | None = row["authorisation_ends_at"]
    if row["state"] == "connected" and ends is not None and ends - now() < _HARD_END_NEAR:
        words += f"; the authorisation ends {moment(ends)}"
    return words


def _disconnected(row: dict[str, Any]) -> str:
    since = f" since {moment(row['disconnected_at'])}" if row["disconnected_at"] else ""
    if row["released_at"]:
        return f"released {moment(row['released_at'])}"
    if row["problem"]:
        return f"ended by QuickBooks{since}: {row['problem']}"
    return f"disconnected{since}"


def _say_what_to_do(row: dict[str, Any]) -> None:
    # One that was forgotten, or released, waits for nobody.
    if row["state"] == "disconnected" and not row["released_at"] and row["company"]:
        hint(
            f"{row['company']} is disconnected. Send a new link:"
            f" infactor-quickbooks connect-url --connection {row['connection']}"
        )
