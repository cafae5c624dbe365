"""Does one step of a backfill or reconcile at a time, because all companies share the workers.

A step, its checkpoint and its tally are one transaction: a kill repeats at most one step.
"""

from collections.abc import Callable
from functools import partial

import structlog
from dramatiq.middleware import TimeLimitExceeded

from service.company_access import Purpose
from service.database.tables import Run
from service.domain import RevisionCause, RunKind, RunState
from service.errors import (
    ApprovalNeeded,
    Barred,
    BudgetSpent,
    Disconnected,
    SyncError,
    Throttled,
    Unforeseen,
)
from service.jobs import RUN
from service.kit.clock import now
from service.services import Services
from service.store import approvals, connections, runs
from workers.company import CompanyContext, note_outage, note_success
from workers.reading.by_id import MAX_IDS, CustomerReads, read_invoices
from workers.recording.outcome import add
from workers.recording.record import keep_failures, recording
from workers.retry import failure_of, insist, pause_of_run, why
from workers.runs import backfill, reconcile

log = structlog.get_logger(__name__)


def _withdraw(company: CompanyContext, run: Run) -> bool:
    """Read and record the next invoices whose withdrawal an operator approved; end after the last.

    Notices asked for more of them than the limit lets through. QuickBooks is asked once more: what
    it does not say any more is not withdrawn.
    """
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


Step = Callable[[CompanyContext, Run], bool]
# For each kind: what its reads are for, and its step, which returns whether the run goes on.
_KINDS: dict[RunKind, tuple[Purpose, Step]] = {
    RunKind.BACKFILL: ("backfill", backfill.step),
    RunKind.RECONCILE: ("reconcile", reconcile.step),
    RunKind.WITHDRAWAL: ("notice", _withdraw),
}
_DIED = "the worker died each time that it worked on this step"


def connection_of(services: Services, run_id: int) -> str | None:
    """Return the connection whose company the run is about."""
    with services.database.read() as session:
        run = runs.get(session, run_id)
    return None if run is None else run.connection_id


def work_on_run(services: Services, run_id: int) -> None:
    """Do the run's next step, and ask for the one after it, which the sweep does otherwise."""
    if advance(services, run_id):
        services.jobs.attempt(partial(services.jobs.run, run_id), RUN)


def advance(services: Services, run_id: int) -> bool:
    """Do the run's next step unless another process does; return whether to go on at once.

    A run ends when it is done or an operator ends it. A failing one is retried from its checkpoint,
    with growing pauses, for as long as its company is connected.
    """
    with services.leases.hold(f"run:{run_id}") as mine:
        if not mine:
            return False
        environment = services.settings.quickbooks_environment
        with services.database.write() as session:
            run, lost = runs.claim(session, run_id, environment, services.leases.owner, now())
        if run is None:
            return False
        if lost:
            _pause(services, run, Unforeseen(_DIED))
            return False
        try:
            purpose, step = _KINDS[RunKind(run.kind)]
            return step(CompanyContext.of(services, run.connection_id, purpose), run)
        except Disconnected as e:
            _wait_for_supplier(services, run, e)
        except ApprovalNeeded as e:
            return not _await_approval(services, run, e)
        except SyncError as e:
            _pause(services, run, e)
        except (Exception, TimeLimitExceeded) as e:
            insist(partial(_pause, services, run, failure_of(e)))
            raise
        return False


def _pause(services: Services, run: Run, error: SyncError) -> None:
    with services.database.read() as session:
        failures = connections.failures(session, run.connection_id)
    wait = pause_of_run(error, max(run.attempts, failures))
    waits_its_turn = isinstance(error, Throttled | BudgetSpent)
    with services.database.write() as session:
        if isinstance(error, Throttled):
            connections.throttle(session, run.connection_id, now() + wait, str(error), now())
        elif isinstance(error, Barred):
            connections.bar(session, run.connection_id, now() + wait, str(error), now())
        note_outage(session, run.connection_id, error)
        runs.postpone(
            session,
            run.id,
            now() + wait,
            _text(error),
            error_class=type(error).__name__,
            failing=None if waits_its_turn else now(),
        )
    log.warning(
        "run.postponed", run=run.id, kind=run.kind, seconds=int(wait.total_seconds()), **why(error)
    )


def _wait_for_supplier(services: Services, run: Run, error: Disconnected) -> None:
    with services.database.write() as session:
        runs.postpone(session, run.id, now(), _text(error))


def _await_approval(services: Services, run: Run, error: ApprovalNeeded) -> bool:
    """Make the run wait for an operator; return False if it was extended meanwhile."""
    with services.database.write() as session:
        stopped = approvals.await_approval(
            session, run, error.why, error.named, error.reasons, now()
        )
    log.warning(
        "run.halted",
        run=run.id,
        kind=run.kind,
        withdrawals=error.withdrawals,
        offered=error.offered,
    )
    return stopped


def _text(error: SyncError) -> str:
    trace = f" (intuit_tid {error.intuit_tid})" if error.intuit_tid else ""
    return f"{error}{trace}"
