"""`findings` and `acknowledge`: what changed in QuickBooks after an approval in Infactor."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from service.cli.console import answer_json, fail, hint, says_what_is_wrong, show_table, utc_cell
from service.cli.context import Json, command_services, name_of, operator
from service.cli.listing import SHOWN, Limit, hint_at_more
from service.infactor.wording import status
from service.operations import actions
from service.store import findings
from service.store.findings import FindingEntry
from service.wording import of_finding


@says_what_is_wrong
def show_findings(
    history: Annotated[
        bool, typer.Option("--history", help="Also those that are over, after the others.")
    ] = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show what is no longer as it was approved in Infactor, the critical first.

    A finding closes by itself when it is no longer so; one about an approval in a hurry after
    seven days.
    """
    wanted = limit if as_json else (limit or SHOWN) + 1
    with command_services() as services, services.database.read() as session:
        environment = services.settings.quickbooks_environment
        listed = findings.listed(session, environment, history=history, limit=wanted)
    if as_json:
        answer_json(_row(entry) for entry in listed)
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
    finding: Annotated[int, typer.Option("--finding", min=1, help="Its id, as `findings` has it.")],
    note: Annotated[str, typer.Option(help="What was done about it, for whoever comes next.")],
) -> None:
    """Note that somebody has seen to a finding: it is no longer told as something that is wrong.

    It stays among `findings` until it is over, and is told again if it changes.
    """
    if not note.strip():
        raise fail("--note: say what was done about it.", 2)
    with command_services() as services:
        environment = services.settings.quickbooks_environment
        found = actions.acknowledge(services.database, finding, environment, note, operator())
    if found is None:
        raise fail("No open finding has this id. `infactor-quickbooks findings` lists them.", 2)
    hint("Acknowledged: it is told again only if it changes.")


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


def _row(entry: FindingEntry) -> dict[str, Any]:
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
