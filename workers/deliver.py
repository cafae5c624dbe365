"""Deliveries: recorded invoices, brought into Infactor's own database.

They follow the record and never hold it up. While that database is away they wait, in order; the
breaker lets one process find out when it is back, for all.
"""

from collections.abc import Mapping, Sequence

import structlog

from service.bootstrap import Services
from service.errors import InfactorAway
from service.infactor.document import State
from service.infactor.holds import Hold
from service.infactor.mongo import InfactorDatabase
from service.infactor.sink import Key, Order, Sink
from service.infactor.stored import stored
from service.store import breakers, connections, outgoing
from service.store.breakers import INFACTOR
from service.store.tables import Connection, Document, Invoice
from service.times import now
from workers.settling import Settlement

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


def key_of(invoice: Invoice) -> Key:
    """Return the `_id` of the invoice's document in Infactor: whoever looks for it asks here."""
    return invoice.id


def _deliver_some(services: Services, infactor: InfactorDatabase, connection_id: str) -> bool:
    """Deliver one batch; return whether there may be more to deliver at once."""
    environment = services.settings.quickbooks_environment
    with services.database.write() as session:
        company = connections.get(session, connection_id)
        if company is None or company.environment != environment:
            return False
        batch = outgoing.due(session, connection_id, now(), _BATCH)
        if not batch or not breakers.may_try(session, INFACTOR):
            return False
        seen = outgoing.seen(session, [invoice.id for invoice in batch])
    sink = Sink(infactor, withdraw=services.settings.infactor_withdraw)
    try:
        ended = sink.deliver(_orders(company, batch, seen))
    except InfactorAway as e:
        with services.database.write() as session:
            breakers.failed(session, INFACTOR, str(e))
        log.warning("infactor.away", why=str(e))
        return False
    results = {i.id: ended[key] for i in batch if (key := key_of(i)) in ended}
    Settlement(company, batch, seen).settle(services, results)
    return len(batch) == _BATCH


def _orders(
    company: Connection, batch: Sequence[Invoice], seen: Mapping[str, Document]
) -> list[Order]:
    """Return what to bring to Infactor; an invoice that is not mapped has nothing to bring."""
    return [
        Order(
            key=key_of(invoice),
            revision=invoice.revision,
            mapped=stored(invoice.mapped),
            hold=Hold(invoice.hold) if invoice.hold else None,
            handed_over=_was_anothers(seen.get(invoice.id), company),
            may_create=_may_create(seen.get(invoice.id)),
        )
        for invoice in batch
        if invoice.mapped is not None
    ]


def _was_anothers(seen: Document | None, company: Connection) -> bool:
    return seen is not None and seen.supplier_id != company.supplier_id


def _may_create(seen: Document | None) -> bool:
    """Return whether a document that is not there may be made.

    One that somebody had decided about and that is gone was deleted by hand: made anew it would be
    offered as if nobody ever had.
    """
    return seen is None or seen.state == State.INVOICE_CREATED
