"""`backfill`: bring in the past of one company, one supplier or everybody."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service.bootstrap import Services
from service.cli.compose import command_services
from service.cli.console import answer_json, fail, hint, hints, says_what_is_wrong
from service.store import connections, runs
from service.store.tables import Connection, Run, Supplier
from service.times import now

_POLL_SECONDS = 0.3

Chosen = tuple[Connection, Supplier]


@says_what_is_wrong
def backfill(
    supplier: Annotated[str | None, typer.Option(help="All companies of this supplier.")] = None,
    company: Annotated[str | None, typer.Option(help="The company with this realm id.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every connected company.")] = False,
    since: Annotated[
        str | None,
        typer.Option(help="Only what changed in QuickBooks since: 2026-01-31, or with a time."),
    ] = None,
    invoice: Annotated[
        str | None, typer.Option(help="Only the invoice with this QuickBooks Id.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; show what would change and its cost.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One summary a line, on stdout.")] = False,
) -> None:
    """Bring in invoices from the past. A company's backfill under way is joined, not repeated.

    Exit status: 0 when everything is recorded, 1 when something failed, 2 for bad options.
    """
    if sum((supplier is not None, company is not None, everybody)) != 1:
        raise fail("Name one of --supplier EMAIL, --company REALM or --all.", 2)
    if invoice is not None and not (invoice.isascii() and invoice.isdigit()):
        raise fail("--invoice takes the Id of an invoice in QuickBooks, which is digits.", 2)
    if invoice is not None and since is not None:
        raise fail("--invoice and --since exclude each other.", 2)
    start = None if since is None else _instant(since)
    with command_services() as services:
        services.leases.start()
        chosen = _choose(services, supplier, company)
        if invoice is not None:
            summaries = [_one_invoice(services, c, invoice, dry_run) for c in chosen]
        elif dry_run:
            summaries = [_rehearse(services, c, start) for c in chosen]
        else:
            summaries = _follow(services, chosen, start)
    if as_json:
        answer_json(summaries)
    else:
        for summary in summaries:
            _explain(summary)
    if any(summary["failed"] or summary["error"] for summary in summaries):
        raise typer.Exit(1)


def _instant(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise fail("--since takes a date such as 2026-01-31, or 2026-01-31T08:00Z.", 2) from None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed


def _choose(services: Services, email: str | None, realm_id: str | None) -> list[Chosen]:
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        everyone = connections.everyone(session, environment)
        if email is not None and connections.supplier_by_email(session, email) is None:
            raise fail("No supplier with this e-mail address has opened a link yet.", 2)
    wanted = [
        (connection, owner)
        for connection, owner in everyone
        if (email is None or owner.email == email.strip())
        and (realm_id is None or connection.realm_digest == services.vault.digest(realm_id))
    ]
    alive = [(c, owner) for c, owner in wanted if c.state == "connected"]
    for connection, _ in wanted:
        if connection.state != "connected":
            hint(f"{connection.company_name}: not connected, left out; it has to connect again.")
    if not alive and email is None and realm_id is None:
        hint("No company is connected, so there is nothing to bring in.")
    elif not alive:
        raise fail("No connected company fits. `infactor-quickbooks connections` lists them.", 2)
    return alive


def _follow(
    services: Services, chosen: Sequence[Chosen], since: datetime | None
) -> list[dict[str, Any]]:
    """Create or join each company's run, and stay with them until all have ended."""
    with services.database.write() as session:
        run_ids = {
            connection.id: runs.create_or_join(session, connection.id, "command", since, now())
            for connection, _ in chosen
        }
    if not services.settings.embedded:
        for run_id in run_ids.values():
            services.jobs.backfill(run_id)
    with _progress() as progress:
        bars = {c.id: progress.add_task(c.company_name, total=None, note="") for c, _ in chosen}
        ended: dict[str, Run] = {}
        while len(ended) < len(run_ids):
            worked = False
            for connection_id, run_id in run_ids.items():
                if connection_id in ended:
                    continue
                worked |= _advance(services, run_id)
                run, connected = _look(services, run_id)
                _show(progress, bars[connection_id], run)
                if run.state != "active" or not connected:
                    ended[connection_id] = run
            if not worked and len(ended) < len(run_ids):
                time.sleep(_POLL_SECONDS)
    return [_summary(c, owner, ended[c.id].tally, ended[c.id].error) for c, owner in chosen]


def _look(services: Services, run_id: int) -> tuple[Run, bool]:
    """Return the run as it is now, and whether its company is still connected."""
    with services.database.read() as session:
        run = runs.get(session, run_id)
        connection = connections.get(session, run.connection_id) if run else None
    if run is None or connection is None:
        raise fail("The run has disappeared from the database.")
    return run, connection.state == "connected"


def _advance(services: Services, run_id: int) -> bool:
    """Do the next page ourselves where no worker processes exist and nobody else does it."""
    from workers.backfill import advance

    return services.settings.embedded and advance(services, run_id)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=hints,
        # A log file wants no bar.
        disable=not hints.is_terminal,
    )


def _show(progress: Progress, bar: Any, run: Run) -> None:
    waiting = f"waiting: {run.error}" if run.error and run.state == "active" else ""
    if waiting and progress.disable and progress.tasks[bar].fields["note"] != waiting:
        hint(waiting)
    progress.update(bar, total=run.expected, completed=run.tally["read"], note=waiting)


def _rehearse(services: Services, chosen: Chosen, since: datetime | None) -> dict[str, Any]:
    from workers.company import Company
    from workers.rehearsal import estimate, rehearse_backfill

    connection, owner = chosen
    company = Company.of(services, connection.id)
    cost = estimate(company, since)
    hint(
        f"{connection.company_name}: {cost.invoices} invoices;"
        f" a backfill takes about {cost.reads} reads and {cost.seconds:g} seconds."
    )
    with _progress() as progress:
        bar = progress.add_task(
            f"{connection.company_name} (dry run)", total=cost.invoices, note=""
        )
        tally = rehearse_backfill(
            company, since, lambda so_far: progress.update(bar, completed=so_far["read"])
        )
    estimated = {"invoices": cost.invoices, "reads": cost.reads, "seconds": cost.seconds}
    return {**_summary(connection, owner, tally, None), "dry_run": True, "estimate": estimated}


def _one_invoice(services: Services, chosen: Chosen, invoice: str, dry_run: bool) -> dict[str, Any]:
    from workers.company import Company
    from workers.customers import CustomerReads
    from workers.reading import read_invoices
    from workers.record import record, rehearse
    from workers.tally import add

    connection, owner = chosen
    company = Company.of(services, connection.id)
    reads = read_invoices(company, [invoice])
    if dry_run:
        recorded = rehearse(company, reads, CustomerReads(company))
    else:
        recorded = record(company, reads, cause="command", finish=lambda session, done: None)
    tally = add(runs.EMPTY_TALLY, recorded)
    return {**_summary(connection, owner, tally, None), "dry_run": dry_run}


def _summary(
    connection: Connection, owner: Supplier, tally: dict[str, Any], error: str | None
) -> dict[str, Any]:
    return {
        "company": connection.company_name,
        "supplier": owner.email,
        "dry_run": False,
        **{name: tally[name] for name in ("read", "created", "refreshed", "unchanged")},
        **{name: tally[name] for name in ("withdrawn", "restored", "held", "failed", "failures")},
        "counted": tally.get("counted"),
        "recorded": tally.get("recorded"),
        "error": error,
    }


def _explain(summary: dict[str, Any]) -> None:
    would = "would be " if summary["dry_run"] else ""
    parts = [f"{summary['read']} read"]
    parts += [
        f"{summary[name]} {would}{name}"
        for name in ("created", "refreshed", "withdrawn", "restored")
        if summary[name]
    ]
    parts.append(f"{summary['unchanged']} unchanged")
    parts += [f"{count} held: {reason}" for reason, count in sorted(summary["held"].items())]
    parts.append(f"{summary['failed']} failed")
    hint(f"{summary['company']}: {', '.join(parts)}.")
    for failure in summary["failures"]:
        hint(f"  invoice {failure['id']}: {failure['message']}")
    if summary["error"]:
        hint(f"  {summary['error']}")
