"""Starts runs for a command, and follows them to their end."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.orm import Session

from service.cli.console import fail, hint, hints
from service.cli.context import Chosen, name_of, nudge
from service.database.tables import Connection, Run
from service.domain import ConnectionState, RunState
from service.services import Services
from service.store import connections, runs

_POLL_SECONDS = 0.3


def follow(
    services: Services, chosen: Sequence[Chosen], begin: Callable[[Session, Connection], int]
) -> dict[str, Run]:
    """Start or join each company's run; return them by connection id when all have ended.

    `begin` returns the id of a company's run. One that waits for an operator, or fails with what
    will hardly pass soon, is not waited for.
    """
    with services.database.write() as session:
        run_ids = {connection.id: begin(session, connection) for connection, _ in chosen}
    for run_id in run_ids.values():
        nudge(services, partial(services.jobs.run, run_id))
    with progress_bars() as progress:
        bars = {c.id: progress.add_task(name_of(c), total=None, note="") for c, _ in chosen}
        ended: dict[str, Run] = {}
        while len(ended) < len(run_ids):
            worked = False
            for connection_id, run_id in run_ids.items():
                if connection_id in ended:
                    continue
                worked |= _advance(services, run_id)
                run, may_go_on = _look(services, run_id)
                _show(progress, bars[connection_id], run)
                if run.state != RunState.ACTIVE or not may_go_on:
                    ended[connection_id] = run
            if not worked and len(ended) < len(run_ids):
                time.sleep(_POLL_SECONDS)
    return ended


def _look(services: Services, run_id: int) -> tuple[Run, bool]:
    """Return the run as it is now, and whether it can go on soon without an operator."""
    with services.database.read() as session:
        run = runs.get(session, run_id)
        connection = connections.get(session, run.connection_id) if run else None
    if run is None or connection is None:
        raise fail("The run has disappeared from the database.")
    readable = connection.state == ConnectionState.CONNECTED and connection.suspended_at is None
    return run, readable and run.halted_at is None and not runs.fails(run)


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
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=hints,
        disable=not hints.is_terminal,
    )


def _show(progress: Progress, bar: Any, run: Run) -> None:
    waits = run.error and run.state == RunState.ACTIVE and run.halted_at is None
    waiting = f"waiting: {run.error}" if waits else ""
    if waiting and progress.disable and progress.tasks[bar].fields["note"] != waiting:
        hint(waiting)
    progress.update(bar, total=run.expected, completed=run.tally["read"], note=waiting)
