"""Syncs one company: does what its due notices ask for, in as few reads as possible."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from dramatiq.middleware import TimeLimitExceeded
from sqlalchemy.orm import Session

from service.coordination.leases import JoinedLease
from service.database.engine import after_commit
from service.database.tables import Notice
from service.domain import OwnNotice, RevisionCause
from service.errors import (
    Barred,
    Disconnected,
    Poisoned,
    SyncError,
    Throttled,
    TooLarge,
    Unforeseen,
)
from service.jobs import SYNC
from service.kit import tracing
from service.kit.clock import now
from service.services import Services
from service.store import connections, inbox, invoices, own_notices, watermarks
from workers.company import CompanyContext, note_outage, note_success
from workers.reading.by_change import Cursor, read_page
from workers.reading.by_id import CustomerReads, read_invoices
from workers.reading.reads import CompleteReads, InvoiceReads, is_id
from workers.recording.outcome import Recorded
from workers.recording.record import MOST_LOGGED, keep_failures, recording
from workers.retry import (
    failure_of,
    insist,
    is_about_the_work,
    is_ambiguous,
    is_hopeless,
    pause_for,
    pause_of_failed,
    why,
)

log = structlog.get_logger(__name__)


@dataclass
class Plan:
    """The reads that answer a batch of notices, and which notices wait for which."""

    invoices: dict[str, list[Notice]] = field(default_factory=dict)  # by QuickBooks id
    voided: set[str] = field(default_factory=set)
    customers: dict[str, list[Notice]] = field(default_factory=dict)
    merged_away: dict[str, list[Notice]] = field(default_factory=dict)
    places: list[Notice] = field(default_factory=list)  # of what has no Id
    changes: list[Notice] = field(default_factory=list)


def plan(notices: Iterable[Notice]) -> Plan:
    """Return the reads that answer these notices; a notice names what to read, it is never data.

    A payment or credit memo does not name the invoices that it changes: one query for whatever
    changed since the watermark answers all of them.
    """
    made = Plan()
    for notice in notices:
        entity_id = notice.entity_id or ""
        if notice.operation == OwnNotice.UNREADABLE:
            made.places.append(notice)
        elif notice.entity == "Invoice":
            made.invoices.setdefault(entity_id, []).append(notice)
            if notice.operation == "voided":
                made.voided.add(entity_id)
        elif notice.entity == "Customer":
            made.customers.setdefault(entity_id, []).append(notice)
            if notice.operation == "merged" and notice.deleted_id:
                made.merged_away.setdefault(notice.deleted_id, []).append(notice)
        else:
            made.changes.append(notice)
    return made


class Batch:
    """Reads what a batch of notices asks for, and ends each notice with its result.

    The error of one record ends only its own notices; any other error is raised.
    """

    def __init__(self, company: CompanyContext, notices: Sequence[Notice], turn: "Turn") -> None:
        self._company = company
        self._turn = turn
        self._size = len(notices)
        self._wanted = plan(notices)
        self._customers = CustomerReads(company)
        self._merged = self._invoices_of_merged_customers()
        self._changes_error: SyncError | None = None
        self._asked = self._wanted.invoices.keys() | self._merged.keys()
        self._failed: set[int] = set()
        self._last_error: SyncError | None = None

    def work(self) -> None:
        """Give every notice of the batch an end, or an error and its next attempt.

        The last transaction ends the turn, too.
        """
        for notice in self._wanted.places:
            self._read_place(notice)
        self._customers.read(self._wanted.customers.keys())
        self._customers.confirm(self._wanted.customers.keys())
        answered = self._read_changes() if self._wanted.changes else set()
        ids = {**self._wanted.invoices, **self._merged}.keys() - answered
        read = read_invoices(self._company, sorted(ids), patient=True)
        reads = self._customers.complete(read)
        with (
            self._recording(reads, RevisionCause.NOTICE) as (session, recorded),
            self._turn.ending(session),
        ):
            self._finish_invoices(session, recorded)
            self._finish_others(session)
            self._note_health(session)
        log.info(
            "company.synced",
            connection=self._company.connection_id,
            notices=self._size,
            invoices=len(recorded.read) + len(answered),
            remapped=len(recorded.remapped),
            failed=len(self._failed),
        )

    def _invoices_of_merged_customers(self) -> dict[str, list[Notice]]:
        """Return the notices by QuickBooks Id of each invoice whose customer was merged away."""
        merged = self._wanted.merged_away
        if not merged:
            return {}
        with self._company.services.database.read() as session:
            found = invoices.of_customers(session, self._company.connection_id, merged.keys())
        return {number: merged[customer] for _, number, customer in found if customer}

    def _read_changes(self) -> set[str]:
        """Record what changed since the watermark; return the Ids of these invoices.

        The watermark moves with each recorded page, so a batch that fails half-way continues from
        there.
        """
        with self._company.services.database.read() as session:
            since = watermarks.changes_read_until(session, self._company.connection_id)
        cursor = Cursor(since)
        answered: set[str] = set()
        while not cursor.done:
            try:
                page = read_page(self._company, cursor)
            except (Poisoned, TooLarge) as e:
                self._changes_error = e
                break
            reads = self._customers.complete(page.reads)
            with self._recording(reads, self._cause_of_changes()) as (session, recorded):
                self._finish_invoices(session, recorded)
                self._finish_changes(session, recorded, until=page.cursor.since)
            answered |= recorded.answered
            cursor = page.cursor
        return answered

    def _cause_of_changes(self) -> RevisionCause:
        """Return why changes are read; a payment is not claimed where we asked for them, too."""
        asked = any(notice.format == "own" for notice in self._wanted.changes)
        return RevisionCause.CHECK if asked else RevisionCause.PAYMENT

    def _read_place(self, notice: Notice) -> None:
        """Read the changes around an unreadable row again, and end its notice if all were shown."""
        cursor = Cursor(notice.changed_at)
        connection_id = self._company.connection_id
        of_customers = notice.entity == "Customer"
        while not cursor.done and cursor.since == notice.changed_at:
            page = read_page(self._company, cursor, "Customer" if of_customers else "Invoice")
            shown = page.reads
            if of_customers:
                self._customers.take(shown.found)
                shown = InvoiceReads(unnamed=shown.unnamed)
            reads = self._customers.complete(shown)
            with self._recording(reads, RevisionCause.CHECK) as (session, recorded):
                failed = set(filter(is_id, recorded.failed))
                own_notices.ask_for_invoices(
                    session, connection_id, failed, OwnNotice.UNRECORDED, now()
                )
                self._finish_invoices(session, recorded)
                cursor = page.cursor
                if recorded.unnamed:
                    self._fail(session, [notice], next(iter(recorded.unnamed.values())))
                    return
        with self._company.services.database.write() as session:
            self._end(session, [notice], "what is there was read")

    def _recording(
        self, reads: CompleteReads, cause: RevisionCause
    ) -> AbstractContextManager[tuple[Session, Recorded]]:
        return recording(
            self._company,
            reads,
            cause=cause,
            voided=frozenset(self._wanted.voided),
            webhooks=partial(self._webhook_ids, cause=cause),
        )

    def _webhook_ids(self, quickbooks_id: str, *, cause: RevisionCause) -> list[str]:
        """Return the ids of the webhooks that asked for an invoice."""
        asked = self._waiting(quickbooks_id) + self._merged.get(quickbooks_id, [])
        if cause is not RevisionCause.NOTICE:
            asked += self._wanted.changes
        return sorted({notice.webhook_id for notice in asked if notice.webhook_id})

    def _waiting(self, quickbooks_id: str) -> list[Notice]:
        return self._wanted.invoices.get(quickbooks_id, [])

    def _finish_changes(self, session: Session, recorded: Recorded, until: datetime | None) -> None:
        keep_failures(session, self._company.connection_id, recorded, asked=self._asked)
        if until is not None:
            watermarks.changes_read(session, self._company.connection_id, until)

    def _finish_others(self, session: Session) -> None:
        for customer_id, notices in self._wanted.customers.items():
            self._end(session, notices, "customer read", self._customers.failed.get(customer_id))
        read = "the company's changed invoices were read"
        self._end(session, self._wanted.changes, read, self._changes_error)

    def _note_health(self, session: Session) -> None:
        """Mark the company as healthy, unless everything failed and QuickBooks itself may be the
        cause.
        """
        connection_id = self._company.connection_id
        error = self._last_error
        if error is None or len(self._failed) < self._size or not is_ambiguous(error):
            note_success(session, connection_id)
        else:
            connections.pause(session, connection_id, now() + pause_for(error, 0), str(error))
            note_outage(session, connection_id, error)

    def _finish_invoices(self, session: Session, recorded: Recorded) -> None:
        for quickbooks_id, error in recorded.failed.items():
            notices = self._waiting(quickbooks_id) + self._merged.get(quickbooks_id, [])
            self._fail(session, notices, error)
        by_outcome: dict[str, list[Notice]] = {}
        for outcome in recorded.read:
            waiting = self._waiting(outcome.quickbooks_id)
            by_outcome.setdefault(str(outcome), []).extend(waiting)
        for text, notices in by_outcome.items():
            self._end(session, notices, text)

    def _end(
        self,
        session: Session,
        notices: Iterable[Notice],
        outcome: str,
        error: SyncError | None = None,
    ) -> None:
        left = [notice for notice in notices if notice.id not in self._failed]
        if error is not None:
            self._fail(session, left, error)
        elif left:
            inbox.finish(session, [notice.id for notice in left], outcome, now())
            _log_done(session, left, outcome)

    def _fail(self, session: Session, notices: Sequence[Notice], error: SyncError) -> None:
        attempts = min((notice.attempts for notice in notices), default=0)
        give_back(session, notices, error, now() + pause_for(error, attempts))
        self._failed.update(notice.id for notice in notices)
        self._last_error = error


def _log_done(session: Session, notices: Sequence[Notice], outcome: str) -> None:
    """After the commit, log each of few notices, and of many all of one outcome together.

    A line for each took a third of the CPU of a burst.
    """
    if len(notices) <= MOST_LOGGED:
        for notice in notices:
            after_commit(session, log.info, "notice.done", **_name(notice), outcome=outcome)
        return
    line = {
        "notices": [notice.id for notice in notices],
        "deliveries": sorted({notice.webhook_id for notice in notices if notice.webhook_id}),
    }
    after_commit(session, log.info, "notices.done", outcome=outcome, **line)


def give_back(
    session: Session,
    notices: Sequence[Notice],
    error: SyncError,
    due_at: datetime,
    *,
    suspect: bool = False,
) -> None:
    """Make these notices due again at `due_at`, and mark the hopeless ones as failed."""
    hopeless = [n for n in notices if is_hopeless(error, n.received_at, n.attempts, now())]
    again = [notice for notice in notices if notice not in hopeless]
    mark_failed(session, hopeless, error)
    inbox.retry(session, [notice.id for notice in again], error, now(), due_at, suspect=suspect)
    for notice in again:
        after_commit(session, log.warning, "notice.postponed", **_name(notice), **why(error))


def mark_failed(session: Session, notices: Sequence[Notice], error: SyncError) -> None:
    """Mark these notices as failed; each is due again by itself, with growing pauses."""
    for notice in notices:
        # Finding one unreadable row takes a dozen reads.
        rarely = notice.operation == OwnNotice.UNREADABLE
        due_at = now() + pause_of_failed(error, notice.attempts, rarely=rarely)
        inbox.mark_failed(session, [notice.id], error, now(), due_at)
        after_commit(session, log.warning, "notice.failed", **_name(notice), **why(error))


def _name(notice: Notice) -> dict[str, Any]:
    return {"notice": notice.id, "delivery": notice.webhook_id}


# A busy company is read at most once a second: a burst of notices costs a few queries.
SPACING_SECONDS = 1.0
_LOST = Unforeseen("the worker died each time that it worked on this notice")


def sync_company(services: Services, connection_id: str) -> None:
    """Work on the company's due notices, unless another process does or did within a second."""
    name = f"sync:{connection_id}"
    with services.leases.join(name, spacing=SPACING_SECONDS) as lease:
        turn = Turn(services, connection_id, lease)
        claimed = turn.begin()
        if claimed is not None:
            _sync(turn, claimed)


@dataclass(frozen=True)
class Claimed:
    """The notices that a turn is about, and their company as it was when they were claimed.

    `failures`: how many turns of the company failed, one after the other, before this one.
    """

    notices: Sequence[Notice]
    company: CompanyContext
    failures: int


class Turn:
    """One company's turn: it begins in one transaction, and ends in the one that ends its work.

    Of the rows that both lock, the company comes before the lease, and the lease before the
    notices. So a turn that does not begin asks for the next one in a transaction of its own.
    """

    def __init__(self, services: Services, connection_id: str, lease: JoinedLease) -> None:
        self.services = services
        self.connection_id = connection_id
        self._lease = lease
        self._company = (connection_id, services.settings.quickbooks_environment)

    def begin(self) -> Claimed | None:
        """Take the lease and claim what is due; None if there is nothing to work on now.

        Where it may be taken only later, that is asked for. If the company's row cannot be opened,
        ConfigurationError is raised, and nothing was claimed.
        """
        claimed, wait = None, None
        with self.services.database.write() as session:
            if not inbox.is_company_due(session, *self._company, now()):
                return None
            if not self._lease.take(session):
                wait = self._lease.wait_seconds(session)
            elif (claimed := self._claim(session)) is None:
                wait = self._lease.release(session)
        if wait is not None:
            with self.services.database.write() as session:
                self._ask_if_due(session, wait)
        return claimed

    def _claim(self, session: Session) -> Claimed | None:
        # Who waited for the lease sees only now what the turn before has left.
        found = inbox.due_company(session, *self._company, now())
        if found is None:
            return None
        connection, supplier = found
        company = CompanyContext.from_rows(self.services, connection, supplier)
        owner = self.services.leases.owner
        batch, hopeless = inbox.claim(session, self.connection_id, owner, now())
        mark_failed(session, hopeless, _LOST)
        return Claimed(batch, company, connection.failures) if batch else None

    @contextmanager
    def ending(self, session: Session) -> Iterator[None]:
        """Give the lease back, and after the block ask for the next turn if notices are due.

        In this order, because a nudge that comes meanwhile waits for the lease and then asks by
        itself, and one that came before is for a notice that is seen after the block.
        """
        wait = self._lease.release(session)
        yield
        if wait is not None:  # else whoever holds the lease asks again when done
            self._ask_if_due(session, wait)

    def _ask_if_due(self, session: Session, wait: float) -> None:
        """Schedule a nudge for in so many seconds if notices are due, unless there is one."""
        if not inbox.is_company_due(session, *self._company, now()):
            return
        delay = timedelta(seconds=wait)
        if connections.schedule_nudge(session, self.connection_id, now(), delay):
            jobs, delay_ms = self.services.jobs, int(delay.total_seconds() * 1000) + 1
            send = partial(jobs.sync, self.connection_id, delay_ms=delay_ms)
            after_commit(session, jobs.attempt, send, SYNC)


def _sync(turn: Turn, claimed: Claimed) -> None:
    services, batch = turn.services, claimed.notices
    try:
        with tracing.work("company.sync", turn.connection_id, partial(_invoices_by_webhook, batch)):
            Batch(claimed.company, batch, turn).work()
    except Disconnected as e:
        with services.database.write() as session:
            connections.lock(session, turn.connection_id)  # before the notices, as others do
            with turn.ending(session):
                inbox.retry(session, [notice.id for notice in batch], e, now(), now())
    except SyncError as e:
        _fail(turn, batch, e, claimed.failures)
    except (Exception, TimeLimitExceeded) as e:
        insist(partial(_fail_unexpectedly, services, batch, e))
        raise


def _invoices_by_webhook(batch: Sequence[Notice]) -> dict[str | None, list[str]]:
    """Return which Ids of QuickBooks' invoices each webhook named."""
    found: dict[str | None, list[str]] = {}
    for notice in batch:
        named = found.setdefault(notice.webhook_id, [])
        if notice.entity == "Invoice" and notice.entity_id:
            named.append(notice.entity_id)
    return found


def _fail(turn: Turn, batch: Sequence[Notice], error: SyncError, failures: int) -> None:
    """Give the notices back, or up, and leave the company alone for as long as the error asks."""
    connection_id = turn.connection_id
    until = now() + pause_for(error, failures)
    with turn.services.database.write() as session:
        if isinstance(error, Throttled):
            connections.throttle(session, connection_id, until, str(error), now())
        elif isinstance(error, Barred):
            connections.bar(session, connection_id, until, str(error), now())
        else:
            connections.pause(session, connection_id, until, str(error))
        note_outage(session, connection_id, error)
        with turn.ending(session):
            give_back(session, batch, error, until)
    log.warning("company.failed", connection=connection_id, notices=len(batch), **why(error))


def _fail_unexpectedly(services: Services, batch: Sequence[Notice], error: BaseException) -> None:
    """Give the notices back after an error of ours, which pauses no company.

    If one of them may be to blame, they are soon taken one by one.
    """
    failure = failure_of(error)
    due_at = now() + pause_for(failure, min(notice.attempts for notice in batch) - 1)
    suspect = is_about_the_work(error)
    with services.database.write() as session:
        give_back(session, batch, failure, due_at, suspect=suspect)
