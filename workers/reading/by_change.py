"""Reads a company's invoices in the order in which they changed, page by page.

The cursor is the time of the last invoice read. The next page asks for that time or later, because
several invoices share a second. STARTPOSITION moves only within such a second: used alone, it would
skip rows that change during paging (reference 3.3, 4.2).

A page that QuickBooks cannot show is halved until the one bad row is alone, which is stepped over.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from service.database.tables import PageCursor
from service.errors import Poisoned, SyncError, TransientError
from service.kit.text import one_line
from service.quickbooks import queries
from service.quickbooks.entity import parse_instant
from service.quickbooks.faults import TIMED_OUT, TOO_LONG
from service.quickbooks.queries import EntityName, Page
from service.wording import called
from workers.company import CompanyContext
from workers.reading.reads import InvoiceReads, Place, Read
from workers.retry import is_ambiguous, may_pass_in_parts

# Rows after a bad one that are tried, to tell a bad row from an outage of QuickBooks.
_PROBES = 3
_NTH = {1: "first", 2: "second", 3: "third"}
# Ids of one second that are remembered, so that reading it again brings nothing twice.
_MOST_SEEN = 2 * queries.PAGE
_LONGEST_NUMBER = 40


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: at `since`, after the `skip` rows already passed in that second.

    - `seen`: ids of the rows at `since` that were read; later pages bring them again.
    - `last`: number or id of the last row read, for people.
    - `size`: rows to ask for; `slow`: more took QuickBooks too long, or too many bytes.
    - `bad`: unreadable rows that were stepped over since the last row read.
    - `behind`: unreadable rows before the first row at `since`, which may be met again.
    - `done`: the last page was not full.
    """

    since: datetime | None
    skip: int = 0
    seen: tuple[str, ...] = ()
    last: str | None = None
    size: int = field(default_factory=lambda: queries.PAGE)
    slow: bool = False
    bad: int = 0
    behind: int = 0
    done: bool = False

    def as_json(self) -> PageCursor:
        """Return the cursor in the form of a checkpoint."""
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
        """Return the cursor for what changed since the last page, from the same second on."""
        return replace(self, skip=0, bad=0, done=False)

    @classmethod
    def from_json(cls, kept: PageCursor) -> "Cursor":
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
    """One page, without the objects that the page before had, and the cursor of the next one."""

    reads: InvoiceReads
    cursor: Cursor


def read_page(
    company: CompanyContext, cursor: Cursor, entity_name: EntityName = "Invoice"
) -> ChangePage:
    """Return the page at the cursor, made smaller until QuickBooks can show it.

    Raises TransientError if QuickBooks itself is down.
    """
    asked_again = False
    while True:
        fetch_number = company.draw_fetch_number()
        try:
            rows = _rows(company, entity_name, cursor)
        except SyncError as e:
            # 4001 (invalid query) is about the query itself: a smaller page would fail too.
            if not may_pass_in_parts(e) or e.code == "4001":
                raise
            slow = cursor.slow or e.code in (TIMED_OUT, TOO_LONG)
            if asked_again:
                return _step_over(entity_name, cursor, e)
            if cursor.size == 1:
                _doubt_an_outage(company, entity_name, cursor, e)
                # The outage may have ended in between.
                asked_again = True
            else:
                cursor = replace(cursor, size=cursor.size // 2, slow=slow)
        else:
            reads = [Read(raw, fetch_number) for raw in rows.found]
            seen = frozenset(cursor.seen)
            fresh = [read for read in reads if str(read.raw.get("Id")) not in seen]
            onwards = _after(cursor, reads, rows.given, company.latest_believed())
            return ChangePage(InvoiceReads(found=fresh), onwards)


def _rows(company: CompanyContext, entity_name: EntityName, cursor: Cursor) -> Page:
    return company.api.query(
        queries.page_by_time(entity_name, cursor.since, cursor.skip + 1, cursor.size)
    )


def _doubt_an_outage(
    company: CompanyContext, entity_name: EntityName, cursor: Cursor, error: SyncError
) -> None:
    """Raise TransientError unless QuickBooks answers for one of the next rows.

    Many neighbours may share what is bad about them: an answer without rows counts too, unless the
    error is also what an outage looks like.
    """
    probes = [replace(cursor, skip=cursor.skip + ahead) for ahead in range(1, _PROBES + 1)]
    for probe in probes:
        try:
            _rows(company, entity_name, probe)
        except SyncError as e:
            if not may_pass_in_parts(e):
                raise
        else:
            return
    if isinstance(error, Poisoned) and not is_ambiguous(error):
        with suppress(Poisoned):
            company.api.count(queries.count(entity_name))
            return
    raise TransientError(str(error), intuit_tid=error.intuit_tid, code=error.code)


def _step_over(entity_name: EntityName, cursor: Cursor, error: SyncError) -> ChangePage:
    """Return a page without the bad row, which is named by its place."""
    passed = replace(cursor, skip=cursor.skip + 1, bad=cursor.bad + 1)
    if cursor.skip < cursor.behind:  # it was named when it was met for the first time
        return ChangePage(InvoiceReads(), passed)
    place = Place(_place(entity_name, cursor, passed.bad), cursor.since)
    return ChangePage(InvoiceReads(unnamed={place: error}), passed)


def _place(entity_name: EntityName, cursor: Cursor, number: int) -> str:
    """Return the place of an unreadable row, from the row before it, in words."""
    nth = f"{_NTH.get(number, f'{number}th')} {entity_name.lower()}"
    if cursor.last is not None:
        return f"the {nth} after {cursor.last} in the order of changes"
    if cursor.since is not None:
        return f"the {nth} changed since {cursor.since:%Y-%m-%d %H:%M:%S} UTC"
    return f"the {nth} of all in the order of changes"


def _after(cursor: Cursor, reads: Sequence[Read], given: int, latest: datetime) -> Cursor:
    """Return where to go on: after the last change whose time is not ahead of `latest`.

    `given` are the positions that the page took: dropped rows filled it, but need not be there the
    next time.
    """
    done = given < cursor.size
    times = (read.changed_at for read in reads)
    last = max((t for t in times if t and t <= latest), default=cursor.since)
    at_last = tuple(str(read.raw.get("Id")) for read in reads if read.changed_at == last)
    size = cursor.size if cursor.slow else min(cursor.size * 2, queries.PAGE)
    name = _called(reads[-1]) if reads else cursor.last
    here = replace(cursor, since=last, last=name, size=size, bad=0, done=done)
    if last == cursor.since:
        # Still inside the same second.
        seen = tuple(dict.fromkeys([*cursor.seen, *at_last]))[-_MOST_SEEN:]
        return replace(here, skip=cursor.skip + (0 if done else len(reads)), seen=seen)
    whole_page = len(at_last) == len(reads) and not done
    skip = len(reads) if whole_page else 0
    return replace(here, skip=skip, seen=at_last, behind=cursor.bad)


def _called(read: Read) -> str:
    number = one_line(read.raw.get("DocNumber"), _LONGEST_NUMBER)
    return called(one_line(read.raw.get("Id"), _LONGEST_NUMBER), number)
