"""Backfill: every invoice of a company, oldest change first, one checkpointed page at a time.

A page, its checkpoint and its count are one transaction, so that a kill repeats at most the page
that it interrupted. One call works on one page: a long backfill shares its worker with everybody.
"""

from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from service.bootstrap import Services
from service.errors import Barred, Disconnected, PermanentError, SyncError, Throttled
from service.quickbooks import statements
from service.store import connections, invoices, runs
from service.store.tables import Run
from service.times import now
from workers.changes import Cursor, read_page
from workers.company import Company
from workers.customers import CustomerReads
from workers.failures import is_hopeless, pause_for, why
from workers.reading import read_invoices
from workers.record import record
from workers.tally import Recorded, add

log = structlog.get_logger(__name__)

_MOST_ROUNDS = 3
_MOST_UNSEEN = 500


def run_backfill(services: Services, run_id: int) -> None:
    """Work on the run's next page, and ask for the one after it."""
    if advance(services, run_id):
        services.jobs.backfill(run_id)


def advance(services: Services, run_id: int) -> bool:
    """Work on the run's next page unless somebody else does; return whether to go on at once."""
    with services.leases.hold(f"run:{run_id}") as mine:
        if not mine:
            return False
        environment = services.settings.quickbooks_environment
        with services.database.write() as session:
            run, lost = runs.claim(session, run_id, environment, now())
        if run is None:
            return False
        try:
            if lost:
                raise PermanentError("the worker died each time that it worked on this page")
            return _page(Company.of(services, run.connection_id), run)
        except Disconnected as e:
            _wait_for_supplier(services, run, e)
        except SyncError as e:
            # Whoever lets us in again can begin another run; nobody should wait for this one.
            if isinstance(e, Barred) or is_hopeless(e, run.created_at, run.attempts + 1, now()):
                _fail(services, run, e)
            else:
                _pause(services, run, e)
        return False


def _page(company: Company, run: Run) -> bool:
    """Read and record one page, or end the run after its last one; return whether it goes on."""
    if run.expected is None:
        expected = company.api.count(statements.count("Invoice", run.since))
        with company.services.database.write() as session:
            runs.start(session, run, expected, now())
    cursor = Cursor.from_json(run.cursor) if run.cursor else Cursor(run.since)
    if cursor.done:
        _find_deletions(company, run)
        return _compare(company, run, cursor)
    page = read_page(company, cursor)
    buyers = CustomerReads(company)
    if run.cursor is None and run.since is None and page.reads.found:
        # A full backfill needs nearly all customers: one read brings what pages of them would.
        buyers.read_first_page()

    def finish(session: Session, recorded: Recorded) -> None:
        runs.checkpoint(session, run, page.cursor.as_json(), add(run.tally, recorded))
        if run.since is None:
            runs.mark_seen(session, run.id, recorded.outcomes.keys() | recorded.failed.keys())
        connections.synced(session, company.connection_id, now())

    record(company, page.reads, cause="backfill", finish=finish, buyers=buyers)
    log.info("backfill.page", run=run.id, invoices=len(page.reads.found))
    return True


def _find_deletions(company: Company, run: Run) -> None:
    """Read by itself what a run over everything has not met: deleted in QuickBooks, or newer.

    So many that it cannot be a day's work are left to the comparison, which names the difference.
    """
    if run.since is not None:
        return
    with company.services.database.read() as session:
        unseen = runs.unseen(session, run, _MOST_UNSEEN + 1)
    if not unseen or len(unseen) > _MOST_UNSEEN:
        return
    reads = read_invoices(company, unseen)

    def finish(session: Session, recorded: Recorded) -> None:
        runs.mark_seen(session, run.id, unseen)

    recorded = record(company, reads, cause="backfill", finish=finish)
    log.info("backfill.unseen", run=run.id, read=len(unseen), gone=len(reads.gone))
    run.tally = add(run.tally, recorded)


def _compare(company: Company, run: Run, cursor: Cursor) -> bool:
    """End the run if QuickBooks counts as many invoices as are recorded; else read on, for a while.

    Whatever changed while the run was under way can make the two differ for a moment.
    """
    counted = company.api.count(statements.count("Invoice", run.since))
    with company.services.database.write() as session:
        recorded = invoices.count_recorded(session, company.connection_id, run.since)
        tally = {**run.tally, "counted": counted, "recorded": recorded}
        difference = _difference(counted, recorded, tally["failed"])
        if difference and tally["rounds"] < _MOST_ROUNDS:
            again = replace(cursor, done=False)
            tally["rounds"] += 1
            runs.checkpoint(session, run, again.as_json(), tally)
            return True
        if not runs.finish(session, run, "done", tally, difference, now()):
            return True  # somebody asked for more meanwhile
        _move_watermark(session, company.connection_id, run, cursor.since)
    log.info("backfill.ended", run=run.id, counted=counted, recorded=recorded)
    return False


def _difference(counted: int, recorded: int, failed: int) -> str | None:
    """Say how QuickBooks' count and the record differ; what failed may be recorded or not."""
    if counted > recorded + failed:
        return f"QuickBooks counts {counted} invoices, but only {recorded} are recorded here"
    if recorded > counted:
        return (
            f"QuickBooks counts {counted} invoices, but {recorded} are recorded here:"
            f" {recorded - counted} may have been deleted there"
        )
    return None


def _move_watermark(session: Session, connection_id: str, run: Run, until: datetime | None) -> None:
    """Let later queries for changes begin where this run ended, if it left no gap before it."""
    connection = connections.get(session, connection_id)
    if until is None or connection is None:
        return
    if run.since is None or run.since <= connection.changes_read_until:
        connections.changes_read(session, connection_id, until)


def _pause(services: Services, run: Run, error: SyncError) -> None:
    wait = pause_for(error, run.attempts)
    with services.database.write() as session:
        if isinstance(error, Throttled):
            connections.pause(session, run.connection_id, now() + wait, str(error))
        runs.postpone(session, run.id, now() + wait, _text(error))
    log.warning("backfill.postponed", run=run.id, seconds=int(wait.total_seconds()), **why(error))


def _wait_for_supplier(services: Services, run: Run, error: Disconnected) -> None:
    with services.database.write() as session:
        runs.postpone(session, run.id, now(), _text(error))


def _fail(services: Services, run: Run, error: SyncError) -> None:
    with services.database.write() as session:
        runs.finish(session, run, "failed", run.tally, _text(error), now())
    log.warning("backfill.failed", run=run.id, **why(error))


def _text(error: SyncError) -> str:
    trace = f" (intuit_tid {error.intuit_tid})" if error.intuit_tid else ""
    return f"{error}{trace}"
