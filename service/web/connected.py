"""The end of a journey that went well: which company it was, and its invoices coming in."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.web.browser import supplier_of
from service.web.company import own_connection
from service.web.pages import render
from service.web.progress import news_of
from service.web.state import State


def connected(request: Request[State]) -> Response:
    """Name the company and show its import; the pop-up then closes by itself."""
    return render(request, "connected.html", _context(request, keep_alive=True))


def progress(request: Request[State]) -> Response:
    """Show how far the import has come; asked for again and again while it goes on."""
    return render(request, "progress.html", _context(request, keep_alive=False))


def _context(request: Request[State], *, keep_alive: bool) -> dict[str, Any]:
    supplier = supplier_of(request, keep_alive=keep_alive)
    with request.state["services"].database.read() as session:
        connection = own_connection(request, session, supplier)
        run = news_of(session, connection)
    return {"supplier": supplier, "connection": connection, "progress": run}


routes = [
    Route("/quickbook/connected/{id}", connected),
    Route("/quickbook/connected/{id}/progress", progress),
]
