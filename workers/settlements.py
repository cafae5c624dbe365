"""Reads what settled approved invoices, payments, credit memos and journal entries: who paid or was
credited, when, how much, on which account.

A lower balance alone does not say whether the buyer paid, or the supplier took the claim back.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from service.database.tables import Document, Invoice, SettlementRow
from service.domain import FindingKind, SettlementKind, Severity
from service.errors import Disconnected, SyncError
from service.infactor.deviations import OVER
from service.infactor.quickbooks_records import calendar_date
from service.infactor.settlements import (
    Settlement,
    Transaction,
    account_of,
    credits_in,
    links_of,
    settlements_of,
    with_known,
)
from service.kit.clock import now
from service.quickbooks.faults import CUT_SHORT, TIMED_OUT
from service.quickbooks.queries import EntityName
from service.services import Services
from service.store import connections, settlements
from service.store.findings import Found
from service.wording import money
from workers.company import CompanyContext, note_outage
from workers.delivery.findings import keep_findings
from workers.reading.by_id import Query
from workers.retry import why

log = structlog.get_logger(__name__)

_BATCH = 500
_OTHERS: tuple[EntityName, ...] = ("CreditMemo", "JournalEntry", "Account")
_SPACING_SECONDS = 60.0
_WORDS = {
    SettlementKind.CREDIT_NOTE: "credited by note",
    SettlementKind.WRITE_OFF: "written off by entry",
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

    Each transaction is read once for each change of an invoice that it belongs to.
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
    read, unread = _linked(company, [invoice for invoice, _ in due])
    with database.write() as session:
        ids = [invoice.id for invoice, _ in due]
        known = settlements.known(session, ids) if unread else {}
        found = {
            invoice.id: with_known(
                invoice.source,
                settlements_of(invoice.source, read),
                list(map(_settlement, known.get(invoice.id, ()))),
                read,
                unread,
            )
            for invoice, _ in due
        }
        rows = [row for invoice, _ in due for row in _rows(invoice, found[invoice.id])]
        settlements.keep(session, rows, {invoice.id: invoice.fetch_number for invoice, _ in due})
        everyones = company.services.settings.infactor_currency
        told = {
            invoice.id: _findings(found[invoice.id], document, invoice.currency or everyones)
            for invoice, document in due
        }
        keep_findings(session, company.connection_id, {FindingKind.SETTLED: told}, now())
    log.info("settlements.read", connection=company.connection_id, invoices=len(due))
    return len(due) == _BATCH


class _Linked(NamedTuple):
    """Transactions as QuickBooks shows them, and those that it cannot show."""

    read: dict[Transaction, Mapping[str, Any]]
    unread: set[Transaction]


def _linked(company: CompanyContext, invoices: Sequence[Invoice]) -> _Linked:
    """Read what QuickBooks links to these invoices: first the payments, then the credits that these
    or the invoices name, and the accounts that the cash went to.

    What cannot be shown is asked for again when its invoice changes next.
    """
    wanted = {link for invoice in invoices for link in links_of(invoice.source)}
    found = _read(company, "Payment", wanted)
    payments = list(found.read.values())
    wanted |= {link for payment in payments for link in credits_in(payment)}
    wanted |= {Transaction("Account", id_) for one in payments if (id_ := account_of(one))}
    for entity in _OTHERS:
        others = _read(company, entity, wanted)
        found.read.update(others.read)
        found.unread.update(others.unread)
    return found


def _read(company: CompanyContext, entity: EntityName, wanted: Collection[Transaction]) -> _Linked:
    """Read those of these transactions that are of this entity, as many as possible at once.

    Raises TransientError if the answer about one may come another time.
    """
    query = Query(company, entity)
    query.ask(sorted(link.id for link in wanted if link.entity == entity))
    for id_, error in query.failed.items():
        if error.code in (CUT_SHORT, TIMED_OUT):
            raise error
        log.warning(
            "settlement.not_shown",
            connection=company.connection_id,
            entity=entity,
            quickbooks_id=id_,
            **why(error),
        )
    return _Linked(
        {Transaction(entity, str(read.raw["Id"])): read.raw for read in query.found},
        {Transaction(entity, id_) for id_ in query.failed},
    )


def _rows(invoice: Invoice, found: Sequence[Settlement]) -> list[dict[str, Any]]:
    at = now()
    return [
        {
            "invoice_id": invoice.id,
            "payment_id": one.payment_id,
            "source_id": one.source_id,
            "kind": one.kind,
            "amount": one.amount,
            "share": one.share,
            "paid_on": one.on.isoformat() if one.on else "",
            "payer": one.payer,
            "account": one.account,
            "number": one.number,
            "dated": one.dated.isoformat() if one.dated else "",
            "read_at": at,
        }
        for one in found
    ]


def _settlement(row: SettlementRow) -> Settlement:
    return Settlement(
        payment_id=row.payment_id,
        source_id=row.source_id,
        kind=SettlementKind(row.kind),
        amount=row.amount,
        share=row.share,
        on=calendar_date(row.paid_on),
        payer=row.payer,
        account=row.account,
        number=row.number,
        dated=calendar_date(row.dated),
    )


def _findings(found: Sequence[Settlement], document: Document | None, currency: str) -> list[Found]:
    """Return a finding for each way in which the invoice was settled; amounts in its currency."""
    state = document.state if document else ""
    severity = Severity.INFO if state in OVER else Severity.CRITICAL
    return [
        Found(
            field=kind, severity=severity, state=state, current=_text(those, currency), cause=kind
        )
        for kind in SettlementKind
        if (those := [one for one in found if one.kind is kind])
    ]


def _text(found: Sequence[Settlement], currency: str) -> str:
    """Return the settlements of one kind in words."""
    return "; ".join(
        f"{money(one.amount, currency)} {_by(one)}"
        + (f" on {one.on.isoformat()}" if one.on else "")
        + (f" by {one.payer}" if one.payer and one.kind is SettlementKind.CASH else "")
        + (f" for {one.payer}" if one.payer and one.kind is not SettlementKind.CASH else "")
        + (f", account {one.account}" if one.account else "")
        for one in found
    )


def _by(one: Settlement) -> str:
    """Return how it was settled, with the credit's own number and day."""
    number = f" {one.number}" if one.number else ""
    if one.kind is SettlementKind.CASH:
        return f"paid{number and f' (reference{number})'}"
    return f"{_WORDS[one.kind]}{number}" + (f" of {one.dated.isoformat()}" if one.dated else "")
