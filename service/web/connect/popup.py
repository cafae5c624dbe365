"""Tells a page whose pop-up is at QuickBooks when a company has been connected.

The page has to ask, because Intuit's pages may cut its link to the pop-up.
"""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain import ConnectionState
from service.kit.clock import now
from service.store import connections
from service.web.session import supplier_if_any
from service.web.state import AppState

PATH = "/quickbook/arrived"


def since() -> int:
    """Return the current time in seconds, for the page to send back."""
    return int(now().timestamp())


def arrived(request: Request[AppState]) -> Response:
    """Answer 200 once a company of this supplier was connected after `since`, else 204."""
    supplier = supplier_if_any(request)
    begun = _time_of(request.query_params.get("since", ""))
    if begun is None or supplier is None:
        return Response(status_code=204)
    services = request.state["services"]
    with services.database.read() as session:
        environment = services.settings.quickbooks_environment
        mine = connections.of_supplier(session, supplier.id, environment)
    come = any(one.state == ConnectionState.CONNECTED and one.renewed_at >= begun for one in mine)
    return Response(status_code=200 if come else 204)


def _time_of(text: str) -> datetime | None:
    known = text.isascii() and text.isdigit() and len(text) < 11
    return datetime.fromtimestamp(int(text), UTC) if known else None


routes = [Route(PATH, arrived)]
