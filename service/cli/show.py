"""`invoices` and `connections`: what there is, for people and for programs."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import typer

from service.bootstrap import Services
from service.cli.compose import command_services
from service.cli.console import answer_json, fail, hint, moment, says_what_is_wrong, show_table
from service.cli.options import Json
from service.infactor.dashboard import status
from service.infactor.holds import Hold, sentence
from service.store import connections, invoices, runs
from service.store.tables import Connection, Document, Invoice, Supplier

_PAGE = 500


@says_what_is_wrong
def show_invoices(
    supplier: Annotated[str | None, typer.Option(help="Only this supplier's (e-mail).")] = None,
    held: Annotated[bool, typer.Option("--held", help="Also those that are held back.")] = False,
    as_json: Json = False,
) -> None:
    """Show the invoices that are in Infactor, and with --held also those that are held back."""
    with command_services() as services:
        ids = _connection_ids(services, supplier)
        if as_json:
            answer_json(_document(i, d) for i, d in _invoices(services, ids, held))
            return
        show_table(
            "Invoices",
            ("Request no", "Buyer", "PO title", "Amount", "Payable", "Status", "Infactor id"),
            (
                _invoice_line(i, d, services.settings.infactor_currency)
                for i, d in _invoices(services, ids, held)
            ),
        )


def _connection_ids(services: Services, email: str | None) -> list[str]:
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        if email is None:
            return [c.id for c, _ in connections.everyone(session, environment)]
        supplier = connections.supplier_by_email(session, email)
        if supplier is None:
            raise fail("No supplier with this e-mail address has opened a link yet.")
        return [c.id for c in connections.of_supplier(session, supplier.id, environment)]


def _invoices(
    services: Services, connection_ids: list[str], held: bool
) -> Iterator[tuple[Invoice, Document | None]]:
    offset = 0
    while True:
        with services.database.read() as session:
            page = invoices.page(session, connection_ids, held=held, limit=_PAGE, offset=offset)
        yield from page
        if len(page) < _PAGE:
            return
        offset += _PAGE


def _document(invoice: Invoice, document: Document | None) -> dict[str, Any]:
    """Return Infactor's document, or the one that it would have."""
    return document.document if document else dict(invoice.mapped or {})


def _invoice_line(invoice: Invoice, document: Document | None, currency: str) -> tuple[object, ...]:
    """Return a line of the table; an invoice that names no currency is in Infactor's."""
    shown = _document(invoice, document)
    return (
        shown["invoiceNo"],
        shown["companyName"],
        shown["purchaseTitle"],
        f"{_amount(shown['invoiceAmount'])} {invoice.currency or currency}",
        shown["payableDate"],
        sentence(Hold(invoice.hold)) if invoice.hold else status(shown["state"]),
        invoice.id,
    )


def _amount(value: int | Decimal) -> str:
    exact = Decimal(value)
    return f"{exact:.2f}" if exact == round(exact, 2) else f"{exact:f}"


@says_what_is_wrong
def show_connections(as_json: Json = False) -> None:
    """Show every company's connection, its newest backfill and how many invoices it has."""
    with command_services() as services:
        with services.database.read() as session:
            everyone = connections.everyone(session, services.settings.quickbooks_environment)
            rows = []
            for connection, supplier in everyone:
                recorded, offered = invoices.counts(session, connection.id)
                run = runs.latest(session, connection.id)
                rows.append(
                    {
                        **_connection(services, connection, supplier),
                        "invoices": recorded,
                        "in_infactor": offered,
                        "backfill": None if run is None else run.state,
                    }
                )
        if as_json:
            answer_json(rows)
            return
        show_table(
            "Connections",
            ("Supplier", "Company", "Realm id", "State", "Last sync", "Invoices", "Backfill"),
            (
                (
                    row["supplier"],
                    row["company"],
                    row["realm_id"],
                    row["state"] if not row["problem"] else f"{row['state']}: {row['problem']}",
                    moment(row["last_synced_at"]),
                    f"{row['in_infactor']} of {row['invoices']} in Infactor",
                    row["backfill"],
                )
                for row in rows
            ),
        )
        for row in rows:
            if row["state"] == "disconnected":
                hint(
                    f"{row['company']} is disconnected. Send a new link:"
                    f" infactor-quickbooks connect-url {row['supplier']}"
                )


def _connection(services: Services, connection: Connection, supplier: Supplier) -> dict[str, Any]:
    return {
        "connection": connection.id,
        "supplier": supplier.email,
        "company": connection.company_name,
        "realm_id": services.access.realm_id(connection),
        "environment": connection.environment,
        "state": connection.state,
        "problem": connection.problem,
        "connected_at": connection.connected_at,
        "renewed_at": connection.renewed_at,
        "last_synced_at": connection.last_synced_at,
        "refresh_token_expires_at": connection.refresh_expires_at,
        "authorisation_ends_at": connection.hard_expires_at,
    }
