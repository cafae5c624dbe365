"""`log-out`: end a supplier's sessions."""

from service import orders
from service.cli.companies import operator
from service.cli.compose import command_services
from service.cli.console import answer, fail, hint, says_what_is_wrong
from service.cli.links import Email
from service.store import connections


@says_what_is_wrong
def log_out(email: Email) -> None:
    """Log a supplier out in every browser, as when a device is lost.

    Their companies stay connected. A link from `supplier-url` logs in again until it is 24 hours
    old.
    """
    with command_services() as services:
        with services.database.read() as session:
            supplier = connections.supplier_by_email(session, email.strip())
        if supplier is None:
            raise fail("No supplier with this e-mail address has opened a link yet.", 2)
        ended = orders.log_out(services.database, supplier.id, operator())
    if not ended:
        answer("Was not logged in anywhere.")
        return
    answer(f"Logged out: {ended} {'session' if ended == 1 else 'sessions'}.")
    hint(f"To let them in again: infactor-quickbooks supplier-url {supplier.email}")
