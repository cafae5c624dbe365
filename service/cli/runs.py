"""Starts runs for a command, and follows them to their end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

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

from service.cli.console import fail, hint, hints, one_line
from service.cli.context import Chosen, name_of, nudge
from service.database.tables import Connection, Run
from service.domain import ConnectionState, RunState
from service.kit.clock import now
from service.services import Services
from service.store import connections, runs
from service.wording import format_utc

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
                seen, may_go_on = _look(services, run_id)
                _show(progress, bars[connection_id], seen)
                if seen.run.state != RunState.ACTIVE or not may_go_on:
                    ended[connection_id] = seen
            if not worked and len(ended) < len(run_ids):
                time.sleep(_POLL_SECONDS)
    return ended


def _look(services: Services, run_id: int) -> tuple[Followed, bool]:
    """Return the run as it is now, and whether it will go on soon, without an operator."""
    with services.database.read() as session:
        run = runs.get(session, run_id)
        connection = connections.get(session, run.connection_id) if run else None
    if run is None or connection is None:
        raise fail("The run has disappeared from the database.")
    readable = connection.state == ConnectionState.CONNECTED and connection.suspended_at is None
    until, why = _wait(run, connection)
    waits = (
        f"waits until {format_utc(until)}: {why}. It goes on by itself; to try at once:"
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
