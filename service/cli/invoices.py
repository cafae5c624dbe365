"""`invoices`, `findings`, `acknowledge`: what is recorded, and what changed after an approval."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import typer

from service.cli.console import (
    SHOWN,
    Limit,
    answer_json,
    fail,
    hint,
    hint_at_more,
    says_what_is_wrong,
    show_table,
    utc_cell,
)
from service.cli.context import (
    Json,
    OnlySupplier,
    an_id,
    command_services,
    name_of,
    named_supplier,
    operator,
)
from service.database.tables import Document, Invoice
from service.infactor.rules.catalogue import word
from service.infactor.wording import status
from service.operations import actions
from service.queries.invoice_file import reasons
from service.services import Services
from service.store import connections, findings, invoices
from service.store.findings import FindingEntry
from service.wording import of_finding

_PAGE = 500


@says_what_is_wrong
def show_invoices(
    supplier: OnlySupplier = None,
    held: Annotated[bool, typer.Option("--held", help="Also those that are held back.")] = False,
    as_json: Json = False,
) -> None:
    """Show the invoices that are in Infactor, and with --held also those that are held back."""
    with command_services() as services:
        chosen = _chosen(services, supplier)
        if as_json:
            answer_json(_json(i, d) for i, d in _invoices(services, *chosen, held))
            return
        show_table(
            "Invoices",
            (
                "Invoice no.",
                "Buyer",
                "PO title",
                "Amount",
                "Payable",
                "Status",
                "Signals",
                "Infactor id",
            ),
            (
                _invoice_line(i, d, services.settings.infactor_currency)
                for i, d in _invoices(services, *chosen, held)
            ),
        )


def _chosen(services: Services, email: str | None) -> tuple[list[str], int | None]:
    """Return the companies whose invoices to show, and the supplier if only one's."""
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        if email is None:
            return [c.id for c, _ in connections.everyone(session, environment)], None
        supplier = named_supplier(session, email)
        mine = connections.of_supplier(session, supplier.id, environment)
        return [c.id for c in mine], supplier.id


def _invoices(
    services: Services, connection_ids: list[str], supplier_id: int | None, held: bool
) -> Iterator[tuple[Invoice, Document | None]]:
    offset = 0
    while True:
        with services.database.read() as session:
            page = invoices.page(
                session, connection_ids, held=held, shown_to=supplier_id, limit=_PAGE, offset=offset
            )
        yield from page
        if len(page) < _PAGE:
            return
        offset += _PAGE


def _json(invoice: Invoice, document: Document | None) -> dict[str, Any]:
    """Return the document with every reason for which it is held, and every other signal."""
    return {
        **_document(invoice, document),
        "holds": reasons(invoice.holds),
        "signals": reasons(invoice.signals),
    }


def _held_because(invoice: Invoice) -> str:
    """Return every reason why it is held; "" if it is not."""
    words = ", ".join(word(one["code"]) for one in invoice.holds)
    return f"Held: {words or word(invoice.hold)}" if invoice.hold else ""


def _document(invoice: Invoice, document: Document | None) -> dict[str, Any]:
    """Return Infactor's document, or the one that it would have."""
    if document:
        return document.document
    return {**(invoice.mapped or {}), "invoiceId": invoice.document_id}


def _invoice_line(invoice: Invoice, document: Document | None, currency: str) -> tuple[object, ...]:
    """Return a line of the table; an invoice that names no currency is in `currency`."""
    shown = _document(invoice, document)
    return (
        shown["invoiceNo"],
        shown["companyName"],
        shown["purchaseTitle"],
        f"{_amount(shown['invoiceAmount'])} {invoice.currency or currency}",
        shown["payableDate"],
        _held_because(invoice) or status(shown["state"]),
        ", ".join(word(one["code"]) for one in invoice.signals),
        invoice.document_id,
    )


def _amount(value: int | Decimal) -> str:
    exact = Decimal(value)
    return f"{exact:.2f}" if exact == round(exact, 2) else f"{exact:f}"


@says_what_is_wrong
def show_findings(
    history: Annotated[
        bool, typer.Option("--history", help="Also those that are over, after the others.")
    ] = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show what changed after it was approved in Infactor, the critical first.

    A finding closes automatically when the difference is gone; one about an approval in a
    hurry closes after seven days.
    """
    wanted = limit if as_json else (limit or SHOWN) + 1
    with command_services() as services, services.database.read() as session:
        environment = services.settings.quickbooks_environment
        listed = findings.listed(session, environment, history=history, limit=wanted)
    if as_json:
        answer_json(_finding_row(entry) for entry in listed)
        return
    currency = services.settings.infactor_currency
    shown = limit or SHOWN
    show_table(
        "Findings",
        (
            *("Id", "Severity", "Company", "Invoice", "In Infactor", "What"),
            *("Approved", "Now", "Since", *(("Over",) if history else ())),
        ),
        (line for one in listed[:shown] for line in _lines(one, currency, history=history)),
    )
    if len(listed) > shown:
        hint_at_more(shown)


@says_what_is_wrong
def acknowledge(
    finding: Annotated[
        int, typer.Option(metavar="ID", parser=an_id, help="Its id, as `findings` has it.")
    ],
    note: Annotated[
        str, typer.Option(metavar="TEXT", help="What you did about it, for the next person.")
    ],
    as_json: Json = False,
) -> None:
    """Acknowledge a finding: stop alerting on it unless it changes.

    It stays among `findings` until it is over, and is reported again if it changes.
    """
    if not note.strip():
        raise fail("--note: say what was done about it.")
    with command_services() as services:
        environment = services.settings.quickbooks_environment
        found = actions.acknowledge(services.database, finding, environment, note, operator())
    if found is None:
        raise fail("No open finding has this id. `infactor-quickbooks findings` lists them.")
    if as_json:
        answer_json([{"finding": finding, "note": note, "acknowledged": True}])
    hint("Acknowledged. It alerts again only if it changes.")


def _lines(entry: FindingEntry, currency: str, *, history: bool) -> Iterator[tuple[object, ...]]:
    """Yield a line for each field of a finding, what they share in the first alone.

    An invoice that names no currency is in `currency`.
    """
    finding, invoice = entry.finding, entry.invoice
    seen = f" (seen: {finding.note})" if finding.acknowledged_at else ""
    about: tuple[object, ...] = (
        finding.id,
        f"{finding.severity}{seen}",
        name_of(entry.company),
        invoice.doc_number or invoice.quickbooks_id,
        status(finding.state),
    )
    times = (utc_cell(finding.found_at), *((utc_cell(finding.closed_at),) if history else ()))
    for one in of_finding(finding, invoice, entry.approved_currency, currency):
        values = (one.approved, one.current) if one.tells else ("", "")
        yield *about, one.what, *values, *times
        about, times = ("",) * len(about), ("",) * len(times)


def _finding_row(entry: FindingEntry) -> dict[str, Any]:
    finding, invoice, company = entry.finding, entry.invoice, entry.company
    return {
        "id": finding.id,
        "severity": finding.severity,
        "kind": finding.kind,
        "connection": company.id,
        "company": name_of(company),
        "invoice": invoice.document_id,
        "quickbooks_id": invoice.quickbooks_id,
        "number": invoice.doc_number,
        "state": finding.state,
        "status": status(finding.state),
        "fields": finding.fields,
        "found_at": finding.found_at,
        "changed_at": finding.changed_at,
        "closed_at": finding.closed_at,
        "acknowledged_at": finding.acknowledged_at,
        "note": finding.note,
    }
