"""`adopt`: matches the rows of Infactor's old QuickBooks import with invoices."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from service.cli.console import answer_json, fail, hint, says_what_is_wrong, show_table
from service.cli.context import Json, command_services, operator
from service.infactor.legacy.rows import OldRows, Row
from service.infactor.legacy.values import id_of, row_id, shown
from service.services import Services
from service.store import connections

_SHOWN = ("invoiceId", "qbkInvoiceId", "invoiceNo", "invoiceAmount", "state")


@says_what_is_wrong
def adopt(
    supplier: Annotated[str, typer.Option("--supplier", help="The supplier's e-mail address.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be adopted; change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Adopt the rows that Infactor's own old import wrote, and list those that nobody explains.

    The service does so by itself before a supplier's first delivery. Nothing is written into
    Infactor here: an adopted row is written to when its invoice is delivered. While unexplained
    rows of an Id are there, invoices with that Id wait.

    Exit status: 0 when every row is adopted; 1 when some are listed; 2 for bad options.
    """
    from workers.delivery.legacy_rows import carry_out, rehearse

    with command_services() as services:
        if services.infactor is None:
            raise fail("INFACTOR_MONGODB_URL: not set, so there are no old rows to adopt.", 2)
        supplier_id = _supplier_of(services, supplier)
        if dry_run:
            found = rehearse(services, supplier_id)
        else:
            found = carry_out(services, supplier_id, operator())
    rows = list(_rows(found))
    if as_json:
        answer_json(rows)
    else:
        _show(rows, dry_run=dry_run)
    _summarise(found, dry_run=dry_run)
    if found.unexplained:
        raise typer.Exit(1)


def _supplier_of(services: Services, email: str) -> int:
    """Return the supplier's id; exit if they have no company to compare rows with."""
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        owner = connections.supplier_by_email(session, email)
        if owner is None:
            raise fail("No supplier with this e-mail address has opened a link yet.", 2)
        if not connections.of_supplier(session, owner.id, environment):
            raise fail("No company of this supplier is connected, so every row is nobody's.", 2)
        return owner.id


def _rows(found: OldRows) -> Iterator[dict[str, Any]]:
    for invoice_id, row in found.adopted.items():
        yield {**_row(row), "adopted_by": invoice_id, "why": None, "holds": None}
    for row, why in found.unexplained:
        # A copy holds nothing, but another row of its Id may.
        holds = id_of(row) if id_of(row) in found.held else None
        yield {**_row(row), "adopted_by": None, "why": why, "holds": holds}


def _row(row: Row) -> dict[str, Any]:
    number = row_id(row) or shown(row.get("_id"))
    return {"_id": number, **{name: shown(row.get(name)) for name in _SHOWN}}


def _show(rows: list[dict[str, Any]], *, dry_run: bool) -> None:
    word = "would be adopted by" if dry_run else "adopted by"
    show_table(
        "Rows of Infactor's old import",
        ("Row", "Id", "Number", "Amount", "State", "What becomes of it"),
        (
            (
                *(row[name] for name in _SHOWN),
                f"{word} {row['adopted_by']}" if row["adopted_by"] else f"listed: {row['why']}",
            )
            for row in rows
        ),
    )


def _summarise(found: OldRows, *, dry_run: bool) -> None:
    verb = "would be" if dry_run else "are"
    hint(f"{len(found.adopted)} rows {verb} adopted, {len(found.unexplained)} {verb} listed.")
    if found.held:
        ids = ", ".join(sorted(found.held, key=int)[:20])
        more = ", …" if len(found.held) > 20 else ""
        hint(
            f"Held, so that nothing is offered twice: Id {ids}{more}. In Infactor's database, mend"
            " or remove what is not this supplier's, then run this again."
        )
