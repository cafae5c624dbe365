"""The page of one company's connection, its disconnection, and the page after the consent."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.database.tables import Connection
from service.domain import ConnectionState
from service.kit.clock import now
from service.operations.disconnect import ConnectedAgain, NotRevoked, disconnect
from service.queries import notices
from service.web.connect.popup import since
from service.web.session import supplier_of
from service.web.state import AppState
from service.web.supplier.companies import companies_of, news_of, own_connection
from service.web.templating import render
from service.web.threads import in_dedicated_threads

PATH = "/quickbook/connections/{id}"
More = Callable[[Request[AppState], Session, Connection], dict[str, Any]]
_LAPSES_SOON = timedelta(days=14)


def show(request: Request[AppState]) -> Response:
    return _page(request, "connection.html", _state_of)


def ask(request: Request[AppState]) -> Response:
    """Ask whether to disconnect, and say what that means; change nothing."""
    return _page(request, "disconnect.html", _unconfirmed)


def end(request: Request[AppState]) -> Response:
    """Disconnect the company at QuickBooks and here, or say why that is not possible now."""
    services, supplier = request.state["services"], supplier_of(request)
    with services.database.read() as session:
        connection = own_connection(request, session, supplier)
    back = RedirectResponse(f"/quickbook/connections/{connection.id}", 303)
    if connection.state == ConnectionState.DISCONNECTED and connection.refresh_sealed is None:
        return back
    try:
        # By number: the audit is never deleted, so it holds no name or address.
        disconnect(services, connection.id, f"supplier:{supplier.id}", force=False)
    except ConnectedAgain:
        return back
    except NotRevoked:
        context = {"supplier": supplier, "connection": connection, "failed": True}
        return render(request, "disconnect.html", context, 503)
    return back


def _page(request: Request[AppState], name: str, more: More) -> Response:
    supplier = supplier_of(request)
    with request.state["services"].database.read() as session:
        connection = own_connection(request, session, supplier)
        context = {
            "supplier": supplier,
            "connection": connection,
            **more(request, session, connection),
        }
    return render(request, name, context)


def _unconfirmed(
    request: Request[AppState], session: Session, connection: Connection
) -> dict[str, Any]:
    return {"failed": False}


def _state_of(
    request: Request[AppState], session: Session, connection: Connection
) -> dict[str, Any]:
    count = request.state["count_cache"].of_company
    recorded, offered = count(session, connection.id, connection.supplier_id)
    [company] = companies_of(session, [connection])
    return {
        "company": company,
        "progress": company.progress,
        "recorded": recorded,
        "offered": offered,
        "noticed_at": notices.last_from_quickbooks(session, connection.id, connection.connected_at),
        "since": since(),
        "lapses_at": _lapses_at(connection),
    }


def _lapses_at(connection: Connection) -> datetime | None:
    """Return when the unused authorisation lapses, if that is within 14 days."""
    end = connection.refresh_expires_at
    return end if end is not None and end <= now() + _LAPSES_SOON else None


def connected(request: Request[AppState]) -> Response:
    """Name the company and show its import; the pop-up then closes by itself."""
    return render(request, "connected.html", _context(request, keep_alive=True))


def progress(request: Request[AppState]) -> Response:
    """Show the progress of the import; the page polls this while the import runs."""
    return render(request, "progress.html", _context(request, keep_alive=False))


def _context(request: Request[AppState], *, keep_alive: bool) -> dict[str, Any]:
    supplier = supplier_of(request, keep_alive=keep_alive)
    with request.state["services"].database.read() as session:
        connection = own_connection(request, session, supplier)
        run = news_of(session, connection)
    openers = request.state["services"].settings.opener_origins
    return {"supplier": supplier, "connection": connection, "progress": run, "openers": openers}


def routes() -> list[Route]:
    return [
        Route(PATH, show),
        Route(f"{PATH}/disconnect", ask),
        Route(f"{PATH}/disconnect", in_dedicated_threads()(end), methods=["POST"]),
    ]


connected_routes = [
    Route("/quickbook/connected/{id}", connected),
    Route("/quickbook/connected/{id}/progress", progress),
]
