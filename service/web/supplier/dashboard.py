"""The supplier's dashboard: connected companies, and their invoices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.database.tables import Supplier
from service.errors import OutOfTime
from service.kit.clock import now
from service.queries import invoices
from service.queries.invoice_totals import Portion, Total, together
from service.queries.invoices import InvoicePage, Sort, Wanted
from service.store import connections
from service.web.connect.popup import since
from service.web.session import supplier_of
from service.web.state import AppState
from service.web.supplier import invoice_view
from service.web.supplier.companies import CompanyView, companies_of
from service.web.supplier.invoice_view import ListedInvoice, row
from service.web.supplier.list_query import (
    ALL,
    APPROVED,
    CHANGED,
    CLOSED,
    IN_INFACTOR,
    NOT_IN_INFACTOR,
    ON_ITS_WAY,
    OPEN,
    SORTS,
    STATUSES,
    TABS,
    TO_CORRECT,
    TO_FIX,
    TO_INVITE,
    UNSEEN,
    WAITING,
    ListQuery,
)
from service.web.templating import render, unless_seen, version_of
from service.web.threads import in_turns

PAGE_SECONDS = 2.0
# Their threads compete with those of all other pages for the interpreter, and on SQLite, which
# searches in them, for the processor as well.
_SEARCHES_AT_ONCE, _AT_ONCE_ON_SQLITE = 2, 1
# The newest of each of these are found in an index of their own.
_INDEXED = frozenset({TO_FIX, TO_CORRECT, TO_INVITE, UNSEEN, NOT_IN_INFACTOR, CLOSED})
_COUNTED = (OPEN, TO_FIX, UNSEEN, CHANGED, CLOSED)
_PORTIONS = {
    Portion.INFACTOR: (IN_INFACTOR, "In Infactor"),
    Portion.WAITING: (WAITING, invoice_view.WAITING),
    Portion.APPROVED: (APPROVED, "Approved"),
    Portion.OUTSIDE: (NOT_IN_INFACTOR, "Not in Infactor"),
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One sum of money in each currency, Infactor's first, and the list that it leads to."""

    status: str
    words: str
    totals: Sequence[Total]
    count: int


@dataclass(frozen=True, slots=True)
class PageNumbers:
    """What the page counts; a number that is None was not counted, as that took too long.

    `counts` has the invoices of each tab, and of the statuses `unseen` and `changed`.
    """

    companies: Mapping[str, tuple[int, int]]
    tiles: Sequence[Tile]
    counts: Mapping[str, int]

    @property
    def attention(self) -> int | None:
        """How many invoices need attention."""
        known = [self.counts[name] for name in (TO_FIX, CHANGED) if name in self.counts]
        return sum(known) if known else None


def dashboard(request: Request[AppState]) -> Response:
    supplier = supplier_of(request)
    shown = _shown(request, supplier)
    return render(request, "dashboard.html", _context(request, supplier, shown))


def live(request: Request[AppState]) -> Response:
    """Show the changing parts of the dashboard, or 204 if the browser has them already."""
    supplier = supplier_of(request, keep_alive=False)
    shown = _shown(request, supplier)
    return unless_seen(
        request,
        shown.version,
        lambda: render(
            request, "live.html", {**_context(request, supplier, shown), "swapped": True}
        ),
    )


@dataclass(frozen=True, slots=True)
class DashboardView:
    """The page without its counts, which take longer than all the rest."""

    asked: ListQuery
    companies: list[CompanyView]
    page: InvoicePage
    rows: list[ListedInvoice]
    out_of_time: bool

    @property
    def version(self) -> str:
        """A hash of everything shown, without the counts."""
        state = [
            (
                *(one.id, one.company_name, one.state, one.suspended_at, one.last_synced_at),
                *(c.unavailable, c.refused, c.ends_at, c.progress, c.failed),
            )
            for c in self.companies
            for one in (c.connection,)
        ]
        more = (self.page.earlier, self.page.later)
        return version_of((state, self.rows, more, self.out_of_time))


def _shown(request: Request[AppState], supplier: Supplier) -> DashboardView:
    settings = request.state["services"].settings
    with request.state["services"].database.read() as session:
        mine = connections.of_supplier(session, supplier.id, settings.quickbooks_environment)
        ids = [connection.id for connection in mine]
        asked = ListQuery.of(request.query_params).among(ids)
        companies = companies_of(session, mine)
    page, out_of_time = InvoicePage([], frozenset(), earlier=False, later=False), False
    try:
        with request.state["services"].database.read(seconds=PAGE_SECONDS) as session:
            page = invoices.page(
                session,
                asked.wanted(ids, supplier.id),
                asked.size,
                after=asked.after,
                before=asked.before,
                from_end=asked.last,
            )
    except OutOfTime:
        out_of_time = True
    today = now().date()
    currency = settings.infactor_currency
    rows = [row(one, currency, today, changed=one[0].id in page.changed) for one in page.found]
    return DashboardView(asked, companies, page, rows, out_of_time)


def _context(
    request: Request[AppState], supplier: Supplier, shown: DashboardView
) -> dict[str, Any]:
    asked, companies = shown.asked, shown.companies
    ids = [company.connection.id for company in companies]
    numbers = _numbers(request, [asked.company] if asked.company else ids, ids, supplier.id)
    matches = _matches(request, shown, asked.wanted(ids, supplier.id))
    delivers = request.state["services"].settings.delivers
    statuses = {n: words for n, (words, _) in STATUSES.items() if delivers or n != ON_ITS_WAY}
    return {
        "supplier": supplier,
        "companies": companies,
        "names": {one.connection.id: one.connection.company_name for one in companies},
        "numbers": numbers,
        "asked": asked,
        "sorts": SORTS,
        "statuses": statuses,
        "tabs": TABS,
        "others": [name for name in statuses if name not in TABS],
        "rows": shown.rows,
        "page": shown.page,
        "matches": matches,
        "out_of_time": shown.out_of_time,
        "most_counted": invoices.MOST_COUNTED,
        "version": shown.version,
        "swapped": False,
        "since": since(),
    }


def _numbers(
    request: Request[AppState], chosen: Sequence[str], every: Sequence[str], supplier_id: int
) -> PageNumbers:
    """Return what the page counts, of the chosen companies; nothing if that takes too long."""
    cache, currency = (
        request.state["count_cache"],
        request.state["services"].settings.infactor_currency,
    )
    filters = tuple(STATUSES[name][1] for name in _COUNTED)
    try:
        with request.state["services"].database.read(seconds=PAGE_SECONDS) as session:
            companies = cache.of_companies(session, every, supplier_id)
            found = cache.by_status(session, chosen, supplier_id, filters)
            money = together(cache.money(session, chosen, supplier_id).values(), currency)
    except OutOfTime:
        return PageNumbers({}, (), {})
    tiles = [
        Tile(
            name,
            words,
            money[portion] or (Total(currency, 0, Decimal(0)),),
            sum(one.count for one in money[portion]),
        )
        for portion, (name, words) in _PORTIONS.items()
    ]
    counts = {name: sum(each[n] for each in found.values()) for n, name in enumerate(_COUNTED)}
    return PageNumbers(companies, tiles, counts | {tile.status: tile.count for tile in tiles})


def _matches(request: Request[AppState], shown: DashboardView, wanted: Wanted) -> int | None:
    """Return how many invoices match; None if nothing narrows the list, or counting takes long."""
    if not shown.asked.narrows or shown.out_of_time:
        return None
    if shown.page.matches is not None:
        return shown.page.matches
    if not (shown.page.earlier or shown.page.later):
        return len(shown.rows)
    try:
        with request.state["services"].database.read(seconds=PAGE_SECONDS) as session:
            return invoices.count(session, wanted)
    except OutOfTime:
        return None


def routes(*, on_postgresql: bool) -> list[Route]:
    """Return the dashboard's routes; searches leave the common threads free."""
    at_once = _SEARCHES_AT_ONCE if on_postgresql else _AT_ONCE_ON_SQLITE
    searching = in_turns(at_once, only=_is_search)
    return [
        Route("/quickbook/", searching(dashboard)),
        Route("/quickbook/live", searching(live)),
    ]


def _is_search(request: Request[AppState]) -> bool:
    """Return whether it may take a look at every invoice: no index leads to what is asked for."""
    asked = ListQuery.of(request.query_params)
    if asked.words:
        return True
    indexed = asked.status in _INDEXED and asked.sort is Sort.NEWEST
    return not indexed and asked.status not in (OPEN, ALL)
