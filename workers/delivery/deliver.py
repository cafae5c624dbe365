"""Deliveries: recorded invoices, brought into Infactor's own database.

They follow the record and never hold it up. While that database is away they wait, in order; the
breaker lets one process find out when it is back, for all.
"""

import structlog

from service.context import Services
from service.coordination import circuit_breaker
from service.coordination.circuit_breaker import INFACTOR
from service.database.tables import Connection
from service.errors import InfactorAway
from service.infactor.collection import Sink
from service.infactor.mongo import InfactorDatabase
from service.infactor.users import Users
from service.kit.clock import now
from service.store import connections, outbox
from workers.delivery.legacy_rows import ensure_adopted
from workers.delivery.order import Parcel, addresses_of, key_of
from workers.delivery.results import Settlement

log = structlog.get_logger(__name__)

_BATCH = 500
# A worker is everybody's: after so many batches the company waits for its next turn.
_MOST_BATCHES = 10


def deliver_company(services: Services, connection_id: str) -> None:
    """Deliver what the company has outgoing, unless somebody else does."""
    if services.infactor is None:
        return
    with services.leases.hold(f"deliver:{connection_id}") as mine:
        if not mine:
            return
        for _ in range(_MOST_BATCHES):
            if not _deliver_some(services, services.infactor, connection_id):
                return
    services.jobs.deliver(connection_id)


def _deliver_some(services: Services, infactor: InfactorDatabase, connection_id: str) -> bool:
    """Deliver one batch; return whether there may be more to deliver at once."""
    environment = services.settings.quickbooks_environment
    with services.database.write() as session:
        company = connections.get(session, connection_id)
        if company is None or company.environment != environment:
            return False
        ids = outbox.due_ids(session, connection_id, now(), _BATCH)
        if not ids or not circuit_breaker.may_try(session, INFACTOR):
            return False
    try:
        ensure_adopted(services, connection_id, ids)
        parcels = _parcels(services, infactor, company)
        sink = Sink(infactor, withdraw=services.settings.infactor_withdraw)
        ended = sink.deliver(p.order(company) for p in parcels if p.mapped is not None)
    except InfactorAway as e:
        with services.database.write() as session:
            circuit_breaker.failed(session, INFACTOR, str(e))
        log.warning("infactor.away", why=str(e))
        return False
    results = {p.invoice.id: ended[key] for p in parcels if (key := key_of(p.invoice)) in ended}
    Settlement(company, parcels).settle(services, results)
    return len(ids) == _BATCH


def _parcels(services: Services, infactor: InfactorDatabase, company: Connection) -> list[Parcel]:
    """Return the next invoices to deliver, with the people as Infactor's accounts have them."""
    with services.database.read() as session:
        batch = outbox.due(session, company.id, now(), _BATCH)
        seen = outbox.seen(session, [invoice.id for invoice in batch])
        supplier = connections.supplier(session, company.supplier_id)
    users = Users(infactor)
    registered = users.registered_buyers({e for i in batch for e in addresses_of(i)})
    account = users.supplier(supplier.email) if supplier else None
    return [Parcel.of(invoice, seen.get(invoice.id), registered, account) for invoice in batch]
