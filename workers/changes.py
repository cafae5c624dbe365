"""Reading a company's invoices in the order in which they changed, page by page.

The cursor is the time of the last invoice seen: the next page asks for that time or later, because
several invoices share a second. STARTPOSITION moves only inside one such second: with it alone,
rows that change while paging would slip from page to page unseen (reference 3.3, 4.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.errors import Unmappable
from service.quickbooks import statements
from service.quickbooks.entities import entity
from service.quickbooks.moments import moment
from workers.company import Company
from workers.reading import InvoiceReads, Read


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: at `since`, after the `skip` rows already seen inside it.

    `seen` are the ids of the last page's rows at `since`, which the next page brings again;
    `done` says that the last page was not full.
    """

    since: datetime | None
    skip: int = 0
    seen: tuple[str, ...] = ()
    done: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the cursor as a checkpoint keeps it."""
        since = None if self.since is None else self.since.isoformat()
        return {"since": since, "skip": self.skip, "seen": list(self.seen), "done": self.done}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Cursor":
        """Return the cursor of a checkpoint."""
        since = kept["since"]
        return cls(
            since=None if since is None else moment(since),
            skip=kept["skip"],
            seen=tuple(kept["seen"]),
            done=kept["done"],
        )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of invoices, without those that the page before had, and where to go on."""

    reads: InvoiceReads
    cursor: Cursor


def read_page(company: Company, cursor: Cursor) -> Page:
    """Return the page at the cursor."""
    fetch_number = company.draw_fetch_number()
    statement = statements.page_by_time("Invoice", cursor.since, cursor.skip + 1)
    raws = company.api.query(statement)
    fresh = [raw for raw in raws if raw.get("Id") not in cursor.seen]
    return Page(
        reads=InvoiceReads(found=[Read(raw, fetch_number) for raw in fresh]),
        cursor=_after(cursor, raws, done=len(raws) < statements.PAGE),
    )


def _after(cursor: Cursor, raws: Sequence[dict[str, Any]], *, done: bool) -> Cursor:
    times = [t for raw in raws if (t := _changed_at(raw))]
    last = max(times, default=cursor.since)
    at_last = tuple(str(raw.get("Id")) for raw in raws if _changed_at(raw) == last)
    if last == cursor.since:
        # Still inside the same second.
        if done:
            return Cursor(last, cursor.skip, tuple({*cursor.seen, *at_last}), done)
        return Cursor(last, cursor.skip + len(raws), at_last)
    whole_page = len(at_last) == len(raws) and not done
    return Cursor(last, len(raws) if whole_page else 0, at_last, done)


def _changed_at(raw: dict[str, Any]) -> datetime | None:
    try:
        # Queries compare whole seconds, so the cursor does too.
        return entity(raw).last_updated.replace(microsecond=0)
    except Unmappable:
        return None
