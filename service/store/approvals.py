"""Runs that wait for an operator's approval, because they would withdraw so many invoices.

What notices would withdraw beyond the limit becomes such a run too, of the kind `withdrawal`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session, defer

from service.database.tables import Invoice, Run
from service.domain import RunKind, RunState
from service.store import documents, invoices, runs, watermarks

ALWAYS_ALLOWED = 4
"""A day's payments, even if that is most of a small company's invoices."""

_MOST_ALLOWED = 20
_ONE_IN = 20  # 5 %
_WINDOW_SECONDS = 3600.0


def allowed(offered: int) -> int:
    """Return how many of so many offered invoices may be withdrawn in an hour without approval."""
    return min(_MOST_ALLOWED, max(ALWAYS_ALLOWED, offered // _ONE_IN))


def count_withdrawn(session: Session, connection_id: str) -> int:
    """Return how many of the company's invoices were withdrawn in the last hour."""
    return invoices.count_withdrawn(session, connection_id, _WINDOW_SECONDS)


def withdrawals_left(session: Session, connection_id: str, wanted: int) -> int:
    """Return how many of the `wanted` withdrawals, of what is offered though it is held, may be
    made at this moment.

    Half of what needs no approval in an hour: the other half is for what is paid meanwhile.
    """
    if waiting_withdrawal(session, connection_id) is not None:
        return 0
    before = count_withdrawn(session, connection_id)
    offered = documents.count_offered(session, connection_id) + before + wanted
    return max(0, allowed(offered) // 2 - before)


@dataclass(frozen=True, slots=True)
class Held:
    """An invoice that a run would withdraw: its name and its hold."""

    invoice_id: str
    name: str
    hold: str


def named(session: Session, reasons: Mapping[str, str]) -> list[Held]:
    """Return these invoices with their holds, in the order of their numbers.

    People call one by its number, or by its Id where it has none.
    """
    found = session.execute(
        select(Invoice.id, Invoice.doc_number, Invoice.quickbooks_id)
        .where(Invoice.id.in_(reasons))
        .order_by(Invoice.number_key, Invoice.id)
    )
    return [Held(row_id, number or f"Id {own}", reasons[row_id]) for row_id, number, own in found]


def await_approval(
    session: Session,
    run: Run,
    why: str,
    named: str,
    reasons: Mapping[str, str],
    now: datetime,
) -> bool:
    """Stop the run where it is until an operator decides; return False if it was widened or ended.

    `why` names no invoice, `named` does; `reasons` is {invoice id: hold} of what it would withdraw.
    """
    stopped = session.execute(
        update(Run)
        .where(Run.id == run.id, Run.generation == run.generation, Run.state == RunState.ACTIVE)
        .values(
            halted_at=now,
            halt_reason=why,
            losses=0,
            claimed_by=None,
            due_at=None,
            failing_since=None,
            error=f"{why}: {named}",
            would_withdraw=dict(reasons),
        )
        .returning(Run.id)
    )
    return stopped.first() is not None


def waiting_withdrawal(session: Session, connection_id: str) -> Run | None:
    """Return the run that waits with what notices would withdraw of the company, if any does."""
    return session.scalars(
        select(Run).where(
            Run.connection_id == connection_id,
            Run.kind == RunKind.WITHDRAWAL,
            Run.state == RunState.ACTIVE,
            Run.halted_at.is_not(None),
        )
    ).first()


def withhold(
    session: Session,
    connection_id: str,
    quickbooks_ids: Collection[str],
    why: str,
    named: str,
    reasons: Mapping[str, str],
    now: datetime,
) -> None:
    """Let a run wait that reads these invoices again and withdraws what is still to be withdrawn.

    One that waits already, or goes on at this moment, waits with these as well, and nobody has
    confirmed that. `reasons` are the holds by which they would be withdrawn, by invoice.
    """
    run = session.get_one(
        Run,
        runs.begin_withdrawal(session, connection_id, now),
        populate_existing=True,
        with_for_update=True,
    )
    known = runs.invoices_of(run)
    joined = sorted({*known, *quickbooks_ids})
    if run.halted_at is not None and joined == known:
        return
    run.cursor = {"invoices": joined}
    run.would_withdraw = {**(run.would_withdraw or {}), **reasons}
    run.generation += 1
    run.confirmed = False
    run.halted_at = run.halted_at or now
    run.halt_reason = why
    run.error = f"{why}: {named}"


def waiting(session: Session, connection_ids: Collection[str]) -> dict[str, Run]:
    """Return the run that waits for approval of each of these companies that has one."""
    found = session.scalars(
        select(Run)
        .where(
            Run.connection_id.in_(connection_ids),
            Run.state == RunState.ACTIVE,
            Run.halted_at.is_not(None),
        )
        .order_by(Run.id.desc())
    )
    return {run.connection_id: run for run in found}


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An invoice that a stopped run would withdraw; `done` if it has been held meanwhile."""

    invoice: Invoice
    hold: str
    done: bool


def withdrawals(session: Session, run: Run) -> list[Withdrawal]:
    """Return what the stopped step would withdraw, by number."""
    reasons = run.would_withdraw or {}
    found = session.scalars(
        select(Invoice)
        .options(defer(Invoice.source, raiseload=True))
        .where(Invoice.id.in_(reasons))
        .order_by(Invoice.number_key, Invoice.id)
    )
    return [Withdrawal(one, reasons[one.id], done=one.hold is not None) for one in found]


def is_waiting(run: Run) -> bool:
    return run.state == RunState.ACTIVE and run.halted_at is not None


def lock(session: Session, run_id: int) -> Run | None:
    """Return the run, locked for this transaction."""
    return session.scalars(
        select(Run)
        .where(Run.id == run_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()


def approve(session: Session, run: Run) -> None:
    """Let the run go on at once; it is not stopped again unless it is widened."""
    session.execute(
        update(Run)
        .where(Run.id == run.id)
        .values(
            confirmed=True,
            halted_at=None,
            halt_reason=None,
            would_withdraw=None,
            due_at=None,
            attempts=0,
            error=None,
        )
    )


def is_rejected(run: Run) -> bool:
    """Return whether an operator ended the run while it waited, which is no failure of its own."""
    return run.state == RunState.FAILED and run.halted_at is not None


def reject(session: Session, run: Run, now: datetime) -> None:
    """End the run where it is; after a reconcile the next one is due in a day."""
    error = f"an operator ended it, because {run.halt_reason}"
    runs.finish(session, run, RunState.FAILED, run.tally, error, now)
    if run.kind == RunKind.RECONCILE:
        watermarks.reconcile_at(session, run.connection_id, now + watermarks.RECONCILE_EVERY)
