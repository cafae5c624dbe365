"""The supplier's dashboard: connected companies, and their invoices."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.database.tables import Supplier
from service.errors import OutOfTime
from service.kit.clock import now
from service.queries import invoices
from service.queries.invoices import InvoicePage, StatusFilter, Wanted
from service.store import connections
from service.web.connect.popup import since
from service.web.session import supplier_of
from service.web.state import AppState
from service.web.supplier.companies import CompanyView, companies_of
from service.web.supplier.invoice_view import ListedInvoice, row
from service.web.supplier.list_query import (
    CHANGED,
    NOT_OFFERED,
    ON_ITS_WAY,
    SORTS,
    STATUSES,
    TO_FIX,
    ListQuery,
)
from service.web.templating import render
from service.web.threads import in_dedicated_threads

PAGE_SECONDS = 2.0
_SEARCHES_AT_ONCE = 4
# The links of a company's card: status, and its words.
_NEWS = {TO_FIX: "to fix", CHANGED: "changed since decided", NOT_OFFERED: "not in Infactor"}


def dashboard(request: Request[AppState]) -> Response:
    supplier = supplier_of(request)
    shown = _shown(request, supplier)
    return render(request, "dashboard.html", _context(request, supplier, shown))


def live(request: Request[AppState]) -> Response:
    """Show the changing parts of the dashboard, or 204 if the browser has them already."""
    supplier = supplier_of(request, keep_alive=False)
    shown = _shown(request, supplier)
    if request.query_params.get("seen") == shown.version:
        return Response(status_code=204)
    return render(request, "live.html", {**_context(request, supplier, shown), "swapped": True})


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
        shown = (state, self.rows, more, self.out_of_time)
        return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


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
    numbers, news = _numbers(request, ids, supplier.id)
    matches = _matches(request, shown, asked.wanted(ids, supplier.id))
    return {
        "supplier": supplier,
        "companies": companies,
        "names": {one.connection.id: one.connection.company_name for one in companies},
        "counts": numbers,
        "news": news,
        "asked": asked,
        "sorts": SORTS,
        "statuses": _statuses(delivers=request.state["services"].settings.delivers),
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
    request: Request[AppState], ids: Sequence[str], supplier_id: int
) -> tuple[dict[str, tuple[int, int]], dict[str, list[tuple[str, str, int]]]]:
    """Return what the companies' cards count; nothing if that takes too long."""
    try:
        with request.state["services"].database.read(seconds=PAGE_SECONDS) as session:
            numbers = request.state["count_cache"].of_companies(session, ids, supplier_id)
            return numbers, _news(request, session, ids, supplier_id)
    except OutOfTime:
        return {}, {}


def _news(
    request: Request[AppState], session: Session, ids: Sequence[str], supplier_id: int
) -> dict[str, list[tuple[str, str, int]]]:
    """Return {company: [(status, words, count)]} for statuses with any invoices."""
    filters = tuple(STATUSES[status][1] for status in _NEWS)
    counts = request.state["count_cache"].by_status(session, ids, supplier_id, filters)
    return {
        i: [
            (status, words, n)
            for (status, words), n in zip(_NEWS.items(), numbers, strict=True)
            if n
        ]
        for i, numbers in counts.items()
    }


def _matches(request: Request[AppState], shown: DashboardView, wanted: Wanted) -> int | None:
    """Return how many invoices match; None if nothing narrows the list, or counting takes long."""
    if not shown.asked.narrows or shown.out_of_time:
        return None
    if not (shown.page.earlier or shown.page.later):
        return len(shown.rows)
    try:
        with request.state["services"].database.read(seconds=PAGE_SECONDS) as session:
            return invoices.count(session, wanted)
    except OutOfTime:
        return None


def _statuses(*, delivers: bool) -> dict[str, tuple[str, StatusFilter]]:
    return {n: s for n, s in STATUSES.items() if delivers or n != ON_ITS_WAY}


def routes() -> list[Route]:
    """Return the dashboard's routes; searches leave the common threads free."""
    searching = in_dedicated_threads(_SEARCHES_AT_ONCE, only=_is_search)
    return [
        Route("/quickbook/", searching(dashboard)),
        Route("/quickbook/live", searching(live)),
    ]


def _is_search(request: Request[AppState]) -> bool:
    return bool(request.query_params.get("q") or request.query_params.get("status"))
