"""Reads a company's invoices and customers by id."""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from service.errors import Gone, Poisoned, SyncError, TooLarge, TransientError, Unmappable
from service.kit.clock import now
from service.quickbooks import queries
from service.quickbooks.faults import CUT_SHORT, GONE, SPOILT, TIMED_OUT
from service.quickbooks.queries import EntityName
from service.store import customers
from service.store.customers import CustomerRead
from workers.company import CompanyContext
from workers.reading.reads import CompleteReads, InvoiceReads, Read, id_in, is_id
from workers.retry import is_ambiguous, may_be_a_records, may_pass_in_parts

MAX_IDS = 500
# The way down to one bad record among 500 takes nine queries: after so many without a single
# answer it is QuickBooks that is unwell, not a record.
_MOST_VAIN = 12


class Query:
    """Queries objects by id, and halves a query that QuickBooks refuses."""

    def __init__(
        self, company: CompanyContext, entity: EntityName, *, patient: bool = False
    ) -> None:
        self.found: list[Read] = []
        self.failed: dict[str, SyncError] = {}
        self._company = company
        self._entity = entity
        self._is_a_records = may_be_a_records if patient else may_pass_in_parts
        self._vain = 0

    def ask(self, ids: Sequence[str]) -> None:
        """Add what QuickBooks shows of these ids to `found`, the others to `failed`.

        Raises TransientError if QuickBooks itself is down.
        """
        unasked = deque(ids[start : start + MAX_IDS] for start in range(0, len(ids), MAX_IDS))
        while unasked:
            some = unasked.popleft()
            fetch_number = self._company.draw_fetch_number()
            try:
                rows = self._company.api.query(queries.by_ids(self._entity, some))
            except SyncError as e:
                if e.code == GONE:
                    continue  # each is read by itself before it is believed to be deleted
                self._raise_unless_a_records(e)
                if len(some) == 1:
                    self.failed[some[0]] = e
                else:
                    middle = len(some) // 2
                    unasked.extendleft((some[middle:], some[:middle]))
            else:
                self._vain = 0
                self.found += [Read(raw, fetch_number) for raw in rows.found]

    def _raise_unless_a_records(self, error: SyncError) -> None:
        """Raise, unless the error is a record's among those that were asked for."""
        if not self._is_a_records(error):
            raise error
        self._vain += 1
        _doubt_an_outage(error, self._vain)
        if error.code == SPOILT and self._vain == _MOST_VAIN:
            # Many records may share what spoils them. An answer without records tells.
            self._company.api.count(queries.count(self._entity))


def _doubt_an_outage(error: SyncError, vain: int) -> None:
    """Raise TransientError after so many attempts in vain, unless it is a record's for certain."""
    if is_ambiguous(error) and vain >= _MOST_VAIN:
        raise TransientError(str(error), intuit_tid=error.intuit_tid, code=error.code)


def read_invoices(
    company: CompanyContext, ids: Sequence[str], *, patient: bool = False
) -> InvoiceReads:
    """Return the present state of these invoices.

    One that a query does not show is read by itself before it is believed to be deleted. A
    `patient` caller tries again what fails, and so has each fail alone, whatever the answer is.
    """
    wanted = list(dict.fromkeys(ids))
    query = Query(company, "Invoice", patient=patient)
    query.ask(wanted)
    reads = InvoiceReads(found=query.found, failed=query.failed)
    shown = {read.raw.get("Id") for read in reads.found}
    unshown = [i for i in wanted if i not in shown and i not in reads.failed]
    confirm(company, unshown, reads, patient=patient)
    return reads


def confirm(
    company: CompanyContext, ids: Iterable[str], reads: InvoiceReads, *, patient: bool = False
) -> None:
    """Read each of these invoices alone; add the answer to the reads: found, gone, or failed.

    Raises TransientError when it is QuickBooks that is unwell.
    """
    vain = 0
    for invoice_id in ids:
        fetch_number = company.draw_fetch_number()
        try:
            reads.found.append(Read(company.api.read("Invoice", invoice_id), fetch_number))
        except Gone:
            reads.gone[invoice_id] = fetch_number
        except SyncError as e:
            refused = patient and may_be_a_records(e) and e.code != TIMED_OUT
            if not refused and not isinstance(e, TooLarge | Poisoned):
                raise
            vain += 1
            _doubt_an_outage(e, vain)
            reads.failed[invoice_id] = e
        else:
            vain = 0


# Notices renew them; the age limit is for lost notices.
_MAX_AGE = timedelta(days=30)


class CustomerReads:
    """Reads customers for one batch, and keeps them in memory until it is recorded.

    Invoices of `failed` ones are mapped with the cached version, or without one and with a warning.
    """

    def __init__(self, company: CompanyContext) -> None:
        self._company = company
        self.fresh: dict[str, CustomerRead] = {}
        self.failed: dict[str, SyncError] = {}
        self._asked: set[str] = set()

    def complete(self, reads: InvoiceReads) -> CompleteReads:
        """Return the reads with all customers read so far; read those that the cache lacks."""
        wanted = {i for read in reads.found if (i := read.customer_id)}
        for _ in range(customers.MAX_DEPTH + 1):
            wanted |= {read.parent_id for read in self.fresh.values() if read.parent_id}
            missing = self._missing(wanted)
            if not missing:
                break
            self.read(missing)
        return CompleteReads(**vars(reads), customers=self.fresh)

    def read(self, ids: Collection[str]) -> None:
        """Read these customers, whether cached or not.

        Raises TransientError if the answer about one is cut short: no invoice is mapped without its
        customer because a connection broke.
        """
        self._asked |= set(ids)
        query = Query(self._company, "Customer")
        query.ask(sorted(i for i in ids if is_id(i)))
        for error in query.failed.values():
            if error.code == CUT_SHORT:
                raise error
        self.failed |= query.failed
        self.take(query.found)

    def confirm(self, ids: Collection[str]) -> None:
        """Read alone those of these that an answer left out: QuickBooks deletes no customer.

        One that was merged away is gone, and stays as it is recorded. Raises TransientError when it
        is QuickBooks that is unwell.
        """
        vain = 0
        for customer_id in sorted(set(filter(is_id, ids)) - self.fresh.keys() - self.failed.keys()):
            fetch_number = self._company.draw_fetch_number()
            try:
                self._keep(Read(self._company.api.read("Customer", customer_id), fetch_number))
            except Gone:
                continue
            except (Poisoned, TooLarge) as e:
                vain += 1
                _doubt_an_outage(e, vain)
                self.failed[customer_id] = e
            else:
                vain = 0

    def read_first_page(self) -> None:
        """Read up to 1,000 customers in one query: for most companies, that is all of them."""
        fetch_number = self._company.draw_fetch_number()
        try:
            raws = self._company.api.query(queries.page_by_id("Customer")).found
        except SyncError as e:
            if not may_pass_in_parts(e):
                raise
            return  # read by id instead, where one bad record does not spoil the others
        self.take(Read(raw, fetch_number) for raw in raws)

    def take(self, reads: Iterable[Read]) -> None:
        """Keep customers that another query has read."""
        for read in reads:
            self._keep(read)

    def _missing(self, ids: set[str]) -> set[str]:
        unread = ids - self._asked - self.fresh.keys()
        if not unread:
            return set()
        with self._company.services.database.read() as session:
            return customers.stale(session, self._company.connection_id, unread, now() - _MAX_AGE)

    def _keep(self, read: Read) -> None:
        try:
            found = read.entity
        except Unmappable as e:
            self.failed[str(read.raw.get("Id"))[:64]] = e
            return
        self.fresh[found.id] = CustomerRead(
            quickbooks_id=found.id,
            parent_id=id_in(read.raw, "ParentRef"),
            sync_token=found.sync_token,
            last_updated=found.last_updated,
            fetch_number=read.fetch_number,
            source=read.raw,
        )
