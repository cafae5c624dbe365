"""The customers that a batch of invoices needs: from the cache, or read in few queries."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from service.errors import Unmappable
from service.quickbooks import statements
from service.quickbooks.entities import entity
from service.store import customers
from service.store.customers import CustomerRead
from service.times import now
from workers.company import Company
from workers.reading import MAX_IDS

# Renewed by their own notices; by age as well, because a notice can be lost.
_MAX_AGE = timedelta(days=30)


class CustomerReads:
    """Customers read on behalf of one batch, kept in memory until the batch is recorded."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.fresh: dict[str, CustomerRead] = {}
        self._asked: set[str] = set()

    def ensure(self, ids: Collection[str]) -> None:
        """Read those customers, and their parents up to the top, that the cache lacks."""
        wanted = set(ids)
        for _ in range(customers.MAX_DEPTH + 1):
            missing = self._missing(wanted)
            if not missing:
                return
            self.read(missing)
            wanted = {
                read.parent_id
                for read in self.fresh.values()
                if read.parent_id and read.quickbooks_id in wanted
            }

    def read(self, ids: Collection[str]) -> None:
        """Read these customers, whatever the cache holds."""
        ordered = sorted(i for i in ids if i.isascii() and i.isdigit())
        self._asked |= set(ids)
        for start in range(0, len(ordered), MAX_IDS):
            fetch_number = self._company.draw_fetch_number()
            statement = statements.by_ids("Customer", ordered[start : start + MAX_IDS])
            self._keep(self._company.api.query(statement), fetch_number)

    def read_first_page(self) -> None:
        """Read up to 1,000 customers at once: for most companies, all that there are."""
        fetch_number = self._company.draw_fetch_number()
        self._keep(self._company.api.query(statements.page_by_id("Customer")), fetch_number)

    def store(self, session: Session) -> set[str]:
        """Put what was read into the cache; return the customers that are not as they were."""
        before = customers.load(session, self._company.connection_id, self.fresh)
        changed = {
            customer_id
            for customer_id, read in self.fresh.items()
            if customer_id in before and before[customer_id].source != read.source
        }
        customers.store(session, self._company.connection_id, self.fresh.values(), now())
        return changed

    def _missing(self, ids: set[str]) -> set[str]:
        unread = ids - self._asked - self.fresh.keys()
        if not unread:
            return set()
        with self._company.services.database.read() as session:
            return customers.stale(session, self._company.connection_id, unread, now() - _MAX_AGE)

    def _keep(self, raws: Iterable[dict[str, Any]], fetch_number: int) -> None:
        for raw in raws:
            try:
                read = entity(raw)
            except Unmappable:
                continue  # the invoices of such a customer map without it, with a warning
            self.fresh[read.id] = CustomerRead(
                quickbooks_id=read.id,
                parent_id=_parent_id(raw),
                sync_token=read.sync_token,
                last_updated=read.last_updated,
                fetch_number=fetch_number,
                source=raw,
            )


def _parent_id(raw: dict[str, Any]) -> str | None:
    parent = raw.get("ParentRef")
    value = parent.get("value") if isinstance(parent, dict) else None
    return value if isinstance(value, str) and len(value) <= 64 else None


def customer_id_of(raw_invoice: dict[str, Any]) -> str | None:
    """Return the id of the invoice's customer, if it names one that can be asked for."""
    reference = raw_invoice.get("CustomerRef")
    value = reference.get("value") if isinstance(reference, dict) else None
    return value if isinstance(value, str) and value.isascii() and value.isdigit() else None
