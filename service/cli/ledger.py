"""`ledger`: what each buyer owes."""

from typing import Annotated

import typer

from service.cli.console import (
    SHOWN,
    Limit,
    answer,
    answer_json,
    fail,
    says_what_is_wrong,
    show_list,
)
from service.cli.context import Json, OnlySupplier, command_services, named_supplier
from service.kit.clock import now
from service.kit.spreadsheet import lines
from service.queries.ledger import AGES, LedgerEntry, columns, ledger, row
from service.store import connections
from service.wording import money


@says_what_is_wrong
def show_ledger(
    supplier: OnlySupplier = None,
    limit: Limit = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="As a CSV file, on stdout.")] = False,
    as_json: Json = False,
) -> None:
    """Show what each buyer owes: amount due and its age, share, dilution, days to pay.

    Age counts days past the due date. Dilution is what was voided, deleted or reduced after it was
    first read, with the credit notes and write-offs of approved invoices, which are read. Those of
    others lower the balance as a payment does, and are not in it.
    """
    if as_csv and as_json:
        raise fail("--csv and --json exclude each other.")
    wanted = limit if as_csv or as_json else (limit or SHOWN) + 1
    with command_services() as services, services.database.read() as session:
        settings = services.settings
        only = None
        if supplier is not None:
            owner = named_supplier(session, supplier)
            mine = connections.of_supplier(session, owner.id, settings.quickbooks_environment)
            only = [one.id for one in mine]
        found = ledger(
            session,
            settings.quickbooks_environment,
            settings.infactor_currency,
            settings.today(now()),
            connection_ids=only,
            limit=wanted,
        )
    if as_json:
        answer_json(row(one) for one in found)
        return
    if as_csv:
        for cells in (columns(), *(list(row(one).values()) for one in found)):
            answer(lines([cells]).rstrip())
        return
    headings = (
        *("Buyer", "Company", "Due in all", *AGES),
        *("Share", "Dilution", "Days to pay", "Invoices", "First", "Largest"),
    )
    show_list("Ledger", headings, map(_line, found), limit)


def _line(one: LedgerEntry) -> tuple[object, ...]:
    return (
        *(one.buyer, one.company, money(one.open, one.currency)),
        *(money(amount) if amount else "" for amount in one.ages),
        f"{one.share:.1%}",
        "-" if one.dilution is None else f"{one.dilution:.1%}",
        "-" if one.days_to_pay is None else f"{one.days_to_pay:.0f}",
        *(one.invoices, one.first, money(one.largest, one.currency)),
    )
