"""Reading a company's invoices in the order in which they changed, page by page.

The cursor is the time of the last invoice seen: the next page asks for that time or later, because
several invoices share a second. STARTPOSITION moves only inside one such second: with it alone,
rows that change while paging would slip from page to page unseen (reference 3.3, 4.2).

A page that QuickBooks cannot show is made smaller until the one bad row is alone, which is stepped
over: the rest flows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from service.database.tables import PageCursor
from service.errors import SyncError, TransientError, Unmappable
from service.kit.text import one_line
from service.quickbooks import queries
from service.quickbooks.entity import entity, parse_instant
from service.quickbooks.http import TIMED_OUT
from service.quickbooks.queries import EntityName
from service.wording import called
from workers.company import CompanyContext
from workers.reading.reads import InvoiceReads, Read
from workers.retry import may_pass_in_parts

# Positions after a bad row that are asked for, to tell a bad row from an unwell QuickBooks.
_PROBES = 3
_NTH = {1: "first", 2: "second", 3: "third"}
# Ids of one second that are remembered, so that going through it once more brings nothing twice.
_MOST_SEEN = 2 * queries.PAGE
_LONGEST_NUMBER = 40


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: at `since`, after the `skip` rows already passed inside it.

    `seen` are the ids of the rows at `since` that were read, which later pages bring again; `last`
    is what people call the row that was read last. `size` is how many rows to ask for, `slow` says
    that more took QuickBooks too long. `bad` rows that
    cannot be shown were stepped over since a row was read; `behind` of them right before the first
    row at `since`, where they are met again if they are of the same second. `done` says that the
    last page was not full.
    """

    since: datetime | None
    skip: int = 0
    seen: tuple[str, ...] = ()
    last: str | None = None
    size: int = queries.PAGE
    slow: bool = False
    bad: int = 0
    behind: int = 0
    done: bool = False

    def as_json(self) -> PageCursor:
        """Return the cursor as a checkpoint keeps it."""
        since = None if self.since is None else self.since.isoformat()
        return {
            "since": since,
            "skip": self.skip,
            "seen": list(self.seen),
            "last": self.last,
            "size": self.size,
            "slow": self.slow,
            "bad": self.bad,
            "behind": self.behind,
            "done": self.done,
        }

    def once_more(self) -> "Cursor":
        """Return the cursor that brings what changed since the last page.

        It begins with the same second, where the bad rows `behind` it are met again.
        """
        return replace(self, skip=0, bad=0, done=False)

    @classmethod
    def from_json(cls, kept: PageCursor) -> "Cursor":
        """Return the cursor of a checkpoint."""
        since = kept["since"]
        return cls(
            since=None if since is None else parse_instant(since),
            skip=kept["skip"],
            seen=tuple(kept["seen"]),
            last=kept["last"],
            size=kept["size"],
            slow=kept["slow"],
            bad=kept["bad"],
            behind=kept["behind"],
            done=kept["done"],
        )


@dataclass(frozen=True, slots=True)
class ChangePage:
    """One page of objects, without those that the page before had, and where to go on."""

    reads: InvoiceReads
    cursor: Cursor


def read_page(
    company: CompanyContext, cursor: Cursor, entity_name: EntityName = "Invoice"
) -> ChangePage:
    """Return the page at the cursor, as large as QuickBooks can show it."""
    while True:
        fetch_number = company.draw_fetch_number()
        try:
            raws = _rows(company, entity_name, cursor)
        except SyncError as e:
            # 4001 is about the query itself: no part of it would fare better.
            if not may_pass_in_parts(e) or e.code == "4001":
                raise
            slow = cursor.slow or e.code == TIMED_OUT
            if cursor.size == 1:
                _doubt_an_outage(company, entity_name, cursor, e)
                return _step_over(entity_name, cursor, e)
            cursor = replace(cursor, size=cursor.size // 2, slow=slow)
        else:
            fresh = [Read(raw, fetch_number) for raw in raws if raw.get("Id") not in cursor.seen]
            onwards = _after(cursor, raws, company.latest_believed())
            return ChangePage(InvoiceReads(found=fresh), onwards)


def _rows(company: CompanyContext, entity_name: EntityName, cursor: Cursor) -> list[dict[str, Any]]:
    return company.api.query(
        queries.page_by_time(entity_name, cursor.since, cursor.skip + 1, cursor.size)
    )


def _doubt_an_outage(
    company: CompanyContext, entity_name: EntityName, cursor: Cursor, error: SyncError
) -> None:
    """Raise TransientError unless QuickBooks can show one of the next rows, or that it has none."""
    for ahead in range(1, _PROBES + 1):
        try:
            _rows(company, entity_name, replace(cursor, skip=cursor.skip + ahead))
        except SyncError as e:
            if not may_pass_in_parts(e):
                raise
        else:
            return
    raise TransientError(str(error), intuit_tid=error.intuit_tid, code=error.code)


def _step_over(entity_name: EntityName, cursor: Cursor, error: SyncError) -> ChangePage:
    """Go on after a row that cannot be shown, and name it by its place."""
    passed = replace(cursor, skip=cursor.skip + 1, bad=cursor.bad + 1)
    if cursor.skip < cursor.behind:  # it was named when it was met for the first time
        return ChangePage(InvoiceReads(), passed)
    place = _place(entity_name, cursor, passed.bad)
    return ChangePage(InvoiceReads(unnamed={place: error}), passed)


def _place(entity_name: EntityName, cursor: Cursor, number: int) -> str:
    """Return how people find a row of which nobody knows more than what comes before it."""
    nth = f"{_NTH.get(number, f'{number}th')} {entity_name.lower()}"
    if cursor.last is not None:
        return f"the {nth} after {cursor.last} in the order of changes"
    if cursor.since is not None:
        return f"the {nth} changed since {cursor.since:%Y-%m-%d %H:%M:%S} UTC"
    return f"the {nth} of all in the order of changes"


def _after(cursor: Cursor, raws: Sequence[dict[str, Any]], latest: datetime) -> Cursor:
    """Return where to go on: after the last change whose time is not ahead of `latest`."""
    done = len(raws) < cursor.size
    times = [t for raw in raws if (t := changed_at(raw)) and t <= latest]
    last = max(times, default=cursor.since)
    at_last = tuple(str(raw.get("Id")) for raw in raws if changed_at(raw) == last)
    size = cursor.size if cursor.slow else min(cursor.size * 2, queries.PAGE)
    name = _called(raws[-1]) if raws else cursor.last
    here = replace(cursor, since=last, last=name, size=size, bad=0, done=done)
    if last == cursor.since:
        # Still inside the same second.
        seen = tuple(dict.fromkeys([*cursor.seen, *at_last]))[-_MOST_SEEN:]
        return replace(here, skip=cursor.skip + (0 if done else len(raws)), seen=seen)
    whole_page = len(at_last) == len(raws) and not done
    skip = len(raws) if whole_page else 0
    return replace(here, skip=skip, seen=at_last, behind=cursor.bad)


def _called(raw: dict[str, Any]) -> str:
    number = one_line(raw.get("DocNumber"), _LONGEST_NUMBER)
    return called(one_line(raw.get("Id"), _LONGEST_NUMBER), number)


def changed_at(raw: dict[str, Any]) -> datetime | None:
    """Return the second in which an object was last changed, or None if it does not say."""
    try:
        # Queries compare whole seconds, so the cursor does too.
        return entity(raw).last_updated.replace(microsecond=0)
    except Unmappable:
        return None
