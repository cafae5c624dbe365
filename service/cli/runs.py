"""`backfill` and `reconcile`: starts runs, follows them to their end, and says what they did."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeElapsedColumn,
)
from rich.text import Text
from sqlalchemy.orm import Session

from service import wording
from service.cli.console import (
    Limit,
    answer_json,
    fail,
    hint,
    hints,
    one_line,
    says_what_is_wrong,
    show_table,
)
from service.cli.context import (
    ById,
    ByRealm,
    BySupplier,
    Chosen,
    Everybody,
    Json,
    check_invoice,
    command_services,
    instant,
    meant,
    name_of,
    name_one,
    nudge,
    operator,
    readable,
)
from service.cli.exit_status import Exit
from service.cli.what_if import WhatIf, show_changes
from service.database.tables import Connection, Invoice, Run, Supplier, Tally
from service.domain import ConnectionState, DifferenceKind, RevisionCause, RunState
from service.infactor.rules.catalogue import word
from service.kit.clock import now
from service.operations import actions
from service.services import Services
from service.store import audit, connections, runs
from service.wording import format_utc

if TYPE_CHECKING:
    from workers.recording.record import Rehearsed

_POLL_SECONDS = 0.3
_PATIENCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Followed:
    """A run as it was last seen, and until when and why it waits, if it does."""

    run: Run
    waits: str | None


def follow(
    services: Services, chosen: Sequence[Chosen], begin: Callable[[Session, Connection], int]
) -> dict[str, Followed]:
    """Start or join each company's run; return them by connection id when all have ended.

    `begin` returns the id of a company's run. One that waits for an operator or for more than a
    minute, or fails with what will hardly pass soon, is not waited for.
    """
    with services.database.write() as session:
        run_ids = {connection.id: begin(session, connection) for connection, _ in chosen}
    for run_id in run_ids.values():
        nudge(services, partial(services.jobs.run, run_id))
    with progress_bars() as progress:
        bars = {c.id: progress.add_task(name_of(c), total=None, note="") for c, _ in chosen}
        ended: dict[str, Followed] = {}
        while len(ended) < len(run_ids):
            worked = False
            for connection_id, run_id in run_ids.items():
                if connection_id in ended:
                    continue
                worked |= _advance(services, run_id)
                seen, may_go_on = _check(services, run_id)
                _show(progress, bars[connection_id], seen)
                if seen.run.state != RunState.ACTIVE or not may_go_on:
                    ended[connection_id] = seen
            if not worked and len(ended) < len(run_ids):
                time.sleep(_POLL_SECONDS)
    return ended


def _check(services: Services, run_id: int) -> tuple[Followed, bool]:
    """Return the run as it is now, and whether it will go on soon, without an operator."""
    with services.database.read() as session:
        run = runs.get(session, run_id)
        connection = connections.get(session, run.connection_id) if run else None
    if run is None or connection is None:
        raise fail("The run has disappeared from the database.", Exit.ATTENTION)
    readable = connection.state == ConnectionState.CONNECTED and connection.suspended_at is None
    until, why = _wait(run, connection)
    waits = (
        f"waits until {format_utc(until)}: {why}. It continues automatically; to try at once:"
        f" infactor-quickbooks connections retry --connection {connection.id}"
        if until
        else None
    )
    soon = until is None or until <= now() + _PATIENCE
    goes_on = readable and run.halted_at is None and soon and not runs.fails(run)
    return Followed(run, waits), goes_on


def _wait(run: Run, connection: Connection) -> tuple[datetime | None, str | None]:
    """Return until when the run waits, and why; None if it is not waiting."""
    waits = [(connection.paused_until, connection.problem), (run.due_at, run.error)]
    later = [(until, why) for until, why in waits if until is not None and until > now()]
    if run.state != RunState.ACTIVE or run.halted_at is not None or not later:
        return None, None
    return max(later, key=lambda wait: wait[0])


def stopped(run: Run) -> str | None:
    """Return why the run waits for an operator and what to type; None if it does not."""
    if run.state != RunState.ACTIVE or run.halted_at is None:
        return None
    return (
        f"stopped, because {run.error}. `infactor-quickbooks confirm --run {run.id}` lets it go on;"
        " with --drop it ends"
    )


def _advance(services: Services, run_id: int) -> bool:
    """Do the next step here if there are no worker processes; return whether it did."""
    from workers.runs.run import advance

    return services.settings.embedded and advance(services, run_id)


def progress_bars() -> Progress:
    """Return progress bars for a terminal; nothing elsewhere."""
    return Progress(
        _ShownColumn(lambda task: task.description),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        _ShownColumn(lambda task: str(task.fields["note"])),
        console=hints,
        disable=not hints.is_terminal,
        redirect_stdout=False,  # answers go there meanwhile
    )


class _ShownColumn(ProgressColumn):
    """A column of a progress bar that shows one of a task's texts."""

    def __init__(self, text_of: Callable[[Task], str]) -> None:
        self._text_of = text_of
        super().__init__()

    def render(self, task: Task) -> Text:
        """Return the text of this bar."""
        return one_line(self._text_of(task))


def _show(progress: Progress, bar: Any, seen: Followed) -> None:
    run, waiting = seen.run, seen.waits or ""
    if waiting and progress.disable and progress.tasks[bar].fields["note"] != waiting:
        hint(f"{progress.tasks[bar].description}: {waiting}")
    progress.update(bar, total=run.expected, completed=run.tally["read"], note=waiting)


@says_what_is_wrong
def backfill(
    supplier: BySupplier = None,
    company: ByRealm = None,
    everybody: Everybody = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Only what changed in QuickBooks since: 2026-01-31, or with a time.",
        ),
    ] = None,
    invoice: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Only the invoice with this QuickBooks Id, which is not its number."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; show what would change and its cost.")
    ] = False,
    limit: Limit = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One summary a line; before them what a dry run would change."),
    ] = False,
) -> None:
    """Import past invoices. If a backfill of the company is running, you join it.

    Exit status: 1 when something failed, or a company had to be left out.
    """
    name_one({"--supplier EMAIL": supplier, "--company REALM": company, "--all": everybody})
    check_invoice(invoice)
    if invoice is not None and since is not None:
        raise fail("--invoice and --since exclude each other.")
    start = instant("--since", since)
    with command_services() as services:
        services.leases.start()
        chosen, left_out = readable(services, supplier, company)
        changes = WhatIf(services.settings.infactor_currency, limit, as_json=as_json)
        if invoice is not None:
            summaries = [_one_invoice(services, c, invoice, dry_run, changes) for c in chosen]
        elif dry_run:
            summaries = [_rehearse(services, c, start, changes) for c in chosen]
        else:
            summaries = _run(services, chosen, start)
    _answer(summaries, changes if dry_run else None, limit, as_json=as_json)
    if left_out or any(summary["failed"] or summary["error"] for summary in summaries):
        raise typer.Exit(Exit.ATTENTION)


def _answer(
    summaries: Sequence[dict[str, Any]], changes: WhatIf | None, limit: int | None, *, as_json: bool
) -> None:
    """Print what became of each company, after what a rehearsal found."""
    if as_json:
        answer_json(summaries)
    elif changes and changes.found:
        show_changes(changes.found, limit)
    for line in changes.lines() if changes else ():
        hint(line)
    for summary in () if as_json else summaries:
        _explain(summary)


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


def _rehearse(
    services: Services,
    chosen: Chosen,
    since: datetime | None,
    changes: WhatIf,
) -> dict[str, Any]:
    """Return the summary of a rehearsal; `changes` gets what it would change."""
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

        def on_page(so_far: Tally, page: "Rehearsed") -> None:
            progress.update(bar, completed=so_far["read"])
            changes.add(connection, page.reasons, page.named)

        tally = rehearse_backfill(company, since, on_page)
    estimated = {"invoices": cost.invoices, "reads": cost.reads, "seconds": cost.seconds}
    return {**_summary(connection, owner, tally, None), "dry_run": True, "estimate": estimated}


def _one_invoice(
    services: Services,
    chosen: Chosen,
    invoice: str,
    dry_run: bool,
    changes: WhatIf,
) -> dict[str, Any]:
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
        recorded, reasons, named = rehearse(company, reads)
        changes.add(connection, reasons, named)
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
    parts += [f"{count} held: {word(code)}" for code, count in sorted(summary["held"].items())]
    parts.append(f"{summary['failed']} failed")
    hint(f"{summary['company']}: {', '.join(parts)}.")
    for failure in summary["failures"]:
        hint(f"  invoice {failure['id']}: {failure['message']}")
    if summary["error"]:
        hint(f"  {summary['error']}")


_ABOUT_AHEAD = (
    "Where the record is ahead, an answer of QuickBooks' may have been wrong: `reconcile --fix"
    " --overrule` records what it says now"
)


@says_what_is_wrong
def reconcile(
    company: ByRealm = None,
    connection: ById = None,
    everybody: Everybody = False,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Fix what differs, from QuickBooks; else only report."),
    ] = False,
    overrule: Annotated[
        bool,
        typer.Option(
            "--overrule",
            help="With --fix: believe what QuickBooks says now, even where the record looks newer.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare QuickBooks with the record: count, totals, balances, and each invoice's version.

    Then, where invoices are delivered into Infactor's own database, the record with what is there.

    Reads every invoice of the company, 1,000 a read. Once a day the service checks for
    what its events did not tell, which costs one read where nothing changed.

    Exit status: 1 when a difference is left, or a company had to be left out.
    """
    name_one({"--company REALM": company, "--connection ID": connection, "--all": everybody})
    if overrule and not fix:
        raise fail("--overrule fixes, so it needs --fix.")

    def begin(session: Session, chosen: Connection) -> int:
        return actions.reconcile(session, chosen.id, fix, operator(), overrule=overrule)

    with command_services() as services:
        services.leases.start()
        chosen, left_out = readable(services, realm_id=company, connection_id=connection)
        ended = follow(services, chosen, begin)
    summaries = [_reconcile_summary(one, owner, ended[one.id], fix=fix) for one, owner in chosen]
    if as_json:
        answer_json(summaries)
    else:
        for summary in summaries:
            _explain_reconcile(summary)
    if left_out or any(summary["error"] for summary in summaries):
        raise typer.Exit(Exit.ATTENTION)


def _reconcile_summary(
    connection: Connection, owner: Supplier, ended: Followed, *, fix: bool
) -> dict[str, Any]:
    run = ended.run
    return {
        "company": name_of(connection),
        "connection": connection.id,
        "supplier": owner.email,
        "quickbooks": run.tally["there"],
        "recorded": run.tally["here"],
        "differences": run.tally["differences"],
        "fixed": run.tally["fixed"],
        "infactor": run.tally["infactor"],
        "infactor_fixed": run.tally["infactor_fixed"],
        "infactor_compared": run.tally["infactor_compared"],
        "error": ended.waits or _reconcile_error(run),
        "advice": _advice(run, fix),
    }


def _reconcile_error(run: Run) -> str | None:
    if run.state == RunState.DONE:
        return run.error
    return stopped(run) or run.error or "did not end"


def _advice(run: Run, fix: bool) -> str | None:
    if run.error is None or run.state != RunState.DONE:
        return None
    about_unreadable = wording.advice(run.tally)
    ahead = any(one["kind"] == DifferenceKind.AHEAD for one in run.tally["differences"])
    about_ahead = _ABOUT_AHEAD if ahead else None
    # What it could not fix now it will not fix the next time.
    if fix and (about_unreadable or ahead):
        return ". ".join(filter(None, (about_ahead, about_unreadable)))
    parts = ("`reconcile --fix` fixes what can be fixed", about_ahead, about_unreadable)
    return ". ".join(filter(None, parts))


def _explain_reconcile(summary: dict[str, Any]) -> None:
    name = summary["company"]
    if summary["quickbooks"] is None:
        hint(f"{name}: could not be compared: {summary['error']}")
        return
    show_table(
        name,
        ("Where", "Invoices", "Sum of totals", "Sum of balances"),
        (
            (where, f"{sums['count']:,}", f"{sums['total']:,.2f}", f"{sums['balance']:,.2f}")
            for where, sums in (
                ("in QuickBooks", summary["quickbooks"]),
                ("recorded", summary["recorded"]),
            )
        ),
        section=True,
    )
    for title, found in (("Fixed", summary["fixed"]), ("Differs", summary["differences"])):
        if found:
            show_table(
                f"{name}: {title.lower()}",
                ("Id", "Number", "How", "In QuickBooks", "Recorded"),
                ((d["id"], d["number"], d["kind"], d["there"], d["here"]) for d in found),
                section=True,
            )
    if not summary["differences"]:
        hint(f"{name}: the record is what QuickBooks says.")
    _explain_infactor(summary)
    if summary["error"]:
        hint(". ".join(filter(None, (f"{name}: {summary['error']}", summary["advice"]))) + ".")


def _explain_infactor(summary: dict[str, Any]) -> None:
    """Show the comparison with Infactor's documents, if there was one."""
    name = summary["company"]
    for title, found in (
        ("delivered again, or read again from QuickBooks", summary["infactor_fixed"]),
        ("differs in Infactor", summary["infactor"]),
    ):
        if found:
            show_table(
                f"{name}: {title}",
                ("Id", "Number", "How", "In Infactor", "Delivered"),
                ((d["id"], d["number"], d["kind"], d["there"], d["here"]) for d in found),
                section=True,
            )
    if summary["infactor_compared"] is not None and not summary["infactor"]:
        hint(f"{name}: Infactor has what was delivered.")
