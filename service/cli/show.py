"""`invoices`, `connections` and `notices`: what there is, for people and for programs."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from service.bootstrap import Services
from service.cli.compose import command_services
from service.cli.console import answer_json, fail, says_what_is_wrong, show_table
from service.infactor.dashboard import status
from service.infactor.holds import Hold, sentence
from service.store import connections, inbox, invoices, runs
from service.store.tables import Connection, Document, Invoice, Notice, Supplier

_PAGE = 500

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, on stdout.")]


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
            (_invoice_line(i, d) for i, d in _invoices(services, ids, held)),
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


def _invoice_line(invoice: Invoice, document: Document | None) -> tuple[object, ...]:
    shown = _document(invoice, document)
    return (
        shown["invoiceNo"],
        shown["companyName"],
        shown["purchaseTitle"],
        f"{shown['invoiceAmount']} {invoice.currency or ''}".strip(),
        shown["payableDate"],
        sentence(Hold(invoice.hold)) if invoice.hold else status(shown["state"]),
        invoice.id,
    )


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
                    row["last_synced_at"],
                    f"{row['in_infactor']} of {row['invoices']} in Infactor",
                    row["backfill"],
                )
                for row in rows
            ),
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


@says_what_is_wrong
def show_notices(as_json: Json = False) -> None:
    """Show every notice that QuickBooks sent, the newest first, and what became of it."""
    with command_services() as services:
        lines = (_notice(services, notice) for notice in _notices(services))
        if as_json:
            answer_json(lines)
            return
        show_table(
            "Notices",
            ("Id", "Received", "What", "Status", "Why", "Times", "intuit_tid"),
            (
                (
                    line["id"],
                    f"{line['received_at']:%Y-%m-%d %H:%M:%S}",
                    " ".join(str(line[k]) for k in ("entity", "entity_id", "operation") if line[k]),
                    line["status"],
                    line["reason"] if line["status"] == "done" else line["error"] or line["reason"],
                    line["duplicates"] + 1,
                    line["intuit_tid"],
                )
                for line in lines
            ),
        )


def _notices(services: Services) -> Iterator[Notice]:
    before: int | None = None
    while True:
        with services.database.read() as session:
            page = inbox.newest(session, before, _PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        before = page[-1].id


def _notice(services: Services, notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "received_at": notice.received_at,
        "connection": notice.connection_id,
        "format": notice.format,
        "event_id": notice.event_id,
        "entity": notice.entity,
        "operation": notice.operation,
        "entity_id": notice.entity_id,
        "changed_at": notice.changed_at,
        "status": notice.status,
        "reason": notice.reason,
        "attempts": notice.attempts,
        "due_at": notice.due_at,
        "duplicates": notice.duplicates,
        "error_class": notice.error_class,
        "error": notice.error_message,
        "intuit_tid": notice.intuit_tid,
        "handled_at": notice.handled_at,
    }
