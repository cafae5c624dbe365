"""Withdrawals that notices asked for beyond the limit, and that an operator has approved.

QuickBooks is asked once more: what it does not say any more is not withdrawn.
"""

import structlog

from service.database.tables import Run
from service.domain import RevisionCause, RunState
from service.kit.clock import now
from service.store import runs
from workers.company import CompanyContext, note_success
from workers.reading.by_id import MAX_IDS, read_invoices
from workers.reading.customers import CustomerReads
from workers.recording.outcome import add
from workers.recording.record import keep_failures, recording

log = structlog.get_logger(__name__)


def step(company: CompanyContext, run: Run) -> bool:
    """Read and record the next of its invoices, and end the run after the last ones."""
    wanted = runs.invoices_of(run)
    reads = CustomerReads(company).complete(read_invoices(company, wanted[:MAX_IDS]))
    left = wanted[MAX_IDS:]
    with recording(company, reads, cause=RevisionCause.NOTICE, run=run) as (session, recorded):
        tally = add(run.tally, recorded)
        keep_failures(session, company.connection_id, recorded)
        note_success(session, company.connection_id)
        if left:
            runs.checkpoint(session, run, {"invoices": left}, tally)
        else:
            runs.finish(session, run, RunState.DONE, tally, None, now())
    log.info("withdrawal.read", run=run.id, invoices=len(wanted) - len(left))
    return bool(left)
