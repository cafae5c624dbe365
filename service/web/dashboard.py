"""The supplier's dashboard: which companies are connected, and what of them is in Infactor."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.store import connections, invoices
from service.store.tables import Connection, Supplier
from service.times import now
from service.web.browser import supplier_of
from service.web.pages import render
from service.web.progress import Progress, progress_of
from service.web.shown import row
from service.web.state import State

PAGE_SIZE = 50
_LAST_PAGE = 10_000
_TOLD_AHEAD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Company:
    """One connected company: its import so far, and how many of its invoices are where."""

    connection: Connection
    progress: Progress | None
    recorded: int
    offered: int
    unwell: bool

    @property
    def live(self) -> bool:
        """True while QuickBooks lets us read."""
        return self.connection.state == "connected"

    @property
    def ends_at(self) -> datetime | None:
        """When QuickBooks ends the authorisation for good, if that is within 30 days."""
        end = self.connection.hard_expires_at
        return end if end is not None and end <= now() + _TOLD_AHEAD else None


def dashboard(request: Request[State]) -> Response:
    """Show everything that the supplier has here."""
    supplier = supplier_of(request)
    return render(request, "dashboard.html", _context(request, supplier))


def live(request: Request[State]) -> Response:
    """Show the changing part of the dashboard, or 204 while it is what the browser has."""
    supplier = supplier_of(request, keep_alive=False)
    context = _context(request, supplier)
    if request.query_params.get("seen") == context["version"]:
        return Response(status_code=204)
    return render(request, "live.html", context)


def _context(request: Request[State], supplier: Supplier) -> dict[str, Any]:
    settings = request.state["services"].settings
    page = _page(request.query_params)
    with request.state["services"].database.read() as session:
        mine = connections.of_supplier(session, supplier.id, settings.quickbooks_environment)
        companies = [_company(session, connection) for connection in mine]
        found = invoices.page(
            session,
            [connection.id for connection in mine],
            shown_to=supplier.id,
            limit=PAGE_SIZE + 1,
            offset=(page - 1) * PAGE_SIZE,
        )
    today = now().date()
    rows = [row(one, settings.infactor_currency, today) for one in found[:PAGE_SIZE]]
    return {
        "supplier": supplier,
        "companies": companies,
        "rows": rows,
        "page": page,
        "more": len(found) > PAGE_SIZE,
        "version": _version(companies, rows),
    }


def _company(session: Session, connection: Connection) -> Company:
    recorded, offered = invoices.counts(session, connection.id, shown_to=connection.supplier_id)
    paused = connection.paused_until is not None and connection.paused_until > now()
    return Company(
        connection=connection,
        progress=progress_of(session, connection.id),
        recorded=recorded,
        offered=offered,
        unwell=paused and connection.failures > 0,
    )


def _page(query: Mapping[str, str]) -> int:
    text = query.get("page", "1")
    known = text.isascii() and text.isdigit() and len(text) < 6
    return min(max(int(text), 1), _LAST_PAGE) if known else 1


def _version(companies: list[Company], rows: list[Any]) -> str:
    """Return what changes when anything does that the page shows."""
    state = [
        (
            *(one.id, one.state, one.suspended_at, one.last_synced_at),
            *(c.unwell, c.ends_at, c.progress),
        )
        for c in companies
        for one in (c.connection,)
    ]
    return hashlib.sha256(repr((state, rows)).encode()).hexdigest()[:16]


routes = [
    Route("/quickbook/", dashboard),
    Route("/quickbook/live", live),
]
