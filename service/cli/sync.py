"""`sync`: reads what changed in QuickBooks, now."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import typer

from service.cli.console import answer, answer_json, says_what_is_wrong
from service.cli.context import (
    ByRealm,
    BySupplier,
    Chosen,
    Everybody,
    Json,
    command_services,
    name_of,
    name_one,
    nudge,
    operator,
    readable,
)
from service.cli.exit_status import Exit
from service.database.engine import after_commit
from service.database.tables import Connection, Notice, Run
from service.database.types import waits
from service.domain import ConnectionState, NoticeStatus
from service.kit.clock import now
from service.operations import actions
from service.services import Services
from service.store import approvals
from service.wording import format_utc

_POLL_SECONDS = 0.3
_PATIENCE_SECONDS = 120.0

_NOT_TAKEN = (
    "no worker has picked this up; `infactor-quickbooks status` says whether a worker and Redis run"
)

Ended = tuple[str | None, str | None]
"""The result of a company's event, and its error; one of them is None."""


@says_what_is_wrong
def sync(
    supplier: BySupplier = None,
    company: ByRealm = None,
    everybody: Everybody = False,
    as_json: Json = False,
) -> None:
    """Read every change since the last sync now, and process waiting events.

    Exit status: 1 when a company could not be read or had to be left out; what was asked for is
    then retried automatically.
    """
    name_one({"--supplier EMAIL": supplier, "--company REALM": company, "--all": everybody})
    with command_services() as services:
        services.leases.start()
        companies, left_out = readable(services, supplier, company)
        asked, stopped = _ask(services, companies)
        rows = [
            _row(one, owner.email, *(stopped.get(one.id) or _outcome(services, asked[one.id])))
            for one, owner in companies
        ]
    if as_json:
        answer_json(rows)
    else:
        for row in rows:
            answer(f"{row['company']}: {row['error'] or row['outcome']}.")
    if left_out or any(row["error"] for row in rows):
        raise typer.Exit(Exit.ATTENTION)


def _ask(
    services: Services, companies: Sequence[Chosen]
) -> tuple[dict[str, int], dict[str, Ended]]:
    """Start the syncs; return ({company: notice id}, {company: why it is left out})."""
    asked = {}
    with services.database.write() as session:
        waiting = approvals.waiting(session, [connection.id for connection, _ in companies])
        for connection, _ in companies:
            if connection.id not in waiting:
                asked[connection.id] = actions.sync(session, connection.id, operator())
                send = partial(services.jobs.sync, connection.id)
                after_commit(session, nudge, services, send)
    return asked, {connection_id: (None, _stopped(run)) for connection_id, run in waiting.items()}


def _stopped(run: Run) -> str:
    return (
        f"left out, as {run.kind} {run.id} has stopped and waits for a decision;"
        f" see `infactor-quickbooks confirm --run {run.id} --dry-run`"
    )


def _outcome(services: Services, notice_id: int) -> Ended:
    """Wait for the notice; return (its result, its error)."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with services.database.read() as session:
            notice = session.get_one(Notice, notice_id)
            connection = session.get_one(Connection, notice.connection_id)
        if notice.status == NoticeStatus.DONE:
            return notice.reason, None
        if error := _failure(notice, connection):
            return None, error
        if time.monotonic() > deadline:
            return None, _NOT_TAKEN
        if services.settings.embedded:
            _work(services, connection.id)
        time.sleep(_POLL_SECONDS)


def _failure(notice: Notice, connection: Connection) -> str | None:
    """Return why to stop waiting for the notice, if so."""
    if notice.status == NoticeStatus.FAILED:
        return notice.error_message or notice.reason
    if connection.state != ConnectionState.CONNECTED:
        return "it was disconnected meanwhile"
    if connection.suspended_at is not None:
        return "it was paused meanwhile"
    if connection.paused_until is not None and waits(connection.paused_until, now()):
        return (
            f"backing off until {format_utc(connection.paused_until)}:"
            f" {connection.problem}; to try at once: infactor-quickbooks connections retry"
            f" --connection {connection.id}"
        )
    return notice.error_message


def _work(services: Services, connection_id: str) -> None:
    """Sync here, for when there are no worker processes."""
    from workers.sync import sync_company

    sync_company(services, connection_id)


def _row(
    connection: Connection, email: str, outcome: str | None, error: str | None
) -> dict[str, Any]:
    return {
        "connection": connection.id,
        "company": name_of(connection),
        "supplier": email,
        "outcome": outcome,
        "error": error,
    }
