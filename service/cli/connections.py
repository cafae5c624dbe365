"""`connections`: lists the companies; pauses, resumes, disconnects or releases one."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any

import typer

from service.cli.console import (
    answer,
    answer_json,
    fail,
    hint,
    says_what_is_wrong,
    show_table,
    utc_cell,
)
from service.cli.context import (
    ById,
    ByRealm,
    BySupplier,
    Chosen,
    Json,
    chosen,
    command_services,
    name_of,
    name_one,
    nudge,
    operator,
)
from service.cli.exit_status import Exit
from service.cli.help import add_command, new_typer
from service.coordination import rate_limit
from service.database.tables import Connection, Supplier
from service.domain import ConnectionState
from service.errors import Disconnected, SyncError
from service.kit.clock import now
from service.operations import actions
from service.queries import invoices, measures
from service.services import Services
from service.store import connections, runs
from service.wording import span

_WORTH_A_WORD = 60  # seconds
_HARD_END_NEAR = timedelta(days=30)

group = new_typer()


@group.callback(invoke_without_command=True)
@says_what_is_wrong
def show_connections(context: typer.Context, as_json: Json = False) -> None:
    """Show every company's connection: its state, last reads, invoices, and reads this month.

    `pause`, `resume`, `retry`, `disconnect`, `release` and `reset-watermarks` change one.
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
                _lag(row),
                f"{span(row['watermark_age_seconds'])} ago",
                f"{row['in_infactor']} of {row['invoices']} in Infactor",
                row["backfill"],
                f"{row['reads']:,}",
            )
            for row in rows
        ),
    )
    for row in rows:
        _say_what_to_do(row)
    if not rows:
        hint(
            "`infactor-quickbooks connect-url EMAIL` prints a link with which a supplier connects."
        )


def _rows(services: Services) -> list[dict[str, Any]]:
    rows = []
    environment, at = services.settings.quickbooks_environment, now()
    with services.database.read() as session:
        reads = rate_limit.reads_by_connection(session, f"{at:%Y-%m}")
        everyone = connections.everyone(session, environment)
        ids = [connection.id for connection, _ in everyone]
        waiting = measures.waiting_since(session, environment, at, ids)
        numbers, backfills = invoices.of_companies(session, ids), runs.latest_of(session, ids)
        for connection, owner in everyone:
            recorded, offered = numbers[connection.id]
            run = backfills.get(connection.id)
            rows.append(
                {
                    **_row(services, connection, owner),
                    "lag_seconds": _age(waiting.get(connection.id, at), at),
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
        "barred_since": connection.barred_since,
        "waits_until": connection.paused_until,
        "connected_at": connection.connected_at,
        "renewed_at": connection.renewed_at,
        "disconnected_at": connection.disconnected_at,
        "suspended_at": connection.suspended_at,
        "released_at": connection.released_at,
        "last_synced_at": connection.last_synced_at,
        "reconciled_at": connection.reconciled_at,
        "watermark": connection.reconciled_until,
        "watermark_age_seconds": _age(connection.reconciled_until, now()),
        "proved_at": connection.proved_at,
        "refresh_token_expires_at": connection.refresh_expires_at,
        "authorisation_ends_at": connection.hard_expires_at,
    }


def _lag(row: dict[str, Any]) -> str:
    """Return when the company was last read, and for how long its oldest event has waited."""
    late = row["lag_seconds"] >= _WORTH_A_WORD
    waits = f"; waits {span(row['lag_seconds'])}" if late else ""
    return f"{utc_cell(row['last_synced_at'])}{waits}"


def _age(since: datetime, at: datetime) -> int:
    return max(0, round((at - since).total_seconds()))


def _state(row: dict[str, Any]) -> str:
    if row["state"] == ConnectionState.DISCONNECTED:
        words = _disconnected(row)
    else:
        words = row["state"] if not row["problem"] else f"{row['state']}: {row['problem']}"
        if row["barred_since"]:
            words += f"; not let in since {utc_cell(row['barred_since'])}"
        if row["waits_until"] and row["waits_until"] > now():
            words += f"; tried again {utc_cell(row['waits_until'])}"
    if row["suspended_at"]:
        words += f"; paused by an operator {utc_cell(row['suspended_at'])}"
    ends: datetime | None = row["authorisation_ends_at"]
    if (
        row["state"] == ConnectionState.CONNECTED
        and ends is not None
        and ends - now() < _HARD_END_NEAR
    ):
        words += f"; the authorisation ends {utc_cell(ends)}"
    return words


def _disconnected(row: dict[str, Any]) -> str:
    since = f" since {utc_cell(row['disconnected_at'])}" if row["disconnected_at"] else ""
    if row["released_at"]:
        return f"released {utc_cell(row['released_at'])}"
    if row["problem"]:
        return f"ended by QuickBooks{since}: {row['problem']}"
    return f"disconnected{since}"


def _say_what_to_do(row: dict[str, Any]) -> None:
    if row["state"] == ConnectionState.CONNECTED and row["barred_since"]:
        hint(
            f"{row['company']} does not let us in. Once that is fixed in QuickBooks:"
            f" infactor-quickbooks connections retry --connection {row['connection']}"
        )
    # Nobody has to reconnect a forgotten or released company.
    if row["state"] == ConnectionState.DISCONNECTED and not row["released_at"] and row["company"]:
        hint(
            f"{row['company']} is disconnected. Send a new link:"
            f" infactor-quickbooks connect-url --connection {row['connection']}"
        )


@says_what_is_wrong
def pause(
    company: ByRealm = None,
    connection: ById = None,
    supplier: BySupplier = None,
    as_json: Json = False,
) -> None:
    """Let nobody call QuickBooks for a company until `resume`; its events are kept and wait.

    What is being read at this moment is finished.
    """
    with command_services() as services:
        for one, _ in _chosen(services, company, connection, supplier):
            changed = actions.pause(services.database, one.id, operator())
            if changed:
                nudge(services, partial(services.jobs.judge, one.id))
            words = "paused" if changed else "was paused already"
            _tell(one, words, changed=changed, as_json=as_json)


@says_what_is_wrong
def resume(
    company: ByRealm = None,
    connection: ById = None,
    supplier: BySupplier = None,
    as_json: Json = False,
) -> None:
    """End a pause; whatever changed meanwhile is read and compared automatically."""
    with command_services() as services:
        for one, _ in _chosen(services, company, connection, supplier):
            changed = actions.resume(services.database, one.id, operator())
            if changed and one.state == ConnectionState.CONNECTED:
                nudge(services, partial(services.jobs.sync, one.id))
            words = "resumed" if changed else "was not paused"
            _tell(one, words, changed=changed, as_json=as_json)


@says_what_is_wrong
def retry(
    company: ByRealm = None,
    connection: ById = None,
    supplier: BySupplier = None,
    as_json: Json = False,
) -> None:
    """Retry at once what waits after a failure; otherwise it is retried at most an hour apart.

    Where QuickBooks has ended the connection, its last token is tried again: it may be good after
    all. Exit status: 1 when it is not, or when nobody can tell.
    """

    failed = False
    with command_services() as services:
        for one, _ in _chosen(services, company, connection, supplier):
            if one.suspended_at is not None:
                failed = True
                again = f"infactor-quickbooks connections resume --connection {one.id}"
                _tell_error(
                    one, "paused by an operator", f" Resume it first: {again}", as_json=as_json
                )
                continue
            try:
                actions.retry(services, one.id, operator())
            except SyncError as e:
                failed = True
                again = f"infactor-quickbooks connect-url --connection {one.id}"
                advice = f" Send a new link: {again}" if isinstance(e, Disconnected) else ""
                _tell_error(one, str(e), advice, as_json=as_json)
                continue
            nudge(services, partial(services.jobs.sync, one.id))
            _tell(one, "tried again now", changed=True, as_json=as_json)
    if failed:
        raise typer.Exit(Exit.ATTENTION)


@says_what_is_wrong
def disconnect(
    company: ByRealm = None,
    connection: ById = None,
    supplier: BySupplier = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also when QuickBooks does not confirm it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Give a company's tokens back to QuickBooks and delete them here.

    Its invoices and events stay. Exit status: 1 when QuickBooks did not confirm it (without --force
    nothing changed here), or the supplier connected it meanwhile.
    """
    from service.operations import disconnect as disconnection

    failed = False
    with command_services() as services:
        for one, _ in _chosen(services, company, connection, supplier):
            if one.state == ConnectionState.DISCONNECTED and one.refresh_sealed is None:
                _tell(one, "was disconnected already", changed=False, as_json=as_json)
                continue
            try:
                problem = disconnection.disconnect(services, one.id, operator(), force=force)
            except disconnection.NotRevoked as e:
                failed = True
                _tell_error(
                    one,
                    f"left as it is, because QuickBooks has not confirmed it: {e}",
                    " Try again later, or disconnect it here alone with --force.",
                    as_json=as_json,
                )
                continue
            except disconnection.ConnectedAgain as e:
                failed = True
                advice = " Disconnect it again if that is still wanted."
                _tell_error(one, str(e), advice, as_json=as_json)
                continue
            if problem is not None:
                failed = True
                hint(
                    f"{name_of(one)}: QuickBooks has not confirmed it: {problem}. To be sure, let"
                    " the supplier disconnect the app in QuickBooks."
                )
            _tell(one, "disconnected", changed=True, as_json=as_json)
            hint(
                "Its invoices stay, here and in Infactor, and its events wait. To connect it"
                f" again: infactor-quickbooks connect-url --connection {one.id}"
            )
    if failed:
        raise typer.Exit(Exit.ATTENTION)


@says_what_is_wrong
def release(company: ByRealm = None, connection: ById = None, as_json: Json = False) -> None:
    """Let another supplier connect a disconnected company, which then is theirs.

    Invoices that nobody has decided about go with it; all others stay in the former name.
    """
    name_one({"--company REALM": company, "--connection ID": connection})
    with command_services() as services:
        ((one, _),) = chosen(services, realm_id=company, connection_id=connection)
        if not actions.release(services.database, one.id, operator()):
            raise fail(
                f"{name_of(one)} is connected. Disconnect it first:"
                f" infactor-quickbooks connections disconnect --connection {one.id}"
            )
        words = "released. Any supplier can now connect it"
        _tell(one, words, changed=True, as_json=as_json)


@says_what_is_wrong
def reset_watermarks(
    company: ByRealm = None,
    connection: ById = None,
    supplier: BySupplier = None,
    as_json: Json = False,
) -> None:
    """Where a time of the future keeps a company's changes from being read, read all once more.

    Its watermarks go back to where it was connected, and it is reconciled within a minute.
    """
    with command_services() as services:
        for one, _ in _chosen(services, company, connection, supplier):
            changed = actions.reset_watermarks(services.database, one.id, operator())
            words = "reset" if changed else "no time is ahead"
            _tell(one, words, changed=changed, as_json=as_json)


def _tell(one: Connection, words: str, *, changed: bool, as_json: bool) -> None:
    """Print what became of a company."""
    if as_json:
        answer_json([_fate(one, changed=changed, error=None)])
    else:
        answer(f"{name_of(one)}: {words}.")


def _tell_error(one: Connection, error: str, advice: str, *, as_json: bool) -> None:
    """Print why a company stays as it is, and what to do."""
    hint(f"{name_of(one)}: {error}.{advice}")
    if as_json:
        answer_json([_fate(one, changed=False, error=error)])


def _fate(one: Connection, *, changed: bool, error: str | None) -> dict[str, Any]:
    return {
        "connection": one.id,
        "company": name_of(one),
        "changed": changed,
        "error": error,
    }


def _chosen(
    services: Services, realm_id: str | None, connection_id: str | None, supplier: str | None
) -> list[Chosen]:
    name_one(
        {
            "--company REALM": realm_id,
            "--connection ID": connection_id,
            "--supplier EMAIL": supplier,
        }
    )
    return chosen(services, supplier=supplier, realm_id=realm_id, connection_id=connection_id)


for _name, _function in (
    ("pause", pause),
    ("resume", resume),
    ("retry", retry),
    ("disconnect", disconnect),
    ("release", release),
    ("reset-watermarks", reset_watermarks),
):
    add_command(group, _name, _function, [f"connections {_name} --company 9341455000000001"])
