"""`invoices`: lists the recorded invoices."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import typer

from service.cli.console import answer_json, says_what_is_wrong, show_table
from service.cli.context import Json, command_services, named_supplier
from service.database.tables import Document, Invoice
from service.domain import RuleCode
from service.infactor.rules.catalogue import sentence
from service.infactor.wording import status
from service.services import Services
from service.store import connections, invoices

_PAGE = 500


@says_what_is_wrong
def show_invoices(
    supplier: Annotated[str | None, typer.Option(help="Only this supplier's (e-mail).")] = None,
    held: Annotated[bool, typer.Option("--held", help="Also those that are held back.")] = False,
    as_json: Json = False,
) -> None:
    """Show the invoices that are in Infactor, and with --held also those that are held back."""
    with command_services() as services:
        chosen = _chosen(services, supplier)
        if as_json:
            answer_json(_document(i, d) for i, d in _invoices(services, *chosen, held))
            return
        show_table(
            "Invoices",
            ("Request no", "Buyer", "PO title", "Amount", "Payable", "Status", "Infactor id"),
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
        supplier = named_supplier(session, email, 1)
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
        sentence(RuleCode(invoice.hold)) if invoice.hold else status(shown["state"]),
        invoice.document_id,
    )


def _amount(value: int | Decimal) -> str:
    exact = Decimal(value)
    return f"{exact:.2f}" if exact == round(exact, 2) else f"{exact:f}"
