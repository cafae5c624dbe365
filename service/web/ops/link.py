"""A new link for the supplier of a company that has to be connected again."""

from urllib.parse import quote, urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service import links, orders
from service.errors import LinkError
from service.settings import Settings
from service.store.tables import Supplier
from service.times import now
from service.web.ops.browser import operator_of
from service.web.ops.connections import LIST, company_of
from service.web.ops.page import page
from service.web.ops.told import then
from service.web.pages import row_id
from service.web.state import State


def make(request: Request[State], form: FormData) -> Response:
    """Show a link that the supplier can connect with; it is kept nowhere."""
    services, entry = request.state["services"], company_of(request)
    address = f"{LIST}/{entry.connection.id}"
    try:
        url = _url(services.settings, entry.supplier)
    except LinkError:
        return then(request, address, "no-link")
    orders.link(services.database, entry.connection.id, operator_of(request).actor)
    return page(
        request,
        "ops/link.html",
        {
            "entry": entry,
            "url": url,
            "days": links.CONNECT_LIFE.days,
            "mail": _mail(entry.supplier.email, entry.connection.company_name, url),
        },
    )


def again(request: Request[State]) -> Response:
    """Lead whoever comes back to the link's page to its company: the link is shown once."""
    return RedirectResponse(f"{LIST}/{row_id(request)}", 303)


def _url(settings: Settings, supplier: Supplier) -> str:
    token = links.issue(
        settings.infactor_shared_secret.get_secret_value(),
        "connect",
        supplier.email,
        now=now(),
        name=supplier.name,
        address=supplier.address,
    )
    return links.connect_url(settings.public_url, token)


def _mail(email: str, company: str, url: str) -> str:
    """Return the address by which the operator's own program writes to the supplier."""
    subject = f"Connect {company or 'your company'} to Infactor again"
    body = (
        "QuickBooks has ended Infactor's access to your invoices, or is about to.\n"
        f"Please connect again with this link; it is yours alone:\n\n{url}\n"
    )
    fields = urlencode({"subject": subject, "body": body}, quote_via=quote, safe="")
    return f"mailto:{quote(email, safe='@')}?{fields}"
