"""Where people see an invoice in QuickBooks itself."""

from urllib.parse import urlencode

from service.quickbooks.endpoints import Environment

_HOSTS = {"production": "qbo.intuit.com", "sandbox": "sandbox.qbo.intuit.com"}


def invoice_page(environment: Environment, quickbooks_id: str) -> str | None:
    """Return the address of the invoice, in whichever company its reader is signed in to.

    None in the simulator, whose addresses carry the company's id.
    """
    host = _HOSTS.get(environment)
    return host and f"https://{host}/app/invoice?{urlencode({'txnId': quickbooks_id})}"
