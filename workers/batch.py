"""The work on one batch of a company's notices, up to an end or an error for each of them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from service.errors import Poisoned, SyncError, TooLarge
from service.store import connections, inbox, invoices, own_notices, watermarks
from service.store.tables import Notice
from service.times import now
from workers.changes import Cursor, read_page
from workers.company import Company
from workers.customers import CustomerReads, is_id
from workers.ends import Ends
from workers.failures import is_ambiguous, is_hopeless, pause_for
from workers.plan import plan
from workers.reading import InvoiceReads, read_invoices
from workers.record import record
from workers.tally import Recorded

log = structlog.get_logger(__name__)


class Batch:
    """Reads what the notices ask for, and writes each one's end with the result that it led to.

    An error of one record is the error of its own notices; whatever else goes wrong is raised.
    """

    def __init__(self, company: Company, notices: Sequence[Notice]) -> None:
        self._company = company
        self._size = len(notices)
        self._wanted = plan(notices)
        self._buyers = CustomerReads(company)
        self._merged = self._invoices_of_merged_customers()
        self._changes_error: SyncError | None = None
        self._asked = self._wanted.invoices.keys() | self._merged.keys()
        self._failed: set[int] = set()
        self._last_error: SyncError | None = None
        self._ends = Ends()

    def work(self) -> None:
        """Leave no notice of the batch without an end or an error."""
        self._buyers.read(self._wanted.customers.keys())
        answered = self._read_changes() if self._wanted.changes else set()
        ids = {**self._wanted.invoices, **self._merged}.keys() - answered
        reads = read_invoices(self._company, sorted(ids))
        recorded = self._record(reads, "notice", self._finish)
        log.info(
            "company.synced",
            connection=self._company.connection_id,
            notices=self._size,
            invoices=len(recorded.outcomes) + len(answered),
            remapped=recorded.remapped,
            failed=len(self._failed),
        )

    def _invoices_of_merged_customers(self) -> dict[str, list[Notice]]:
        """Return the invoices of customers that were merged into others, which are read again."""
        merged = self._wanted.merged_away
        if not merged:
            return {}
        with self._company.services.database.read() as session:
            found = invoices.of_customers(session, self._company.connection_id, merged.keys())
        return {i.quickbooks_id: merged[i.customer_id] for i in found if i.customer_id}

    def _read_changes(self) -> set[str]:
        """Record what changed since the watermark, and return the ids of these invoices.

        The watermark moves with each page, in the transaction that records it. A batch that fails
        half-way leaves its notices pending, and goes on from the watermark.
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
            finish = self._finish_changes(page.cursor.since)
            recorded = self._record(page.reads, "payment", finish)
            answered |= recorded.outcomes.keys() | recorded.failed.keys()
            cursor = page.cursor
        return answered

    def _record(
        self, reads: InvoiceReads, cause: str, finish: Callable[[Session, Recorded], None]
    ) -> Recorded:
        self._ends = Ends()
        recorded = record(
            self._company,
            reads,
            cause=cause,
            voided=frozenset(self._wanted.voided),
            buyers=self._buyers,
            finish=finish,
            deliveries=self._deliveries(cause),
        )
        self._ends.tell()
        return recorded

    def _deliveries(self, cause: str) -> Callable[[str], list[str]]:
        """Return which deliveries asked for an invoice."""
        changes = self._wanted.changes if cause == "payment" else []

        def of(quickbooks_id: str) -> list[str]:
            asked = [self._wanted.invoices.get(quickbooks_id, []), changes]
            merged = self._merged.get(quickbooks_id, [])
            found = {notice.delivery_id for notices in (*asked, merged) for notice in notices}
            return sorted(delivery for delivery in found if delivery)

        return of

    def _finish_changes(self, until: datetime | None) -> Callable[[Session, Recorded], None]:
        def finish(session: Session, recorded: Recorded) -> None:
            self._finish_invoices(session, recorded)
            keep_failures(session, self._company.connection_id, recorded, asked=self._asked)
            if until is not None:
                watermarks.changes_read(session, self._company.connection_id, until)

        return finish

    def _finish(self, session: Session, recorded: Recorded) -> None:
        """Say what became of each notice, in the transaction that made it so."""
        self._finish_invoices(session, recorded)
        for customer_id, notices in self._wanted.customers.items():
            self._end(session, notices, "customer read", self._buyers.failed.get(customer_id))
        read = "the company's changed invoices were read"
        self._end(session, self._wanted.changes, read, self._changes_error)
        self._note_health(session)

    def _note_health(self, session: Session) -> None:
        """Call the company healthy if anything could be read, else say what is wrong with it."""
        connection_id = self._company.connection_id
        error = self._last_error
        if error is None or len(self._failed) < self._size or not is_ambiguous(error):
            connections.synced(session, connection_id, now())
        else:
            connections.pause(session, connection_id, now() + pause_for(error, 0), str(error))

    def _finish_invoices(self, session: Session, recorded: Recorded) -> None:
        for quickbooks_id, error in recorded.failed.items():
            waiting = self._wanted.invoices.get(quickbooks_id, [])
            self._fail(session, [*waiting, *self._merged.get(quickbooks_id, [])], error)
        by_outcome: dict[str, list[Notice]] = {}
        for quickbooks_id, outcome in recorded.outcomes.items():
            waiting = self._wanted.invoices.get(quickbooks_id, [])
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
        if error is None:
            inbox.finish(session, [notice.id for notice in left], outcome, now())
            self._ends.done(left, outcome)
        else:
            self._fail(session, left, error)

    def _fail(self, session: Session, notices: Sequence[Notice], error: SyncError) -> None:
        attempts = min((notice.attempts for notice in notices), default=0)
        parked = give_back(session, notices, error, now() + pause_for(error, attempts))
        self._ends.failed(notices, error, parked)
        self._failed.update(notice.id for notice in notices)
        self._last_error = error


def keep_failures(
    session: Session, connection_id: str, recorded: Recorded, asked: Collection[str] = ()
) -> None:
    """Keep what could not be recorded as notices, unless it was a notice that asked for it."""
    at = now()
    unasked = {i for i in recorded.failed if is_id(i)} - set(asked)
    own_notices.ask_for_invoices(session, connection_id, unasked, "unrecorded", at)
    for place, error in recorded.unnamed.items():
        own_notices.park_unnamed(session, connection_id, place, error, at)


def give_back(
    session: Session, notices: Sequence[Notice], error: SyncError, due_at: datetime
) -> set[int]:
    """Let these notices be tried again from `due_at` on; park those for which that is hopeless.

    Returns the parked ones.
    """
    at = now()
    hopeless = {n.id for n in notices if is_hopeless(error, n.received_at, n.attempts, at)}
    inbox.park(session, hopeless, error, at)
    inbox.retry(session, {notice.id for notice in notices} - hopeless, error, due_at)
    return hopeless
