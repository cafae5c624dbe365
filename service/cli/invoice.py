"""`invoice`: everything known of one invoice."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from service.cli.console import answer, answer_json, fail, says_what_is_wrong, show_table, utc_cell
from service.cli.context import Json, command_services, name_of
from service.config.settings import Settings
from service.infactor.rules.catalogue import word
from service.infactor.rules.judge import reasons_of
from service.infactor.wording import status
from service.queries import invoice_record
from service.queries.invoice_file import invoice_file
from service.queries.invoice_record import FoundInvoice, InvoiceRecord
from service.wording import called, money, of_finding, what, why

_MOST_NAMED = 20


@says_what_is_wrong
def show_invoice(
    invoice: Annotated[
        str | None, typer.Argument(metavar="ID", help="Its id in Infactor, or in QuickBooks.")
    ] = None,
    number: Annotated[str | None, typer.Option(metavar="N", help="Its number instead.")] = None,
    as_json: Json = False,
) -> None:
    """Show everything known of one invoice: why it is held, its history, events and findings.

    --json also has the untouched original.
    """
    if (invoice is None) == (number is None):
        raise fail("Name one invoice: its ID, or --number N.")
    with command_services() as services, services.database.read() as session:
        found = _found(session, services.settings, invoice, number, as_json=as_json)
        settings = services.settings
    if as_json:
        answer_json(invoice_file(one) for one in found)
        return
    _show(found[0], settings)


def _found(
    session: Session, settings: Settings, given: str | None, number: str | None, *, as_json: bool
) -> list[InvoiceRecord]:
    """Return the invoices that are meant: one, or with `as_json` all of that number."""
    environment, text = settings.quickbooks_environment, (given or number or "").strip()
    if not text:
        raise fail("Name one invoice: its ID, or --number N.")
    most = None if as_json else invoice_record.MOST_SHOWN
    exact = invoice_record.record(session, environment, text, most=most) if given else None
    if exact is not None:
        return [exact]
    limit = None if as_json else _MOST_NAMED + 1
    find = invoice_record.by_id if given else invoice_record.by_number
    listed = find(session, environment, text, limit)
    if not listed:
        which = f"number {text}" if number else f"id {text}"
        raise fail(
            f"No invoice has the {which}. Search on /ops/invoices, or list them with"
            " `infactor-quickbooks invoices --held`."
        )
    if len(listed) > 1 and not as_json:
        _choose(listed[:_MOST_NAMED])
        more = f"More than {_MOST_NAMED}" if len(listed) > _MOST_NAMED else "Several"
        raise fail(f"{more} invoices match. Name one by its id in Infactor, or ask for --json.")
    ids = [one.invoice.id for one in listed]
    found = (invoice_record.record(session, environment, id_, most=most) for id_ in ids)
    return [one for one in found if one is not None]


def _choose(listed: Sequence[FoundInvoice]) -> None:
    show_table(
        "Invoices",
        ("Id", "Number", "Buyer", "Company"),
        (
            (
                one.invoice.id,
                one.invoice.doc_number,
                (one.invoice.mapped or {}).get("companyName"),
                name_of(one.company),
            )
            for one in listed
        ),
    )


def _show(found: InvoiceRecord, settings: Settings) -> None:
    for line in _facts(found, settings):
        answer(line)
    invoice = found.invoice
    _table("Held because", ("Rule", "Why"), _reasons(invoice.holds))
    _table("Signals", ("Rule", "What"), _reasons(invoice.signals))
    _table(
        "Findings",
        ("Id", "Severity", "What", "Approved", "Now", "Since", "Over"),
        _findings(found, settings),
    )
    _table(
        "Revisions",
        ("No", "Recorded", "Cause", "Changed", "Held"),
        (
            (
                one.number,
                utc_cell(one.recorded_at),
                one.cause,
                ", ".join(one.changes),
                ", ".join(word(reason["code"]) for reason in one.holds),
            )
            for one in found.revisions
        ),
    )
    _table(
        "Deliveries to Infactor",
        ("At", "Revision", "Outcome", "State", "Fields"),
        (
            (utc_cell(one.at), one.revision, one.outcome, one.state, ", ".join(one.changed))
            for one in found.receipts
        ),
    )
    _table(
        "Payments and credits",
        ("Day", "Kind", "Number", "Dated", "Amount", "Customer", "Account"),
        (
            (
                *(one.paid_on, one.kind, one.number, one.dated),
                *(money(one.amount), one.payer, one.account),
            )
            for one in found.settlements
        ),
    )
    _table(
        "Events",
        ("Id", "Received", "What", "Status", "Result", "Delivery"),
        (
            (
                *(one.id, utc_cell(one.received_at), what(one), one.status, why(one)),
                one.webhook_id,
            )
            for one in found.notices
        ),
    )


def _table(title: str, columns: Sequence[str], rows: Iterator[tuple[object, ...]]) -> None:
    found = list(rows)
    if found:
        answer("")
        show_table(title, columns, found, section=True)


def _facts(found: InvoiceRecord, settings: Settings) -> Iterator[str]:
    invoice, document = found.invoice, found.document
    currency = invoice.currency or settings.infactor_currency
    mapped = invoice.mapped or {}
    yield f"Invoice     {called(invoice.quickbooks_id, invoice.doc_number)}"
    yield f"Buyer       {mapped.get('companyName') or '-'}"
    yield f"Company     {name_of(found.company)} (connection {found.company.id})"
    yield f"Amount      {money(invoice.total, currency)}, {money(invoice.balance, currency)} due"
    yield f"Due         {mapped.get('payableDate') or '-'}"
    yield f"Infactor    {status(document.state) if document else 'not there'}"
    yield f"Id          {invoice.document_id}"
    delivered = f", {invoice.delivered_revision} delivered" if invoice.delivered_revision else ""
    yield f"Recorded    {utc_cell(invoice.recorded_at)}, revision {invoice.revision}{delivered}"


def _reasons(kept: Sequence[Any]) -> Iterator[tuple[object, ...]]:
    return ((one.code, str(one)) for one in reasons_of(kept))


def _findings(found: InvoiceRecord, settings: Settings) -> Iterator[tuple[object, ...]]:
    approved = found.document.currency if found.document else None
    for one in found.findings:
        for line in of_finding(one, found.invoice, approved, settings.infactor_currency):
            yield (
                *(one.id, line.severity, line.what, line.approved, line.current),
                *(utc_cell(one.found_at), utc_cell(one.closed_at)),
            )
