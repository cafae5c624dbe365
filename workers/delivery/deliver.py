"""Delivers recorded invoices into Infactor's database, in order; never delays the recording."""

from service.database.tables import Connection
from service.kit.clock import now
from service.services import Services
from service.store import connections, outbox
from workers.delivery.adoption import ensure_adopted
from workers.delivery.order import addresses_of, order_for
from workers.delivery.results import Delivery, DeliveryResults
from workers.delivery.turn import Infactor, NotItsTurn, infactor_turn

_BATCH = 500
# After so many batches the company waits for its next turn: all companies share the workers.
_MOST_BATCHES = 10


def deliver_company(services: Services, connection_id: str) -> None:
    """Deliver the company's due invoices, unless another process does."""
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
    """Deliver one batch; return whether there may be more."""
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
            deliveries = _deliver_batch(services, infactor, company)
    except NotItsTurn:
        return False
    currency = services.settings.infactor_currency
    DeliveryResults(company, deliveries, currency=currency).save(services.database)
    return len(ids) == _BATCH


def _deliver_batch(services: Services, infactor: Infactor, company: Connection) -> list[Delivery]:
    with services.database.read() as session:
        invoices = outbox.due(session, company.id, now(), _BATCH)
        seen = outbox.documents_of(session, [invoice.id for invoice in invoices])
        supplier = connections.supplier(session, company.supplier_id)
    registered = infactor.users.registered_buyers({e for i in invoices for e in addresses_of(i)})
    account = infactor.users.supplier(supplier.email) if supplier else None
    orders = [order_for(i, seen.get(i.id), company, registered, account) for i in invoices]
    results = infactor.invoices.deliver(orders)
    return [
        Delivery(invoice, seen.get(invoice.id), order, results.get(order.key))
        for invoice, order in zip(invoices, orders, strict=True)
    ]
