"""The one write path: map what was read, record it if it is newer, ask for its delivery.

A batch is one transaction, with what its caller finishes in it; QuickBooks is not called meanwhile.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import structlog
from sqlalchemy.orm import Session

from service.database.engine import after_commit
from service.database.tables import Run
from service.domain import OwnNotice, RevisionCause
from service.infactor.rules.shares import COUNTED_RULES
from service.kit.clock import now
from service.store import (
    accounts,
    invoices,
    judging_queue,
    own_notices,
)
from service.store.judging_queue import NamedInvoice
from workers.company import RecordedCompany
from workers.reading.reads import CompleteReads, is_id
from workers.recording.invoice_batch import InvoiceBatch
from workers.recording.judge_batch import OtherReason, other_reasons
from workers.recording.outcome import Outcome, Recorded
from workers.recording.withdrawal_limit import check_withdrawals
from workers.retry import pause_of_failed

log = structlog.get_logger(__name__)

_WITHOUT_READ = (RevisionCause.RULES, RevisionCause.CUSTOMER)
MOST_LOGGED = 20
"""Of more invoices or notices than this, those that ended alike share a line of the log."""

# A page takes its thousand invoices several times over while it is written. Python works on one
# page at a time, and a second one while PostgreSQL works: a third would only take memory.
_PAGES_WRITTEN = threading.BoundedSemaphore(2)


def _place_to_write(run: Run | None) -> ExitStack:
    """Wait for a place to write a page of this run; without a run none is needed."""
    place = ExitStack()
    if run is not None:
        place.enter_context(_PAGES_WRITTEN)
    return place


@contextmanager
def recording(
    company: RecordedCompany,
    reads: CompleteReads,
    *,
    cause: RevisionCause,
    run: Run | None = None,
    overrule: bool = False,
    voided: frozenset[str] = frozenset(),
    webhooks: Callable[[str], Sequence[str]] = lambda _: (),
) -> Iterator[tuple[Session, Recorded]]:
    """Record what was read; give the transaction and the outcome of each invoice.

    What the caller writes inside the block is committed together with it at the end, or rolled
    back with it on an exception. `run` is the run that reads; with `overrule` a later read replaces
    what looks newer; `voided` are invoices that a notice called void; `webhooks` tells by which
    webhooks' ids an invoice was asked for, for the log.

    Where too much of the company would be withdrawn, a run stops: ApprovalNeeded is raised, and
    nothing is recorded. Without a run the rest is recorded, and what would be withdrawn is left
    to a run of its own, which waits for an operator; unless it is one who asks.
    Raises Disconnected if the company is not connected any more; then nothing is recorded.
    """
    with _place_to_write(run) as place, company.services.database.write() as session:
        after_commit(session, place.close)  # what else is done then may wait for Redis
        batch = InvoiceBatch(company, session, cause, voided, overrule=overrule)
        if run is not None:
            recorded = batch.write(reads)
            check_withdrawals(session, company.connection_id, recorded, run)
        elif cause is RevisionCause.COMMAND:
            recorded = batch.write(reads)
        else:
            recorded = batch.write_within_limit(reads)
        batch.ask_for_neighbours()
        if cause is not RevisionCause.COMMAND and not (run is not None and run.confirmed):
            invoices.note_withdrawn(session, recorded.withdrawn)
        _ask_for_accounts(company, session, batch)
        _announce(company, session, recorded, cause, run, webhooks)
        yield session, recorded


def _ask_for_accounts(company: RecordedCompany, session: Session, batch: InvoiceBatch) -> None:
    if batch.moves_accounts and company.services.settings.rules.asks_any(COUNTED_RULES):
        accounts.ask(session, company.connection_id, now())


def _announce(
    company: RecordedCompany,
    session: Session,
    recorded: Recorded,
    cause: RevisionCause,
    run: Run | None,
    webhooks: Callable[[str], Sequence[str]],
) -> None:
    """After the commit, log what was written, and ask for its delivery."""
    written = [outcome for outcome in recorded if outcome.revision is not None]
    for event, line in _lines(written, cause, run, webhooks):
        about = {"connection": company.connection_id, "cause": cause}
        after_commit(session, log.info, event, **{**about, **line})
    if written and company.services.settings.delivers:
        after_commit(session, company.services.jobs.deliver, company.connection_id)


def _lines(
    written: Sequence[Outcome],
    cause: RevisionCause,
    run: Run | None,
    webhooks: Callable[[str], Sequence[str]],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each line of the log: its event and fields.

    Each of few invoices has a line. Of many, those with the same action share one, which names
    them. What a run wrote, or what came without a read, is only counted: it may be a million.
    """
    if run is not None or cause in _WITHOUT_READ:
        counted = Counter(outcome.action.value for outcome in written)
        if counted:
            yield "invoices.recorded", {**({} if run is None else {"run": run.id}), **counted}
    elif len(written) <= MOST_LOGGED:
        for outcome in written:
            yield (
                "invoice.recorded",
                {
                    "invoice": outcome.invoice_id,
                    "revision": outcome.revision,
                    "action": outcome.action,
                    "deliveries": webhooks(outcome.quickbooks_id),
                },
            )
    else:
        for action in sorted({outcome.action for outcome in written}):
            alike = [outcome for outcome in written if outcome.action is action]
            yield (
                "invoices.recorded",
                {
                    "action": action,
                    "invoices": [outcome.invoice_id for outcome in alike],
                    "deliveries": sorted({id_ for o in alike for id_ in webhooks(o.quickbooks_id)}),
                },
            )


def record_judgements(company: RecordedCompany, ids: Collection[str]) -> int:
    """Judge these recorded invoices again and record what changes; return how many have other
    reasons now.
    """
    return _record_unread(company, RevisionCause.RULES, lambda batch: batch.judge_within_limit(ids))


def record_remapped(company: RecordedCompany) -> int:
    """Map the next of the company's invoices again whose customer has changed, and record what
    changes and how far that is; return how many are other ones now.

    Raises Disconnected if the company was handed over since its supplier was read.
    """
    return _record_unread(company, RevisionCause.CUSTOMER, InvoiceBatch.remap_within_limit)


def _record_unread(
    company: RecordedCompany, cause: RevisionCause, write: Callable[[InvoiceBatch], Recorded]
) -> int:
    """Record in one transaction what follows without a read; return how many invoices changed.

    What would be withdrawn beyond the limit is left to an operator.
    """
    with company.services.database.write() as session:
        batch = InvoiceBatch(company, session, cause, frozenset())
        recorded = write(batch)
        batch.ask_for_neighbours()
        invoices.note_withdrawn(session, recorded.withdrawn)
        keep_failures(session, company.connection_id, recorded)
        if cause is not RevisionCause.RULES:  # which judge by the accounts, and move none
            _ask_for_accounts(company, session, batch)
        _announce(company, session, recorded, cause, None, lambda _: ())
    return sum(outcome.revision is not None for outcome in recorded)


class Rehearsed(NamedTuple):
    """What recording would lead to: the outcomes, and each rule that would mean something else.

    `named` are the invoices that `reasons` are about, by Infactor's id.
    """

    recorded: Recorded
    reasons: Sequence[OtherReason]
    named: Mapping[str, NamedInvoice]


def rehearse(company: RecordedCompany, reads: CompleteReads) -> Rehearsed:
    """Return what recording these reads would lead to; change nothing."""
    database = company.services.database
    with database.trial() as session:
        recorded = InvoiceBatch(company, session, RevisionCause.REHEARSAL, frozenset()).write(reads)
        ids = {one.invoice_id for one in recorded if one.revision is not None}
        after, named = judging_queue.kept_of(session, ids), judging_queue.named(session, ids)
    with database.read() as session:
        before = judging_queue.kept_of(session, ids)
    reasons = [
        reason
        for id_ in sorted(after)
        for reason in other_reasons(id_, before.get(id_, ((), ())), after[id_])
    ]
    return Rehearsed(recorded, reasons, named)


def keep_failures(
    session: Session, connection_id: str, recorded: Recorded, asked: Collection[str] = ()
) -> None:
    """Store what could not be recorded as notices to try again, unless a notice `asked` for it."""
    at = now()
    unasked = {i for i in recorded.failed if is_id(i)} - set(asked)
    own_notices.ask_for_invoices(session, connection_id, unasked, OwnNotice.UNRECORDED, at)
    for place, error in recorded.unnamed.items():
        due_at = at + pause_of_failed(error, 1)
        own_notices.add_unreadable(
            session, connection_id, place, error, at, due_at, since=place.since
        )
