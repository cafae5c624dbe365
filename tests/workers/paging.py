"""A company's invoices, and the pages in which a backfill reads them."""

from datetime import UTC, datetime, timedelta

from service.quickbooks import queries
from tests.workers.world import REALM, World, an_invoice
from workers.company import CompanyContext
from workers.reading.by_change import Cursor, read_page

START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(world: World, seconds: list[int]) -> None:
    """Let there be invoices that changed so many seconds after START, and no others."""
    times = [(START + timedelta(seconds=second)).isoformat() for second in seconds]
    world.simulator.simulator.companies[REALM].load(
        "Invoice",
        [
            an_invoice(str(n + 1), MetaData={"CreateTime": t, "LastUpdatedTime": t})
            for n, t in enumerate(times)
        ],
        START,
    )


def pages(
    world: World, since: datetime | None = None, size: int | None = None
) -> tuple[list[str], list[str]]:
    """Return the ids that all pages bring, and the places of what cannot be shown."""
    company = CompanyContext.of(world.services, world.connection_id)
    cursor, found, unnamed = Cursor(since, size=size or queries.PAGE), [], []
    while not cursor.done:
        page = read_page(company, cursor)
        found += [read.raw["Id"] for read in page.reads.found]
        unnamed += page.reads.unnamed
        cursor = Cursor.from_json(page.cursor.as_json())
    return found, unnamed
