"""The customers that a batch of invoices needs: from the cache, or read in few queries."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from service.errors import Poisoned, SyncError, TooLarge, Unmappable
from service.kit.clock import now
from service.quickbooks import queries
from service.quickbooks.records import entity
from service.store import customers
from service.store.customers import CustomerRead
from workers.company import Company
from workers.reading.by_id import Query, Read

# Renewed by their own notices; by age as well, because a notice can be lost.
_MAX_AGE = timedelta(days=30)
# As long as the ids of invoices may be, too.
_LONGEST_ID = 18


class CustomerReads:
    """Customers read on behalf of one batch, kept in memory until the batch is recorded.

    `failed` are those that QuickBooks cannot show. Their invoices map with what the cache has of
    them, or without them, with a warning.
    """

    def __init__(self, company: Company) -> None:
        self._company = company
        self.fresh: dict[str, CustomerRead] = {}
        self.failed: dict[str, SyncError] = {}
        self._asked: set[str] = set()

    def ensure(self, ids: Collection[str]) -> None:
        """Read those customers that the cache lacks, and the parents of all that were read."""
        wanted = set(ids)
        for _ in range(customers.MAX_DEPTH + 1):
            wanted |= {read.parent_id for read in self.fresh.values() if read.parent_id}
            missing = self._missing(wanted)
            if not missing:
                return
            self.read(missing)

    def read(self, ids: Collection[str]) -> None:
        """Read these customers, whatever the cache holds."""
        self._asked |= set(ids)
        query = Query(self._company, "Customer")
        query.ask(sorted(i for i in ids if is_id(i)))
        self.failed |= query.failed
        self.take(query.found)

    def read_first_page(self) -> None:
        """Read up to 1,000 customers at once: for most companies, all that there are."""
        fetch_number = self._company.draw_fetch_number()
        try:
            raws = self._company.api.query(queries.page_by_id("Customer"))
        except (TooLarge, Poisoned):
            return  # they are read by their ids, where one that is bad does not spoil the others
        for raw in raws:
            self._keep(raw, fetch_number)

    def take(self, reads: Iterable[Read]) -> None:
        """Keep customers that somebody else has read."""
        for read in reads:
            self._keep(read.raw, read.fetch_number)

    def store(self, session: Session) -> set[str]:
        """Put what was read into the cache; return the customers that are not as they were.

        New ones are among them: an invoice may have been mapped when they could not be read.
        """
        before = customers.load(session, self._company.connection_id, self.fresh)
        changed = {
            customer_id
            for customer_id, read in self.fresh.items()
            if customer_id not in before or before[customer_id].source != read.source
        }
        customers.store(session, self._company.connection_id, self.fresh.values(), now())
        return changed

    def _missing(self, ids: set[str]) -> set[str]:
        unread = ids - self._asked - self.fresh.keys()
        if not unread:
            return set()
        with self._company.services.database.read() as session:
            return customers.stale(session, self._company.connection_id, unread, now() - _MAX_AGE)

    def _keep(self, raw: dict[str, Any], fetch_number: int) -> None:
        try:
            read = entity(raw)
        except Unmappable as e:
            self.failed[str(raw.get("Id"))[:64]] = e
            return
        self.fresh[read.id] = CustomerRead(
            quickbooks_id=read.id,
            parent_id=_id_in(raw, "ParentRef"),
            sync_token=read.sync_token,
            last_updated=read.last_updated,
            fetch_number=fetch_number,
            source=raw,
        )


def customer_id_of(raw_invoice: dict[str, Any]) -> str | None:
    """Return the id of the invoice's customer, if it names one that can be asked for."""
    return _id_in(raw_invoice, "CustomerRef")


def _id_in(raw: dict[str, Any], name: str) -> str | None:
    reference = raw.get(name)
    value = reference.get("value") if isinstance(reference, dict) else None
    return value if isinstance(value, str) and is_id(value) else None


def is_id(text: str) -> bool:
    """Return whether QuickBooks can be asked for this id."""
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID
