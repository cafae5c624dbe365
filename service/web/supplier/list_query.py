"""The query parameters of a supplier's invoice list: search, filter, order and page."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import urlencode

from service.domain import State
from service.infactor.wording import states_by_word, status
from service.queries.invoice_totals import UNDER_WAY
from service.queries.invoices import Sort, StatusFilter, Wanted
from service.web.supplier import invoice_view
from service.web.templating import ROW_ID
from service.wording import amount_in

SORTS = {
    Sort.NEWEST: "Newest first",
    Sort.NUMBER: "Invoice no.",
    Sort.BUYER: "Buyer, A to Z",
    Sort.AMOUNT: "Amount, highest first",
    Sort.DUE: "Due, soonest first",
}
_LONGEST_WORDS = 100
_SIZE, _LARGEST_SIZE = 50, 100
# As our own pages write a number or an amount.
_WRITTEN_BEFORE = re.compile(r"^(?:quickbook )?# *(?=.)", re.IGNORECASE)
OPEN = "open"
ALL = "all"
TO_FIX = "to-fix"
TO_CORRECT = "to-correct"
TO_INVITE = "to-invite"
UNSEEN = "unseen"
CHANGED = "changed"
IN_INFACTOR = "in-infactor"
WAITING = "waiting"
APPROVED = "approved"
NOT_IN_INFACTOR = "not-in-infactor"
CLOSED = "closed"
ON_ITS_WAY = "on-its-way"
"""Offered only if invoices are delivered to Infactor's database."""

_OF_OWN = {
    OPEN: ("Open", StatusFilter("open")),
    TO_FIX: ("Needs attention", StatusFilter("to fix")),
    WAITING: (invoice_view.WAITING, StatusFilter("states", (State.INVOICE_CREATED,))),
    APPROVED: ("Approved", StatusFilter("states", UNDER_WAY)),
    NOT_IN_INFACTOR: ("Not in Infactor", StatusFilter("not in infactor")),
    CLOSED: ("Paid or void", StatusFilter("closed")),
    ALL: ("All invoices", StatusFilter()),
    TO_CORRECT: ("To fix in QuickBooks", StatusFilter("to correct")),
    TO_INVITE: ("Buyers to invite", StatusFilter("to invite")),
    UNSEEN: (invoice_view.UNSEEN, StatusFilter("unseen")),
    CHANGED: ("Changed since decided", StatusFilter("changed")),
    IN_INFACTOR: ("In Infactor", StatusFilter("in infactor")),
    ON_ITS_WAY: ("On its way to Infactor", StatusFilter("on its way")),
}
TABS = (OPEN, TO_FIX, WAITING, APPROVED, NOT_IN_INFACTOR, CLOSED)


def _statuses() -> dict[str, tuple[str, StatusFilter]]:
    """Return {name in the address: (words, filter)}: the tabs first, then all others."""
    known = {status(State.INVOICE_CREATED), status(State.INVOICE_ACCEPTED)}
    of_infactor = {
        word.lower().replace(" ", "-"): (word, StatusFilter("states", states))
        for word, states in states_by_word().items()
        if word not in known
    }
    return _OF_OWN | of_infactor


STATUSES = _statuses()


@dataclass(frozen=True)
class ListQuery:
    """What an address asks for; invalid parameters are ignored.

    Without a status these are the open invoices, or all where words are searched for.
    """

    words: str = ""
    status: str = OPEN
    company: str = ""
    sort: Sort = Sort.NEWEST
    after: str | None = None
    before: str | None = None
    last: bool = False
    size: int = _SIZE

    @classmethod
    def of(cls, query: Mapping[str, str], otherwise: str = OPEN) -> "ListQuery":
        """Return what these parameters ask for; without words and status, `otherwise`."""
        sort = query.get("sort", "")
        status = query.get("status", "")
        words = " ".join(query.get("q", "").replace("\0", "").split())[:_LONGEST_WORDS]
        return cls(
            words=words,
            status=status if status in STATUSES else ALL if words else otherwise,
            company=_row(query.get("company")) or "",
            sort=Sort(sort) if sort in list(Sort) else Sort.NEWEST,
            after=_row(query.get("after")),
            before=_row(query.get("before")),
            last="last" in query,
            size=_size(query.get("size", "")),
        )

    def among(self, connection_ids: Collection[str]) -> "ListQuery":
        """Return the query without a company that is not among these."""
        return self if self.company in connection_ids else replace(self, company="")

    def wanted(self, connection_ids: Iterable[str], supplier_id: int) -> Wanted:
        """Return the same as a query of the store."""
        return Wanted(
            connection_ids=(self.company,) if self.company else tuple(connection_ids),
            supplier_id=supplier_id,
            words=_WRITTEN_BEFORE.sub("", self.words),
            amount=amount_in(self.words),
            status=STATUSES[self.status][1],
            sort=self.sort,
        )

    @property
    def narrows(self) -> bool:
        """True if words, a company or a status was chosen."""
        return bool(self.words or self.company) or self.status not in (OPEN, ALL)

    def under(
        self,
        *,
        words: str | None = None,
        status: str | None = None,
        company: str | None = None,
        sort: str | None = None,
    ) -> str:
        """Return the parameters of another list, which differs in these."""
        other = replace(
            self,
            words=self.words if words is None else words,
            status=status or self.status,
            company=self.company if company is None else company,
            sort=Sort(sort) if sort else self.sort,
        )
        return other.query

    @cached_property
    def file_query(self) -> str:
        """The parameters of the file with the same invoices."""
        return "&".join(filter(None, (self.query, "status=open" * (self._implied == OPEN))))

    @property
    def _implied(self) -> str | None:
        """The status that the address does not name; None if it names one."""
        usual = ALL if self.words else OPEN
        return usual if self.status == usual else None

    @cached_property
    def query(self) -> str:
        """The parameters of the list, without the page."""
        said = {
            "q": self.words,
            "status": "" if self._implied else self.status,
            "company": self.company,
            "size": "" if self.size == _SIZE else str(self.size),
            "sort": "" if self.sort is Sort.NEWEST else self.sort.value,
        }
        return urlencode({name: value for name, value in said.items() if value})

    @cached_property
    def whole_query(self) -> str:
        """The parameters with the page."""
        return self.turned(after=self.after, before=self.before, last=self.last)

    def turned(
        self, *, after: str | None = None, before: str | None = None, last: bool = False
    ) -> str:
        """Return the parameters of another page of the same list."""
        page = {"after": after, "before": before, "last": "1" if last else None}
        more = urlencode({name: value for name, value in page.items() if value})
        return "&".join(filter(None, (self.query, more)))


def _row(text: str | None) -> str | None:
    return text if text and ROW_ID.fullmatch(text) else None


def _size(text: str) -> int:
    known = text.isascii() and text.isdigit() and len(text) < 6
    return min(max(int(text), 1), _LARGEST_SIZE) if known else _SIZE
