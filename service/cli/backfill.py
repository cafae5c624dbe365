"""`backfill`: import the past of one company, one supplier or all."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from service.cli.console import answer_json, fail, hint, says_what_is_wrong
from service.cli.context import (
    Chosen,
    check_invoice,
    command_services,
    instant,
    meant,
    operator,
    readable,
)
from service.cli.runs import follow, progress_bars, stopped
from service.database.tables import Connection, Invoice, Run, Supplier
from service.domain import RevisionCause, RunState
from service.kit.clock import now
from service.operations import actions
from service.services import Services
from service.store import audit, runs


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
        str | None,
        typer.Option(help="Only the invoice with this QuickBooks Id, which is not its number."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; show what would change and its cost.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One summary a line, on stdout.")] = False,
) -> None:
    """Bring in invoices from the past. A company's backfill under way is joined, not repeated.

    Exit status: 0 when everything is recorded, 1 when something failed or a company had to be
    left out, 2 for bad options.
    """
    if sum((supplier is not None, company is not None, everybody)) != 1:
        raise fail("Name one of --supplier EMAIL, --company REALM or --all.", 2)
    check_invoice(invoice)
    if invoice is not None and since is not None:
        raise fail("--invoice and --since exclude each other.", 2)
    start = instant("--since", since)
    with command_services() as services:
        services.leases.start()
        chosen, left_out = readable(services, supplier, company)
        if invoice is not None:
            summaries = [_one_invoice(services, c, invoice, dry_run) for c in chosen]
        elif dry_run:
            summaries = [_rehearse(services, c, start) for c in chosen]
        else:
            summaries = _run(services, chosen, start)
    if as_json:
        answer_json(summaries)
    else:
        for summary in summaries:
            _explain(summary)
    if left_out or any(summary["failed"] or summary["error"] for summary in summaries):
        raise typer.Exit(1)


def _run(
    services: Services, chosen: Sequence[Chosen], since: datetime | None
) -> list[dict[str, Any]]:
    def begin(session: Session, connection: Connection) -> int:
        return actions.backfill(session, connection.id, since, operator())

    ended = follow(services, chosen, begin)
    return [
        _summary(c, owner, ended[c.id].run.tally, ended[c.id].waits or _error(ended[c.id].run))
        for c, owner in chosen
    ]


def _error(run: Run) -> str | None:
    """Return what is wrong with a run that is no longer waited for."""
    if (why := stopped(run)) is not None:
        return why
    return run.error or (
        "paused by an operator before its end" if run.state == RunState.ACTIVE else None
    )


def _rehearse(services: Services, chosen: Chosen, since: datetime | None) -> dict[str, Any]:
    from workers.company import CompanyContext
    from workers.runs.backfill import estimate, rehearse_backfill

    connection, owner = chosen
    company = CompanyContext.of(services, connection.id)
    cost = estimate(company, since)
    hint(
        f"{connection.company_name}: {cost.invoices} invoices;"
        f" a backfill takes about {cost.reads} reads and {cost.seconds:g} seconds."
    )
    with progress_bars() as progress:
        bar = progress.add_task(
            f"{connection.company_name} (dry run)", total=cost.invoices, note=""
        )
        tally = rehearse_backfill(
            company, since, lambda so_far: progress.update(bar, completed=so_far["read"])
        )
    estimated = {"invoices": cost.invoices, "reads": cost.reads, "seconds": cost.seconds}
    return {**_summary(connection, owner, tally, None), "dry_run": True, "estimate": estimated}


def _one_invoice(services: Services, chosen: Chosen, invoice: str, dry_run: bool) -> dict[str, Any]:
    from workers.company import CompanyContext
    from workers.reading.by_id import CustomerReads, read_invoices
    from workers.recording.outcome import add
    from workers.recording.record import recording, rehearse

    connection, owner = chosen
    company = CompanyContext.of(services, connection.id)
    reads = CustomerReads(company).complete(read_invoices(company, [invoice]))
    if reads.gone and not _was_read(services, company.invoice_id(invoice)):
        why = f"QuickBooks has no invoice with Id {invoice}."
        why += meant(services, [connection.id], invoice)
        return {**_summary(connection, owner, runs.EMPTY_TALLY, why), "dry_run": dry_run}
    if dry_run:
        recorded = rehearse(company, reads)
    else:
        with recording(company, reads, cause=RevisionCause.COMMAND) as (session, recorded):
            details = {"invoice": invoice}
            audit.record(session, operator(), "backfill", connection.id, details, now())
    tally = add(runs.EMPTY_TALLY, recorded)
    return {**_summary(connection, owner, tally, None), "dry_run": dry_run}


def _was_read(services: Services, invoice_id: str) -> bool:
    """Return whether QuickBooks has ever shown us this invoice."""
    with services.database.read() as session:
        known = session.get(Invoice, invoice_id)
    return known is not None and known.mapped is not None


def _summary(
    connection: Connection, owner: Supplier, tally: Mapping[str, Any], error: str | None
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
