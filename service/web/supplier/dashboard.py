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
    TO_MEND,
    ListQuery,
)
from service.web.templating import render

# The links of a company's card: status, and its words.
_NEWS = {TO_MEND: "to mend", CHANGED: "changed since decided", NOT_OFFERED: "not offered"}


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

    @property
    def version(self) -> str:
        """A hash of everything shown, without the counts."""
        state = [
            (
                *(one.id, one.company_name, one.state, one.suspended_at, one.last_synced_at),
                *(c.unwell, c.refused, c.ends_at, c.progress, c.failed),
            )
            for c in self.companies
            for one in (c.connection,)
        ]
        more = (self.page.earlier, self.page.later)
        return hashlib.sha256(repr((state, self.rows, more)).encode()).hexdigest()[:16]


def _shown(request: Request[AppState], supplier: Supplier) -> DashboardView:
    settings = request.state["services"].settings
    with request.state["services"].database.read() as session:
        mine = connections.of_supplier(session, supplier.id, settings.quickbooks_environment)
        ids = [connection.id for connection in mine]
        asked = ListQuery.of(request.query_params).among(ids)
        page = invoices.page(
            session,
            asked.wanted(ids, supplier.id),
            asked.size,
            after=asked.after,
            before=asked.before,
            from_end=asked.last,
        )
        companies = companies_of(session, mine)
    today = now().date()
    currency = settings.infactor_currency
    rows = [row(one, currency, today, changed=one[0].id in page.changed) for one in page.found]
    return DashboardView(asked, companies, page, rows)


def _context(
    request: Request[AppState], supplier: Supplier, shown: DashboardView
) -> dict[str, Any]:
    asked, companies = shown.asked, shown.companies
    with request.state["services"].database.read() as session:
        ids = [company.connection.id for company in companies]
        numbers = request.state["count_cache"].of_companies(session, ids, supplier.id)
        news = _news(request, session, ids, supplier.id)
        matches = _matches(session, shown, asked.wanted(ids, supplier.id))
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
        "most_counted": invoices.MOST_COUNTED,
        "version": shown.version,
        "swapped": False,
        "since": since(),
    }


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


def _matches(session: Session, shown: DashboardView, wanted: Wanted) -> int | None:
    """Return how many invoices match; None if nothing narrows the list."""
    if not shown.asked.narrows:
        return None
    is_whole = not (shown.page.earlier or shown.page.later)
    return len(shown.rows) if is_whole else invoices.count(session, wanted)


def _statuses(*, delivers: bool) -> dict[str, tuple[str, StatusFilter]]:
    return {n: s for n, s in STATUSES.items() if delivers or n != ON_ITS_WAY}


routes = [
    Route("/quickbook/", dashboard),
    Route("/quickbook/live", live),
]
