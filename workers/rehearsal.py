"""A backfill that writes nothing: what it would do, and what it will cost."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.quickbooks import statements
from service.store.runs import EMPTY_TALLY
from workers.changes import Cursor, read_page
from workers.company import Company
from workers.customers import CustomerReads
from workers.record import rehearse
from workers.tally import add

# A page of 1,000 invoices, with the time that QuickBooks takes for it and we for recording it.
_SECONDS_PER_PAGE = 3.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a backfill will cost: metered reads, and seconds."""

    invoices: int
    reads: int
    seconds: float


def estimate(company: Company, since: datetime | None) -> Estimate:
    """Return the cost of a backfill, for one read of its own."""
    count = company.api.count(statements.count("Invoice", since))
    # Pages overlap by the invoices of one second; two counts, and a page of customers.
    pages = count // (statements.PAGE - 10) + 1
    return Estimate(count, reads=pages + 3, seconds=round(pages * _SECONDS_PER_PAGE, 1))


def rehearse_backfill(
    company: Company, since: datetime | None, on_page: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Return the tally that a backfill would have; `on_page` is told it after each page."""
    tally: dict[str, Any] = EMPTY_TALLY
    cursor = Cursor(since)
    buyers = CustomerReads(company)
    while not cursor.done:
        page = read_page(company, cursor)
        if cursor.since is None and page.reads.found:
            buyers.read_first_page()
        tally = add(tally, rehearse(company, page.reads, buyers))
        on_page(tally)
        cursor = page.cursor
    return tally
