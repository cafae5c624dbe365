"""Adopts rows of Infactor's old QuickBooks import before a supplier's first delivery.

An invoice that Infactor has from that import must not be offered twice: its row becomes the
document. A row that `service.infactor.legacy.rows` cannot explain holds its QuickBooks Id.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import structlog
from sqlalchemy.orm import Session

from service.errors import ConfigurationError
from service.infactor.legacy import reader
from service.infactor.legacy import rows as old_rows
from service.infactor.legacy.rows import OldRows, RecordedInvoice
from service.infactor.legacy.values import id_of, row_id
from service.infactor.mapping import addresses
from service.kit.clock import now
from service.services import Services
from service.store import audit, connections, legacy_rows
from service.store.legacy_rows import Concerned

log = structlog.get_logger(__name__)


def ensure_adopted(
    services: Services, connection_id: str, quickbooks_ids: Collection[str] = ()
) -> None:
    """Adopt the old rows of these invoices, unless that was done already; raises as
    `adopt_old_rows`.

    Call it before a delivery, with the QuickBooks Ids: an invoice recorded since the last time may
    match rows that matched nothing then. Costs two small queries, and a scan only if needed.
    """
    with services.database.read() as session:
        done = legacy_rows.looked_at(session, connection_id, quickbooks_ids)
    if not done:
        adopt_old_rows(services, connection_id)


def adopt_old_rows(services: Services, connection_id: str) -> OldRows:
    """Adopt the old rows of this company's supplier, and return what became of them.

    Afterwards `adopted` of an invoice is the row to write to; those with `old_rows_held` wait.
    Raises InfactorAway, and then nothing has changed.
    """
    with services.database.read() as session:
        connection = connections.get(session, connection_id)
    if connection is None:
        return OldRows()
    return carry_out(services, connection.supplier_id)


def rehearse(services: Services, supplier_id: int) -> OldRows:
    """Return what adopting the supplier's old rows would do; change nothing."""
    look = _look(services, supplier_id)
    with services.database.read() as session:
        return look.match(session)


def carry_out(services: Services, supplier_id: int, actor: str | None = None) -> OldRows:
    """Adopt the supplier's old rows, for all companies at once; return what became of them.

    An Id is a small number that several companies may have, and a row belongs to one of them only.
    `actor` is the operator who ordered it, for the audit.
    """
    look = _look(services, supplier_id)
    with services.database.write() as session:
        # Of two that run at the same time, the second one finds what the first has adopted.
        connections.lock_supplier(session, supplier_id)
        # Companies before invoices: the same lock order as in recording.
        for connection_id in look.companies:
            connections.lock(session, connection_id)
        found = look.match(session)
        legacy_rows.adopt(session, {i: row_id(row) or "" for i, row in found.adopted.items()})
        legacy_rows.hold(session, look.companies, found.held, now())
        if actor is not None:
            details = {"supplier": supplier_id, **_counts(found)}
            audit.record(session, actor, "adopt", None, details, now())
    log.info("old_rows.looked_at", companies=look.companies, **_counts(found))
    return found


@dataclass(frozen=True, slots=True)
class _Look:
    """What Infactor has: the old rows, and which of our invoices have a document of their own."""

    companies: list[str]
    rows: list[dict[str, object]] = field(default_factory=list, repr=False)
    own: frozenset[str] = frozenset()

    def match(self, session: Session) -> OldRows:
        return old_rows.match(map(self._recorded, self.concerned(session)), self.rows)

    def concerned(self, session: Session) -> Iterator[Concerned]:
        ids = {i for row in self.rows if (i := id_of(row)) is not None}
        row_ids = {i for row in self.rows if (i := row_id(row)) is not None}
        return legacy_rows.concerned(session, self.companies, ids, row_ids)

    def _recorded(self, invoice: Concerned) -> RecordedInvoice:
        mapped = invoice.mapped or {}
        texts = (mapped.get("buyerEmail"), mapped.get("companyEmail"))
        return RecordedInvoice(
            invoice_id=invoice.id,
            quickbooks_id=invoice.quickbooks_id,
            doc_number=invoice.doc_number,
            buyer_emails=tuple(mail for text in texts for mail in addresses(text)),
            buyer_name=mapped.get("companyName") or "",
            total=invoice.total,
            adopted=invoice.adopted,
            own_document=invoice.id in self.own,
            deliverable=invoice.deliverable,
        )


def _look(services: Services, supplier_id: int) -> _Look:
    if services.infactor is None:
        raise ConfigurationError(
            "INFACTOR_MONGODB_URL: not set, so Infactor's old rows cannot be looked at"
        )
    with services.database.read() as session:
        owner = connections.supplier(session, supplier_id)
        environment = services.settings.quickbooks_environment
        found = connections.of_supplier(session, supplier_id, environment)
    companies = sorted(connection.id for connection in found)
    rows = reader.old_rows(services.infactor, owner.email) if owner else []
    look = _Look(companies, rows)
    with services.database.read() as session:
        ids = [invoice.id for invoice in look.concerned(session)]
    return _Look(companies, rows, frozenset(reader.own_documents(services.infactor, ids)))


def _counts(found: OldRows) -> dict[str, int]:
    return {
        "adopted": len(found.adopted),
        "listed": len(found.unexplained),
        "held": len(found.held),
    }
