"""`confirm`: decide about a run that stopped at the withdrawal limit."""

from functools import partial
from typing import Annotated, Any

import typer

from service.cli.console import answer, answer_json, fail, hint, says_what_is_wrong, utc_cell
from service.cli.context import (
    Json,
    an_id,
    command_services,
    find,
    name_of,
    nudge,
    operator,
)
from service.database.tables import Connection, Run
from service.domain import ConnectionState, RunKind, RunState
from service.operations import actions
from service.services import Services
from service.store import approvals, connections, runs


@says_what_is_wrong
def confirm(
    run: Annotated[
        int, typer.Option(metavar="ID", parser=an_id, help="The run's id, as `status` shows it.")
    ],
    reject: Annotated[
        bool, typer.Option("--drop", help="End the run instead, and withdraw nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show why it stopped; decide nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Resume a run that stopped because it would withdraw many invoices.

    That is a backfill, a reconcile, or a withdrawal: what events would withdraw within an hour.
    """
    with command_services() as services:
        connection = _company_of(services, run)
        with services.database.write() as session:
            connections.lock(session, connection.id)
            found = _waiting(approvals.lock(session, run), run)
            stopped, row = _stopped(connection, found), _row(connection, found)
            if not dry_run:
                actions.decide(session, found, operator(), reject=reject)
        if not (dry_run or reject):
            nudge(services, partial(services.jobs.run, run))
        if as_json:
            decision = None if dry_run else "dropped" if reject else "confirmed"
            answer_json([{**row, "decision": decision}])
            return
        answer(stopped)
        if dry_run:
            return
        if reject:
            _say_rejected(found)
        else:
            _say_approved(connection)


def _company_of(services: Services, run_id: int) -> Connection:
    """Return the run's company; runs of another environment count as unknown."""
    with services.database.read() as session:
        run = runs.get(session, run_id)
    found = find(services, connection_id=run.connection_id) if run else []
    if not found:
        raise _unknown(run_id)
    return found[0][0]


def _unknown(run_id: int) -> typer.Exit:
    return fail(f"There is no run {run_id}. `infactor-quickbooks status` names those that wait.")


def _waiting(run: Run | None, run_id: int) -> Run:
    """Return the run if it waits for an operator; else exit with the reason."""
    if run is None:
        raise _unknown(run_id)
    if run.state != RunState.ACTIVE:
        raise fail(f"Run {run_id} has ended ({run.state}): there is nothing to decide.")
    if run.halted_at is None and run.confirmed:
        raise fail(f"Run {run_id} is confirmed already and continues.")
    if run.halted_at is None:
        raise fail(f"Run {run_id} has not stopped: it continues.")
    return run


def _stopped(connection: Connection, run: Run) -> str:
    when = utc_cell(run.halted_at)
    return f"{name_of(connection)}: the {run.kind} stopped {when}: {run.error}."


def _row(connection: Connection, run: Run) -> dict[str, Any]:
    return {
        "run": run.id,
        "kind": run.kind,
        "connection": connection.id,
        "company": name_of(connection),
        "stopped_at": run.halted_at,
        "why": run.error,
    }


def _say_rejected(run: Run) -> None:
    withdrawn = run.tally["withdrawn"]
    answer(f"Ended. It has withdrawn {withdrawn or 'nothing'}{' before' if withdrawn else ''}.")
    if run.kind == RunKind.RECONCILE:
        hint("The next reconcile looks again in a day.")
    hint(
        "Events go on, up to the same limit. Where QuickBooks is right after all, begin"
        f" anew with `infactor-quickbooks reconcile --connection {run.connection_id} --fix`."
    )


def _say_approved(connection: Connection) -> None:
    if connection.state != ConnectionState.CONNECTED or connection.suspended_at is not None:
        answer("Confirmed. It goes on once the company is connected and not paused.")
    else:
        answer("Confirmed. It continues within seconds where workers run.")
    hint(
        "It asks QuickBooks again and is not stopped any more, however much that is. What it"
        " withdraws is restored when the reason goes away."
    )
