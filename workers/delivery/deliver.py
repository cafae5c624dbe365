"""Deliveries: recorded invoices, brought into Infactor's own database.

They follow the record and never hold it up. While that database is away they wait, in order; the
breaker lets one process find out when it is back, for all.
"""

from service.context import Services
from service.database.tables import Connection
from service.infactor.users import Users
from service.kit.clock import now
from service.store import connections, outbox
from workers.delivery.legacy_rows import ensure_adopted
from workers.delivery.order import Parcel, addresses_of, key_of
from workers.delivery.results import Settlement
from workers.delivery.turn import NotItsTurn, infactor_turn

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
            if not _deliver_some(services, connection_id):
                return
    services.jobs.deliver(connection_id)


def _deliver_some(services: Services, connection_id: str) -> bool:
    """Deliver one batch; return whether there may be more to deliver at once."""
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        company = connections.get(session, connection_id)
        if company is None or company.environment != environment:
            return False
        ids = outbox.due_ids(session, connection_id, now(), _BATCH)
    if not ids:
        return False
    try:
        with infactor_turn(services) as infactor:
            ensure_adopted(services, connection_id, ids)
            parcels = _parcels(services, infactor.users, company)
            orders = (p.order(company) for p in parcels if p.mapped is not None)
            ended = infactor.invoices.deliver(orders)
    except NotItsTurn:
        return False
    results = {p.invoice.id: ended[key] for p in parcels if (key := key_of(p.invoice)) in ended}
    Settlement(company, parcels).settle(services, results)
    return len(ids) == _BATCH


def _parcels(services: Services, users: Users, company: Connection) -> list[Parcel]:
    """Return the next invoices to deliver, with the people as Infactor's accounts have them."""
    with services.database.read() as session:
        batch = outbox.due(session, company.id, now(), _BATCH)
        seen = outbox.seen(session, [invoice.id for invoice in batch])
        supplier = connections.supplier(session, company.supplier_id)
    registered = users.registered_buyers({e for i in batch for e in addresses_of(i)})
    account = users.supplier(supplier.email) if supplier else None
    return [Parcel.of(invoice, seen.get(invoice.id), registered, account) for invoice in batch]
