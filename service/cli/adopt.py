"""`adopt`: matches the rows of Infactor's old QuickBooks import with invoices."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from service.cli.console import answer_json, fail, hint, says_what_is_wrong, show_table
from service.cli.context import (
    Json,
    chosen,
    command_services,
    name_one,
    named_supplier,
    operator,
)
from service.cli.exit_status import Exit
from service.infactor.old_import.matching import OldRows, Row
from service.infactor.old_import.values import id_of, row_id, shown, text
from service.services import Services
from service.store import connections
from service.wording import called

_SHOWN = ("invoiceId", "qbkInvoiceId", "invoiceNo", "invoiceAmount", "state")


@says_what_is_wrong
def adopt(
    supplier: Annotated[
        str | None,
        typer.Option("--supplier", metavar="EMAIL", help="The supplier's e-mail address."),
    ] = None,
    connection: Annotated[
        str | None,
        typer.Option(
            "--connection", metavar="ID", help="The supplier of the connection with this id."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be adopted; change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Adopt rows of Infactor's old import, and list those that fit no invoice.

    The service does so before a supplier's first delivery. Nothing is written into
    Infactor here: an adopted row is written to when its invoice is delivered. While unexplained
    rows of an Id are there, invoices with that Id wait.

    Exit status: 1 when some are listed.
    """
    from workers.delivery.adoption import adopt_for_supplier, rehearse

    with command_services() as services:
        if services.infactor is None:
            raise fail("INFACTOR_MONGODB_URL: not set, so there are no old rows to adopt.")
        supplier_id = _supplier_of(services, supplier, connection)
        if dry_run:
            found = rehearse(services, supplier_id)
        else:
            found = adopt_for_supplier(services, supplier_id, operator())
    if as_json:
        answer_json(_rows(found))
    else:
        _show(found, dry_run=dry_run)
    _summarise(found, dry_run=dry_run)
    if found.unexplained:
        raise typer.Exit(Exit.ATTENTION)


def _supplier_of(services: Services, email: str | None, connection_id: str | None) -> int:
    """Return the supplier's id; exit if they have no company to compare rows with."""
    name_one({"--supplier EMAIL": email, "--connection ID": connection_id})
    if connection_id is not None:
        return chosen(services, connection_id=connection_id)[0][1].id
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        owner = named_supplier(session, email or "")
        if not connections.of_supplier(session, owner.id, environment):
            raise fail("No company of this supplier is connected, so every row is nobody's.")
        return owner.id


def _rows(found: OldRows) -> Iterator[dict[str, Any]]:
    for row in found.adopted.values():
        shown = _row(row)
        # The name that Infactor knows it by: it has no other document of the invoice.
        yield {**shown, "adopted_by": shown["invoiceId"], "why": None, "holds": None}
    for row, why in found.unexplained:
        # A copy holds nothing, but another row of its Id may.
        holds = id_of(row) if id_of(row) in found.held else None
        yield {**_row(row), "adopted_by": None, "why": why, "holds": holds}


def _row(row: Row) -> dict[str, Any]:
    number = row_id(row) or shown(row.get("_id"))
    return {"_id": number, **{name: shown(row.get(name)) for name in _SHOWN}}


def _show(found: OldRows, *, dry_run: bool) -> None:
    show_table(
        "Rows of Infactor's old import",
        ("Row", "Id", "Number", "Amount", "State", "What becomes of it"),
        (
            (*(shown(row.get(name)) for name in _SHOWN), becomes)
            for row, becomes in _fates(found, dry_run=dry_run)
        ),
    )


def _fates(found: OldRows, *, dry_run: bool) -> Iterator[tuple[Row, str]]:
    """Yield each row, and in words what becomes of it."""
    for invoice_id, row in found.adopted.items():
        word = "would be adopted" if dry_run and invoice_id not in found.kept else "adopted"
        number = text(row.get("invoiceNo"))
        yield row, f"{word} by invoice {called(id_of(row) or '', number)}"
    for row, why in found.unexplained:
        yield row, f"listed: {why}"


def _summarise(found: OldRows, *, dry_run: bool) -> None:
    verb, new = "would be" if dry_run else "are", len(found.adopted) - len(found.kept)
    before = f" besides {len(found.kept)} before," if found.kept else ""
    hint(f"{new} rows {verb} adopted,{before} {len(found.unexplained)} {verb} listed.")
    if found.held:
        ids = ", ".join(sorted(found.held, key=int)[:20])
        more = ", …" if len(found.held) > 20 else ""
        hint(
            f"Held, so that nothing is offered twice: Id {ids}{more}. In Infactor's database, fix"
            " or remove what is not this supplier's, then run this again."
        )
