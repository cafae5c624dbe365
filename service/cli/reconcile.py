"""`reconcile`: compares the record with QuickBooks and Infactor, and shows what differs."""

from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from service import wording
from service.cli.console import answer_json, fail, hint, says_what_is_wrong, show_table
from service.cli.context import ById, ByRealm, Json, command_services, name_of, operator, readable
from service.cli.runs import Followed, follow, stopped
from service.database.tables import Connection, Run, Supplier
from service.domain import DifferenceKind, RunState
from service.operations import actions

_ABOUT_AHEAD = (
    "Where the record is ahead, an answer of QuickBooks' may have been wrong: `reconcile --fix"
    " --overrule` records what it says now"
)


@says_what_is_wrong
def reconcile(
    company: ByRealm = None,
    connection: ById = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every connected company.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what differs, from QuickBooks; else only look.")
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

    Reads every invoice of the company, 1,000 a read. Once a day the service looks by itself for
    what its notices did not tell, which costs one read where nothing changed.

    Exit status: 0 when nothing differs, or everything was mended; 1 when a difference is left, or
    a company had to be left out; 2 for bad options.
    """
    if sum((company is not None, connection is not None, everybody)) != 1:
        raise fail("Name one of --company REALM, --connection ID or --all.", 2)
    if overrule and not fix:
        raise fail("--overrule mends, so it needs --fix.", 2)

    def begin(session: Session, chosen: Connection) -> int:
        return actions.reconcile(session, chosen.id, fix, operator(), overrule=overrule)

    with command_services() as services:
        services.leases.start()
        chosen, left_out = readable(services, realm_id=company, connection_id=connection)
        ended = follow(services, chosen, begin)
    summaries = [_summary(one, owner, ended[one.id], fix=fix) for one, owner in chosen]
    if as_json:
        answer_json(summaries)
    else:
        for summary in summaries:
            _explain(summary)
    if left_out or any(summary["error"] for summary in summaries):
        raise typer.Exit(1)


def _summary(
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
        "mended": run.tally["mended"],
        "infactor": run.tally["infactor"],
        "infactor_mended": run.tally["infactor_mended"],
        "infactor_compared": run.tally["infactor_compared"],
        "error": ended.waits or _error(run),
        "advice": _advice(run, fix),
    }


def _error(run: Run) -> str | None:
    if run.state == RunState.DONE:
        return run.error
    return stopped(run) or run.error or "did not end"


def _advice(run: Run, fix: bool) -> str | None:
    if run.error is None or run.state != RunState.DONE:
        return None
    about_unreadable = wording.advice(run.tally)
    ahead = any(one["kind"] == DifferenceKind.AHEAD for one in run.tally["differences"])
    about_ahead = _ABOUT_AHEAD if ahead else None
    # What it could not mend now it will not mend the next time.
    if fix and (about_unreadable or ahead):
        return ". ".join(filter(None, (about_ahead, about_unreadable)))
    parts = ("`reconcile --fix` mends what can be mended", about_ahead, about_unreadable)
    return ". ".join(filter(None, parts))


def _explain(summary: dict[str, Any]) -> None:
    name = summary["company"]
    if summary["quickbooks"] is None:
        hint(f"{name}: could not be compared: {summary['error']}")
        return
    show_table(
        name,
        ("", "Invoices", "Sum of totals", "Sum of balances"),
        (
            (where, f"{sums['count']:,}", f"{sums['total']:,.2f}", f"{sums['balance']:,.2f}")
            for where, sums in (
                ("in QuickBooks", summary["quickbooks"]),
                ("recorded", summary["recorded"]),
            )
        ),
    )
    for title, found in (("Mended", summary["mended"]), ("Differs", summary["differences"])):
        if found:
            show_table(
                f"{name}: {title.lower()}",
                ("Id", "Number", "How", "In QuickBooks", "Recorded"),
                ((d["id"], d["number"], d["kind"], d["there"], d["here"]) for d in found),
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
        ("delivered to Infactor again", summary["infactor_mended"]),
        ("differs in Infactor", summary["infactor"]),
    ):
        if found:
            show_table(
                f"{name}: {title}",
                ("Id", "Number", "How", "In Infactor", "Delivered"),
                ((d["id"], d["number"], d["kind"], d["there"], d["here"]) for d in found),
            )
    if summary["infactor_compared"] is not None and not summary["infactor"]:
        hint(f"{name}: Infactor has what was delivered.")
