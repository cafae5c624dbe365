"""A connected company as its supplier sees it, and the progress of its import."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.database.tables import Connection, Run, Supplier
from service.database.types import waits
from service.domain import ConnectionState, RunState
from service.kit.clock import now
from service.store import approvals, connections, inbox, runs
from service.web.state import AppState
from service.web.templating import row_id

_TOLD_AHEAD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """One run: how much it has read, and the results."""

    state: str  # active | done | failed
    whole: bool
    read: int
    expected: int | None
    held: int
    failed: int
    waiting: bool
    stopped: bool  # at the withdrawal limit, until an operator decides

    @property
    def active(self) -> bool:
        return self.state == RunState.ACTIVE


@dataclass(frozen=True, slots=True)
class CompanyView:
    """A connected company; `unavailable`: QuickBooks is down; `failed`: how many events failed."""

    connection: Connection
    progress: ImportProgress | None
    unavailable: bool
    failed: int

    @property
    def live(self) -> bool:
        return self.connection.state == ConnectionState.CONNECTED

    @property
    def importing(self) -> bool:
        """True while invoices of the past are still to come."""
        return self.live and self.progress is not None and self.progress.active

    @property
    def refused(self) -> bool:
        """True if QuickBooks ended it, not the supplier or an operator."""
        return not self.live and self.connection.problem is not None

    @property
    def ends_at(self) -> datetime | None:
        """When QuickBooks ends the authorisation for good, if that is within 30 days."""
        end = self.connection.hard_expires_at
        return end if end is not None and end <= now() + _TOLD_AHEAD else None


def own_connection(request: Request[AppState], session: Session, supplier: Supplier) -> Connection:
    """Return the connection in the address if it is this supplier's; else answer 404."""
    environment = request.state["services"].settings.quickbooks_environment
    found = connections.own(session, row_id(request), supplier.id, environment)
    if found is None:
        raise HTTPException(404)
    return found


def companies_of(session: Session, connections: Sequence[Connection]) -> list[CompanyView]:
    ids, at = [one.id for one in connections], now()
    progress, failed = progress_of(session, ids), inbox.failed_of_companies(session, ids)
    return [
        CompanyView(
            connection=one,
            progress=progress.get(one.id),
            failed=failed.get(one.id, 0),
            unavailable=one.failures > 0 and waits(one.paused_until, at),
        )
        for one in connections
    ]


def progress_of(session: Session, connection_ids: Collection[str]) -> dict[str, ImportProgress]:
    """Return {company: progress of its newest run}, without companies that never had one."""
    return {i: _progress(run) for i, run in runs.latest_of(session, connection_ids).items()}


def news_of(session: Session, connection: Connection) -> ImportProgress | None:
    """Return the progress of the newest run, unless it ended before the latest consent."""
    run = runs.latest(session, connection.id)
    ended = None if run is None else run.finished_at
    is_old = ended is not None and ended < connection.renewed_at
    return None if run is None or is_old else _progress(run)


def _progress(run: Run) -> ImportProgress:
    tally = run.tally
    return ImportProgress(
        state=run.state,
        whole=run.since is None,
        read=tally.get("read", 0),
        expected=run.expected,
        held=sum(tally.get("held", {}).values()),
        failed=tally.get("failed", 0),
        waiting=run.state == RunState.ACTIVE and run.error is not None,
        stopped=approvals.is_waiting(run),
    )
