"""`findings` and `acknowledge`: what changed in QuickBooks after an approval in Infactor."""

from typing import Annotated, Any

import typer

from service.cli.console import answer_json, fail, hint, says_what_is_wrong, utc_cell
from service.cli.context import Json, command_services, name_of, operator
from service.cli.listing import SHOWN, Limit, show_list
from service.domain import FindingKind
from service.infactor.wording import finding_words, status
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
    show_list(
        "Findings",
        (
            *("Id", "Severity", "Company", "Invoice", "In Infactor", "What"),
            *("Approved", "Now", "Since", *(("Over",) if history else ())),
        ),
        (
            (*_cells(one, currency), *((utc_cell(one.finding.closed_at),) if history else ()))
            for one in listed
        ),
        limit,
    )


@says_what_is_wrong
def acknowledge(
    finding: Annotated[int, typer.Option("--finding", min=1, help="Its id, as `findings` has it.")],
    note: Annotated[str, typer.Option(help="What was done about it, for whoever comes next.")],
) -> None:
    """Acknowledge a finding: nobody is alerted to it any more, unless it changes.

    It stays among `findings` until it is over.
    """
    if not note.strip():
        raise fail("--note: say what was done about it.", 2)
    with command_services() as services:
        environment = services.settings.quickbooks_environment
        found = actions.acknowledge(services.database, finding, environment, note, operator())
    if found is None:
        raise fail("No open finding has this id. `infactor-quickbooks findings` lists them.", 2)
    hint("Acknowledged: it is told again only if it changes.")


def _cells(entry: FindingEntry, currency: str) -> tuple[object, ...]:
    """Return a finding's line; an invoice that names no currency is in `currency`."""
    finding, invoice = entry.finding, entry.invoice
    seen = f" (seen: {finding.note})" if finding.acknowledged_at else ""
    values = of_finding(finding, invoice, entry.approved_currency, currency)
    return (
        finding.id,
        f"{finding.severity}{seen}",
        name_of(entry.company),
        invoice.doc_number or invoice.quickbooks_id,
        status(finding.state),
        finding_words(finding.field, finding.kind),
        # If the document is gone, there are no values.
        *(("", "") if finding.kind == FindingKind.MISSING else values),
        utc_cell(finding.found_at),
    )


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
        "field": finding.field,
        "approved": finding.approved,
        "current": finding.current,
        "found_at": finding.found_at,
        "changed_at": finding.changed_at,
        "closed_at": finding.closed_at,
        "acknowledged_at": finding.acknowledged_at,
        "note": finding.note,
    }
