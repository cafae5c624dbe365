"""Does one step of a backfill or reconcile at a time, because all companies share the workers.

A step, its checkpoint and its tally are one transaction: a kill repeats at most one step.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog

from service.company_access import Purpose
from service.database.tables import Run
from service.domain import RunKind, RunState
from service.errors import (
    ApprovalNeeded,
    Barred,
    Disconnected,
    PermanentError,
    SyncError,
    Throttled,
)
from service.kit.clock import now
from service.services import Services
from service.store import approvals, connections, runs, watermarks
from workers.company import CompanyContext
from workers.retry import is_hopeless, pause_for, why
from workers.runs import backfill, reconcile, withdrawal

log = structlog.get_logger(__name__)

Step = Callable[[CompanyContext, Run], bool]
# For each kind: what its reads are for, and its step, which returns whether the run goes on.
_KINDS: dict[RunKind, tuple[Purpose, Step]] = {
    RunKind.BACKFILL: ("backfill", backfill.step),
    RunKind.RECONCILE: ("reconcile", reconcile.step),
    RunKind.WITHDRAWAL: ("notice", withdrawal.step),
}
# A failed reconcile starts again within the day.
_FAILED_RECONCILE_AGAIN = timedelta(hours=6)


def connection_of(services: Services, run_id: int) -> str | None:
    """Return the connection whose company the run is about."""
    with services.database.read() as session:
        run = runs.get(session, run_id)
    return None if run is None else run.connection_id


def work_on_run(services: Services, run_id: int) -> None:
    """Do the run's next step, and ask for the one after it."""
    if advance(services, run_id):
        services.jobs.run(run_id)


def advance(services: Services, run_id: int) -> bool:
    """Do the run's next step unless another process does; return whether to go on at once."""
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
                raise PermanentError("the worker died each time that it worked on this step")
            purpose, step = _KINDS[RunKind(run.kind)]
            return step(CompanyContext.of(services, run.connection_id, purpose), run)
        except Disconnected as e:
            _wait_for_supplier(services, run, e)
        except ApprovalNeeded as e:
            return not _await_approval(services, run, e)
        except SyncError as e:
            # Once access is restored, another run can be started; nobody should wait for this one.
            if isinstance(e, Barred) or is_hopeless(e, run.created_at, run.attempts + 1, now()):
                _fail(services, run, e)
            else:
                _pause(services, run, e)
        return False


def _pause(services: Services, run: Run, error: SyncError) -> None:
    with services.database.read() as session:
        failures = connections.failures(session, run.connection_id)
    wait = pause_for(error, max(run.attempts, failures))
    with services.database.write() as session:
        if isinstance(error, Throttled):
            connections.throttle(session, run.connection_id, now() + wait, str(error), now())
        runs.postpone(session, run.id, now() + wait, _text(error))
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


def _fail(services: Services, run: Run, error: SyncError) -> None:
    with services.database.write() as session:
        runs.finish(session, run, RunState.FAILED, run.tally, _text(error), now())
        if run.kind == RunKind.RECONCILE:
            due_at = now() + _FAILED_RECONCILE_AGAIN
            watermarks.reconcile_at(session, run.connection_id, due_at)
    log.warning("run.failed", run=run.id, kind=run.kind, **why(error))


def _text(error: SyncError) -> str:
    trace = f" (intuit_tid {error.intuit_tid})" if error.intuit_tid else ""
    return f"{error}{trace}"
