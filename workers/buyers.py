"""Looking for buyers who have registered in Infactor since their invoices were delivered."""

import structlog

from service.bootstrap import Services
from service.errors import InfactorAway
from service.infactor.accounts import preferred
from service.infactor.users import Users
from service.store import breakers, mirror, outgoing
from service.store.breakers import INFACTOR
from workers.parcel import addresses_of

log = structlog.get_logger(__name__)

_PAGE = 500


def look_for_buyers(services: Services) -> None:
    """Deliver undecided invoices anew whose buyer can see them by now.

    Their document gets the address in the spelling of the buyer's account; the warning goes away.
    """
    if services.infactor is None:
        return
    users, after = Users(services.infactor), ""
    while True:
        with services.database.read() as session:
            if breakers.broken(session, INFACTOR) is not None:
                return
            environment = services.settings.quickbooks_environment
            page = mirror.without_buyer(session, environment, after, _PAGE)
        emails = {email for invoice in page for email in addresses_of(invoice)}
        try:
            registered = users.registered_buyers(emails)
        except InfactorAway as e:
            log.warning("infactor.away", why=str(e))
            return
        found = [i for i in page if preferred(addresses_of(i), registered)[1]]
        if found:
            with services.database.write() as session:
                outgoing.deliver_anew(session, [invoice.id for invoice in found])
            for connection_id in {invoice.connection_id for invoice in found}:
                services.jobs.deliver(connection_id)
            log.info("buyers.registered", invoices=len(found))
        if len(page) < _PAGE:
            return
        after = page[-1].id
