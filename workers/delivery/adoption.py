"""Adopts rows of Infactor's old QuickBooks import before a supplier's first delivery.

An invoice that Infactor has from that import must not be offered twice: its row becomes the
document. A row that `service.infactor.old_import.matching` cannot explain holds its QuickBooks Id.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from service.database.tables import Invoice
from service.domain import FindingKind, Severity
from service.errors import ConfigurationError
from service.infactor.mapping import addresses
from service.infactor.old_import import matching, reader
from service.infactor.old_import.matching import OldRows, RecordedInvoice, Row
from service.infactor.old_import.values import id_of, row_id, shown, text, was_adopted
from service.infactor.wording import status
from service.kit.clock import now
from service.kit.text import one_line
from service.services import Services
from service.store import audit, connections, findings, infactor_outbox, old_rows
from service.store.findings import Found
from service.store.old_rows import Concerned
from workers.delivery.circuit import InfactorUnavailable, reaching_infactor
from workers.delivery.findings import keep_findings

log = structlog.get_logger(__name__)

_GONE = "adopted before, and gone from Infactor"
_EVERY = timedelta(days=1)
_EVERY_OPEN = timedelta(hours=1)
_MOST_AT_ONCE = 50
_LONGEST_ID = 64
_LONGEST_TEXT = 300


def ensure_adopted(
    services: Services, connection_id: str, quickbooks_ids: Collection[str] = ()
) -> bool:
    """Adopt the old rows of these invoices, unless that was done already; raises as
    `adopt_old_rows`. Return whether anything may have changed.

    Call it before a delivery, with the QuickBooks Ids: an invoice recorded since the last time may
    match rows that matched nothing then. Costs two small queries, and a scan only if needed.
    """
    with services.database.read() as session:
        done = old_rows.were_matched(session, connection_id, quickbooks_ids)
    if not done:
        adopt_old_rows(services, connection_id)
    return not done


def adopt_old_rows(services: Services, connection_id: str) -> OldRows:
    """Adopt the old rows of this company's supplier, and return what became of them.

    Afterwards `adopted` of an invoice is the row to write to; those with `old_rows_held` wait.
    Raises InfactorAway, and then nothing has changed.
    """
    with services.database.read() as session:
        connection = connections.get(session, connection_id)
    if connection is None:
        return OldRows()
    return adopt_for_supplier(services, connection.supplier_id)


def rehearse(services: Services, supplier_id: int) -> OldRows:
    """Return what adopting the supplier's old rows would do; change nothing."""
    old = _read_old_import(services, supplier_id, adopted_too=True)
    with services.database.read() as session:
        return old.match(session)


def adopt_for_supplier(services: Services, supplier_id: int, actor: str | None = None) -> OldRows:
    """Adopt the supplier's old rows, for all companies at once; return what became of them.

    An Id is a small number that several companies may have, and a row belongs to one of them only.
    `actor` is the operator who ordered it, for the audit.
    """
    old = _read_old_import(services, supplier_id, adopted_too=actor is not None)
    with services.database.write() as session:
        # Of two that run at the same time, the second one finds what the first has adopted.
        connections.lock_supplier(session, supplier_id)
        # Companies before invoices: the same lock order as in recording.
        for connection_id in old.companies:
            connections.lock(session, connection_id)
        found = old.match(session)
        old_rows.adopt(session, {i: _ids(row) for i, row in found.adopted.items()})
        old_rows.hold(session, old.companies, found.held, now(), offered=old.own)
        _keep_findings(session, old, found)
        if actor is not None:
            details = {"supplier": supplier_id, **_counts(found)}
            audit.record(session, actor, "adopt", None, details, now())
    log.info("old_rows.matched", companies=old.companies, **_counts(found))
    return found


def match_again(services: Services) -> None:
    """Match the rows of suppliers again, in case somebody fixed them or ran the old import again.

    Once a day, and every hour while a row holds an invoice or doubles one. Where Infactor is away,
    leave it for later.
    """
    environment, at = services.settings.quickbooks_environment, now()
    with services.database.read() as session:
        due = old_rows.due_suppliers(
            session, environment, at - _EVERY, at - _EVERY_OPEN, _MOST_AT_ONCE
        )
    for supplier_id in due:
        try:
            with reaching_infactor(services):
                adopt_for_supplier(services, supplier_id)
        except InfactorUnavailable:
            return


@dataclass(frozen=True, slots=True)
class _OldImport:
    """What Infactor has: the old rows, and which of our invoices have a document of their own."""

    companies: list[str]
    currency: str  # Infactor's, in which whatever names none is
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    own: frozenset[str] = frozenset()
    gone: Mapping[str, str] = field(default_factory=dict)

    def match(self, session: Session) -> OldRows:
        found = matching.match(map(self._recorded, self.concerned(session)), self.rows)
        for number, document_id in self.gone.items():
            found.unexplained.append(({"_id": number, "invoiceId": document_id}, _GONE))
        return found

    def concerned(self, session: Session) -> Iterator[Concerned]:
        ids = {i for row in self.rows if (i := id_of(row)) is not None}
        row_ids = {i for row in self.rows if (i := row_id(row)) is not None}
        return old_rows.concerned(session, self.companies, ids, row_ids)

    def _recorded(self, invoice: Concerned) -> RecordedInvoice:
        return replace(
            recorded_of(invoice, self.currency),
            own_document=invoice.id in self.own,
            delivered=invoice.delivered,
            deliverable=invoice.deliverable,
        )


def recorded_of(invoice: Concerned | Invoice, currency: str) -> RecordedInvoice:
    """Return what is recorded of the invoice; one that names no currency is in this one."""
    mapped = invoice.mapped or {}
    texts = (mapped.get("buyerEmail"), mapped.get("companyEmail"), *invoice.buyer_emails)
    return RecordedInvoice(
        invoice_id=invoice.id,
        document_id=invoice.document_id,
        quickbooks_id=invoice.quickbooks_id,
        doc_number=invoice.doc_number,
        buyer_emails=tuple(mail for text in texts for mail in addresses(text)),
        buyer_name=mapped.get("companyName") or "",
        total=invoice.total,
        currency=invoice.currency or currency,
        adopted=invoice.adopted,
    )


def copies_found(document_id: str, state: str, copies: Iterable[Row]) -> list[Found]:
    """Return the finding that these rows are offered beside the invoice's document, if any are."""
    texts = sorted(f"{_name(row)}: {status(text(row.get('state')))}" for row in copies)
    if not texts:
        return []
    return [
        Found(
            field="document",
            severity=Severity.CRITICAL,
            state=state,
            approved=document_id,
            current="; ".join(texts)[:_LONGEST_TEXT],
        )
    ]


def _name(row: Row) -> str:
    return one_line(text(row.get("invoiceId")) or shown(row.get("_id")), _LONGEST_ID)


def _read_old_import(
    services: Services, supplier_id: int, *, adopted_too: bool = False
) -> _OldImport:
    """Ask Infactor for the rows; with `adopted_too` also for those that were adopted before.

    Once its invoice was delivered, such a row is none of the old import's any more.
    """
    if services.infactor is None:
        raise ConfigurationError(
            "INFACTOR_MONGODB_URL: not set, so Infactor's old rows cannot be read"
        )
    with services.database.read() as session:
        owner = connections.supplier(session, supplier_id)
        environment = services.settings.quickbooks_environment
        found = connections.of_supplier(session, supplier_id, environment)
        companies = sorted(connection.id for connection in found)
        adopted = old_rows.adopted_by(session, companies) if adopted_too else {}
    rows = reader.old_rows(services.infactor, owner.email) if owner else []
    rows = _nobodys(services, rows)
    known = {row_id(row) for row in rows}
    rows += reader.rows_by_id(services.infactor, adopted.keys() - known)
    known |= {row_id(row) for row in rows}
    old = _OldImport(companies, services.settings.infactor_currency, rows)
    with services.database.read() as session:
        ids = [invoice.id for invoice in old.concerned(session)]
    own = frozenset(reader.own_documents(services.infactor, ids))
    gone = {number: name for number, name in adopted.items() if number not in known}
    return replace(old, own=own, gone=gone)


def _nobodys(services: Services, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the rows that an invoice has adopted and that were delivered since."""
    delivered = [i for row in rows if was_adopted(row) and (i := row_id(row)) is not None]
    with services.database.read() as session:
        taken = old_rows.taken(session, delivered)
    return [row for row in rows if not (was_adopted(row) and row_id(row) in taken)]


def _ids(row: Row) -> tuple[str, str | None]:
    """Return the row's `_id`, and its invoiceId if it has one."""
    return row_id(row) or "", one_line(text(row.get("invoiceId")), _LONGEST_ID) or None


def _keep_findings(session: Session, old: _OldImport, found: OldRows) -> None:
    """Leave open exactly the findings that follow from this old."""
    copies = _copies(session, old, found)
    for connection_id in old.companies:
        known = findings.open_of_company(session, FindingKind.DOUBLED, connection_id)
        mine = copies.get(connection_id, {})
        every = {**dict.fromkeys(known, ()), **mine}
        keep_findings(session, connection_id, {FindingKind.DOUBLED: every}, now())


def _copies(session: Session, old: _OldImport, found: OldRows) -> dict[str, dict[str, list[Found]]]:
    """Return what is found of copies, by company and invoice."""
    copies: dict[str, dict[str, list[Found]]] = {}
    if not found.copies:
        return copies
    seen = infactor_outbox.documents_of(session, list(found.copies))
    for invoice in old.concerned(session):
        rows, document = found.copies.get(invoice.id, []), seen.get(invoice.id)
        adopted = found.adopted.get(invoice.id, {})
        copies_of_it = copies_found(
            _name(adopted) if adopted else invoice.document_id,
            document.state if document else text(adopted.get("state")),
            rows,
        )
        copies.setdefault(invoice.connection_id, {})[invoice.id] = copies_of_it
    return copies


def _counts(found: OldRows) -> dict[str, int]:
    return {
        "adopted": len(found.adopted),
        "listed": len(found.unexplained),
        "held": len(found.held),
    }
