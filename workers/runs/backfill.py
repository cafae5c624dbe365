"""Backfill: reads every invoice of a company, oldest change first, a checkpointed page a step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from service.database.tables import DifferenceRow, ReconcileCursor, Run, Tally
from service.domain import RevisionCause, RunCause, RunState
from service.kit.clock import now
from service.quickbooks import queries
from service.store import connections, invoices, judging_queue, runs, watermarks
from workers.company import CompanyContext, note_success
from workers.delivery.circuit import InfactorUnavailable
from workers.reading.by_change import Cursor, read_page
from workers.reading.by_id import CustomerReads, read_invoices
from workers.recording.outcome import add
from workers.recording.record import Rehearsed, keep_failures, recording, rehearse
from workers.runs import unrecorded

log = structlog.get_logger(__name__)

# For 1,000 invoices: QuickBooks' answer, and recording them.
_SECONDS_PER_PAGE = 3.0
_MOST_ROUNDS = 3
_MOST_UNSEEN = 500


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of a backfill: invoices, metered reads, seconds."""

    invoices: int
    reads: int
    seconds: float


def estimate(company: CompanyContext, since: datetime | None) -> Estimate:
    """Return the cost of a backfill; itself costs one read."""
    count = company.api.count(queries.count("Invoice", since))
    # Pages overlap by the invoices of one second; two counts, and a page of customers.
    pages = count // (queries.PAGE - 10) + 1
    return Estimate(count, reads=pages + 3, seconds=round(pages * _SECONDS_PER_PAGE, 1))


def rehearse_backfill(
    company: CompanyContext, since: datetime | None, on_page: Callable[[Tally, Rehearsed], None]
) -> Tally:
    """Return the tally that a backfill would have.

    Calls `on_page` after each page, with the tally so far and what the page would lead to.
    """
    tally = runs.EMPTY_TALLY
    cursor = Cursor(since)
    customers = CustomerReads(company)
    while not cursor.done:
        page = read_page(company, cursor)
        if cursor.since is None and page.reads.found:
            customers.read_first_page()
        rehearsed = rehearse(company, customers.complete(page.reads))
        tally = add(tally, rehearsed.recorded)
        on_page(tally, rehearsed)
        cursor = page.cursor
    return tally


def step(company: CompanyContext, run: Run) -> bool:
    """Read and record one page, or finish after the last one; return whether the run goes on."""
    if run.expected is None:
        expected = company.api.count(queries.count("Invoice", run.since))
        with company.services.database.write() as session:
            runs.start(session, run, expected, now())
    kept = runs.page_of(run)
    cursor = Cursor.from_json(kept) if kept else Cursor(run.since)
    if cursor.done:
        _find_deletions(company, run, cursor)
        return _compare(company, run, cursor)
    page = read_page(company, cursor)
    customers = CustomerReads(company)
    if kept is None and run.since is None and page.reads.found:
        # A full backfill needs nearly all customers: one query instead of some for each page.
        customers.read_first_page()
    reads = customers.complete(page.reads)
    with recording(company, reads, cause=RevisionCause.BACKFILL, run=run) as (session, recorded):
        runs.checkpoint(session, run, page.cursor.as_json(), add(run.tally, recorded))
        keep_failures(session, company.connection_id, recorded)
        if run.since is None:
            runs.mark_seen(session, run.id, recorded.answered)
        note_success(session, company.connection_id)
    log.info("backfill.page", run=run.id, invoices=len(page.reads.found))
    return True


def _find_deletions(company: CompanyContext, run: Run, cursor: Cursor) -> None:
    """Read each invoice that a full run has not met; leave more than 500 to the comparison."""
    if run.since is not None:
        return
    with company.services.database.read() as session:
        unseen = runs.unseen(session, run, _MOST_UNSEEN + 1)
    if not unseen or len(unseen) > _MOST_UNSEEN:
        return
    reads = CustomerReads(company).complete(read_invoices(company, unseen))
    with recording(company, reads, cause=RevisionCause.BACKFILL, run=run) as (session, recorded):
        runs.mark_seen(session, run.id, unseen)
        # Stored at once: withdrawals count for the limit, whatever happens to this step.
        run.tally = add(run.tally, recorded)
        runs.checkpoint(session, run, cursor.as_json(), run.tally)
    log.info("backfill.unseen", run=run.id, read=len(unseen), gone=len(reads.gone))


def _compare(company: CompanyContext, run: Run, cursor: Cursor) -> bool:
    """End the run if QuickBooks counts as many invoices as are recorded; else read on, three times.

    Changes during the run can explain a difference for a moment. One that stays begins a full
    reconcile, which names or fixes it.
    """
    counted = company.api.count(queries.count("Invoice", run.since))
    left_behind: Sequence[DifferenceRow] | None = None
    if run.tally["rounds"] >= _MOST_ROUNDS or _agrees(company, run, counted):
        left_behind = _left_behind(company, run)
    with company.services.database.write() as session:
        recorded = invoices.count_recorded(session, company.connection_id, run.since)
        tally: Tally = {**run.tally, "counted": counted, "recorded": recorded}
        difference = _difference(counted, recorded, tally["failed"])
        if difference and tally["rounds"] < _MOST_ROUNDS:
            again = cursor.once_more()
            tally["rounds"] += 1
            runs.checkpoint(session, run, again.as_json(), tally)
            return True
        if left_behind is None:  # only now they agree
            return True
        if not runs.finish(session, run, RunState.DONE, tally, difference, now()):
            return True  # somebody asked for more meanwhile
        unrecorded.ask_for(session, company.connection_id, left_behind)
        _move_watermark(session, company.connection_id, run, cursor.since)
        if run.since is None and not difference:
            company.prove(session, run.fetch_number)
        # While it ran, much was missing that the rules ask about.
        judging_queue.ask_for_all(session, company.connection_id)
        if difference and run.since is None:
            order: ReconcileCursor = {"full": True, "fix": True}
            runs.begin_reconcile(session, run.connection_id, RunCause(run.cause), order, now())
    log.info("backfill.ended", run=run.id, counted=counted, recorded=recorded)
    return False


def _agrees(company: CompanyContext, run: Run, counted: int) -> bool:
    """Return whether as many are recorded now, so that the run is about to end."""
    with company.services.database.read() as session:
        recorded = invoices.count_recorded(session, company.connection_id, run.since)
    return _difference(counted, recorded, run.tally["failed"]) is None


def _left_behind(company: CompanyContext, run: Run) -> Sequence[DifferenceRow]:
    """Return what Infactor has of the company and a full run did not record."""
    if run.since is not None or company.services.infactor is None:
        return ()
    try:
        return unrecorded.find(company)
    except InfactorUnavailable as e:
        log.warning("backfill.infactor_not_asked", run=run.id, why=str(e))
        return ()


def _difference(counted: int, recorded: int, failed: int) -> str | None:
    """Describe how QuickBooks' count and the record differ; failed invoices may be in either."""
    if counted > recorded + failed:
        return f"QuickBooks counts {counted} invoices, but only {recorded} are recorded here"
    if recorded > counted:
        return (
            f"QuickBooks counts {counted} invoices, but {recorded} are recorded here:"
            f" {recorded - counted} may have been deleted there"
        )
    return None


def _move_watermark(session: Session, connection_id: str, run: Run, until: datetime | None) -> None:
    """Move the watermark to the end of this run, unless the run began after it and left a gap."""
    connection = connections.get(session, connection_id)
    if until is None or connection is None:
        return
    if run.since is None or run.since <= connection.changes_read_until:
        watermarks.changes_read(session, connection_id, until)
