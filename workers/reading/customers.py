"""Reads the customers that a batch of invoices needs and the cache lacks, in few queries."""

from collections.abc import Collection, Iterable
from datetime import timedelta

from service.errors import SyncError, Unmappable
from service.kit.clock import now
from service.quickbooks import queries
from service.quickbooks.faults import CUT_SHORT
from service.store import customers
from service.store.customers import CustomerRead
from workers.company import CompanyContext
from workers.reading.by_id import Query
from workers.reading.reads import CompleteReads, InvoiceReads, Read, id_in, is_id
from workers.retry import may_pass_in_parts

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
        self._ensure({i for read in reads.found if (i := read.customer_id)})
        return CompleteReads(**vars(reads), customers=self.fresh)

    def _ensure(self, wanted: set[str]) -> None:
        for _ in range(customers.MAX_DEPTH + 1):
            wanted |= {read.parent_id for read in self.fresh.values() if read.parent_id}
            missing = self._missing(wanted)
            if not missing:
                return
            self.read(missing)

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

    def read_first_page(self) -> None:
        """Read up to 1,000 customers in one query: for most companies, that is all of them."""
        fetch_number = self._company.draw_fetch_number()
        try:
            raws = self._company.api.query(queries.page_by_id("Customer"))
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
