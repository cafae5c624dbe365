"""The supplier's session: its cookie, and the supplier who is logged in."""

from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.database.tables import BrowserSession, Supplier
from service.kit.clock import now
from service.store import connections, sessions
from service.web.cookies import Cookie
from service.web.state import AppState

SESSION = Cookie("infactor_quickbooks", "/quickbook", "lax")
"""Lax, because the browser comes back from Intuit's site."""

# Use extends a session, but not with a write for each page.
_KEPT_ALIVE_EVERY = timedelta(hours=1)


def session_of(request: Request[AppState]) -> BrowserSession | None:
    """Return the valid session of the browser's cookie, if any."""
    services = request.state["services"]
    cookie = SESSION.read(request, services.settings)
    with services.database.read() as session:
        return sessions.SUPPLIERS.find(session, cookie, now())


def supplier_of(request: Request[AppState], *, keep_alive: bool = True) -> Supplier:
    """Return the supplier who is logged in; else answer 401. Polling keeps no session alive."""
    found = session_of(request)
    database = request.state["services"].database
    supplier = None
    if found is not None and found.supplier_id is not None:
        with database.read() as session:
            supplier = connections.supplier(session, found.supplier_id)
    if found is None or supplier is None:
        raise HTTPException(401)
    at = now()
    if keep_alive and sessions.SUPPLIERS.end_of(found, at) - found.expires_at > _KEPT_ALIVE_EVERY:
        with database.write() as session:
            sessions.SUPPLIERS.keep_alive(session, found, at)
    return supplier


def supplier_if_any(request: Request[AppState]) -> Supplier | None:
    """Return the supplier who is logged in; None without one, or while the database is away."""
    try:
        return supplier_of(request, keep_alive=False)
    except (HTTPException, SQLAlchemyError):
        return None
