"""Reads the payments of approved invoices: who paid, when, how much, into which account.

A lower balance alone does not say whether the buyer paid, or the supplier took the claim back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from service.database.tables import Document, Invoice
from service.domain import FindingKind, SettlementKind, Severity
from service.errors import Disconnected, SyncError
from service.infactor.deviations import OVER, text_of
from service.infactor.settlements import Settlement, payments_of, settlements_of
from service.kit.clock import now
from service.quickbooks.queries import by_ids
from service.services import Services
from service.store import connections, settlements
from service.store.findings import Found
from workers.company import CompanyContext, note_outage
from workers.delivery.findings import keep_findings
from workers.retry import why

log = structlog.get_logger(__name__)

_BATCH = 500
_SPACING_SECONDS = 60.0
_WORDS = {
    SettlementKind.CASH: "paid",
    SettlementKind.CREDIT_NOTE: "settled by a credit note",
    SettlementKind.WRITE_OFF: "written off by a journal entry",
}


def ask_for_settlements(services: Services) -> None:
    """Ask for the payments of each company's approved invoices that were paid since."""
    with services.database.read() as session:
        environment = services.settings.quickbooks_environment
        due = settlements.due_connections(session, environment, now())
    if due and services.jobs.trouble() is not None:
        return  # a worker's own client would wait for a minute for each
    for connection_id in due:
        services.jobs.settle(connection_id)


def explain_payments(services: Services, connection_id: str) -> None:
    """Read and record what settled the company's approved invoices, unless another process does.

    Each payment is read once for each change of an invoice that it belongs to.
    """
    environment = services.settings.quickbooks_environment
    with services.leases.hold(f"settlements:{connection_id}", spacing=_SPACING_SECONDS) as mine:
        if not mine:
            return
        with services.database.read() as session:
            if not connections.callable_now(session, connection_id, environment, now()):
                return
        try:
            company = CompanyContext.of(services, connection_id)
            while _explain_some(company):
                pass
        except Disconnected:
            return  # they are still wanted when the supplier has connected again
        except SyncError as e:  # asked for again in a minute
            with services.database.write() as session:
                note_outage(session, connection_id, e)
            log.warning("settlements.not_read", connection=connection_id, **why(e))


def _explain_some(company: CompanyContext) -> bool:
    """Explain the next invoices; return whether there may be more."""
    database = company.services.database
    with database.read() as session:
        due = settlements.due(session, company.connection_id, _BATCH)
    if not due:
        return False
    payments = _payments(company, [invoice for invoice, _ in due])
    found = {invoice.id: _settled(invoice, payments) for invoice, _ in due}
    with database.write() as session:
        rows = [row for invoice, _ in due for row in _rows(invoice, found[invoice.id])]
        settlements.keep(session, rows, {invoice.id: invoice.fetch_number for invoice, _ in due})
        told = {invoice.id: _findings(found[invoice.id], document) for invoice, document in due}
        keep_findings(session, company.connection_id, {FindingKind.SETTLED: told}, now())
    log.info("settlements.read", connection=company.connection_id, invoices=len(due))
    return len(due) == _BATCH


def _payments(company: CompanyContext, invoices: Sequence[Invoice]) -> dict[str, dict[str, Any]]:
    """Read the payments that QuickBooks links to these invoices, by id."""
    ids = sorted({id_ for invoice in invoices for id_ in payments_of(invoice.source)})
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(ids), _BATCH):
        page = company.api.query(by_ids("Payment", ids[start : start + _BATCH]))
        found |= {str(payment["Id"]): payment for payment in page.found}
    return found


def _settled(invoice: Invoice, payments: Mapping[str, dict[str, Any]]) -> list[Settlement]:
    return [
        settlement
        for id_ in payments_of(invoice.source)
        if id_ in payments
        for settlement in settlements_of(invoice.quickbooks_id, payments[id_])
    ]


def _rows(invoice: Invoice, found: Sequence[Settlement]) -> list[dict[str, Any]]:
    at = now()
    return [
        {
            "invoice_id": invoice.id,
            "payment_id": one.payment_id,
            "kind": one.kind,
            "amount": one.amount,
            "paid_on": one.on.isoformat() if one.on else "",
            "payer": one.payer,
            "account": one.account,
            "read_at": at,
        }
        for one in found
    ]


def _findings(found: Sequence[Settlement], document: Document | None) -> list[Found]:
    """Return a finding for each way in which the invoice was settled."""
    state = document.state if document else ""
    severity = Severity.INFO if state in OVER else Severity.CRITICAL
    return [
        Found(field=kind, severity=severity, state=state, current=_text(those), cause=kind)
        for kind in SettlementKind
        if (those := [one for one in found if one.kind is kind])
    ]


def _text(found: Sequence[Settlement]) -> str:
    """Return the settlements of one kind in words."""
    return "; ".join(
        f"{text_of(one.amount)} {_WORDS[one.kind]}"
        + (f" on {one.on.isoformat()}" if one.on else "")
        + (f" by {one.payer}" if one.payer else "")
        + (f" into {one.account}" if one.account else "")
        for one in found
    )
