"""The page of one invoice."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.database.tables import Connection, Finding, Invoice, Supplier
from service.domain import FindingKind, RevisionCause
from service.infactor.wording import label
from service.kit.clock import now
from service.quickbooks.endpoints import Environment, invoice_page
from service.store import connections, findings, invoices
from service.web.session import supplier_of
from service.web.state import AppState
from service.web.supplier.attention import FIXED_LATELY, fixed_words
from service.web.supplier.invoice_view import (
    Found,
    currency_of,
    entries_of,
    fields,
    lines_of,
    payout,
    reasons_of,
    status_of,
    sums_of,
    taxes_of,
    to_fix,
)
from service.web.supplier.list_query import ListQuery
from service.web.templating import (
    email,
    part,
    render,
    row_id,
    time_tag,
    unless_seen,
    version_of,
)
from service.wording import of_finding, written

_ELSEWHERE = ("items", "taxDetails")
_NOTHING: tuple[Any, ...] = ("", None, [], {}, ())


@dataclass(frozen=True, slots=True)
class Field:
    """One field of Infactor's document, by its label."""

    name: str
    value: Any
    empty: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a finding in words."""

    what: str
    approved: str
    current: str
    found_at: datetime


CAUSES = {
    RevisionCause.NOTICE: "QuickBooks reported a change",
    RevisionCause.BACKFILL: "Imported",
    RevisionCause.PAYMENT: "QuickBooks reported a payment or credit",
    RevisionCause.CHECK: "Found when we checked QuickBooks for changes",
    RevisionCause.CUSTOMER: "QuickBooks reported a change of the customer",
    RevisionCause.RULES: "Checked against the conditions of Infactor",
}
MOST_SHOWN = 50
"""So many revisions are looked through, the newest."""


def show(request: Request[AppState]) -> Response:
    """Show an invoice of this supplier; 404 for any other."""
    supplier = supplier_of(request)
    # The address holds the state of the list that the supplier came from.
    back = ListQuery.of(request.query_params).whole_query
    context = _seen_now(request, supplier) | {"supplier": supplier, "back": back}
    return render(request, "invoice.html", context)


def live(request: Request[AppState]) -> Response:
    """Show the changing part of the page, or 204 if the browser has it already."""
    context = _seen_now(request, supplier_of(request, keep_alive=False))
    return unless_seen(
        request, context["version"], lambda: render(request, "invoice_live.html", context)
    )


def _seen_now(request: Request[AppState], supplier: Supplier) -> dict[str, Any]:
    """Return the template's context, with the page's content and its version."""
    context = _facts(request, supplier)
    content = part("invoice_content.html", context)
    return {**context, "content": content, "version": version_of(content)}


def _facts(request: Request[AppState], supplier: Supplier) -> dict[str, Any]:
    settings = request.state["services"].settings
    environment = settings.quickbooks_environment
    with request.state["services"].database.read() as session:
        found = invoices.one(session, row_id(request), supplier.id, environment)
        if found is None:
            raise HTTPException(404)
        invoice, document = found
        history = invoices.history(session, invoice.id, MOST_SHOWN + 1)
        found_of_it = findings.of_invoice(session, invoice.id)
        connection = connections.get(session, invoice.connection_id)
    # A copy in Infactor is nothing that QuickBooks changed, and nothing that a supplier can end.
    # What a rule asks of an approved invoice is between operator and financier.
    hidden = (FindingKind.DOUBLED, FindingKind.RULE, FindingKind.SETTLED)
    changed = [one for one in found_of_it if one.kind not in hidden]
    shown, where = fields(found), status_of(found)
    lines, currency = lines_of(shown["items"]), currency_of(found, settings.infactor_currency)
    return {
        "invoice": invoice,
        "to_fix": to_fix(found),
        "fixed": fixed_words(found) if _is_recent(invoice.fixed_at) else "",
        "offered": document is not None,
        "connection": connection,
        "shown": shown,
        "status": where,
        "currency": currency,
        "balance_currency": invoice.currency or settings.infactor_currency,
        "payout": "-" if where.hold else payout(shown["payableDate"], now().date()),
        "on_invoice": str(invoice.source.get("TxnDate") or ""),
        "in_quickbooks": _in_quickbooks(invoice, connection),
        "reasons": reasons_of(invoice, where, settings.infactor_currency),
        "lines": lines,
        "sums": sums_of(lines, shown["taxAmount"], shown["invoiceAmount"], currency),
        "taxes": (taxes := taxes_of(shown["taxDetails"])),
        "fields": _mapped({**shown, "items": lines, "taxDetails": taxes}),
        "history": entries_of(history, MOST_SHOWN),
        "cut": len(history) > MOST_SHOWN,
        "changed": [
            line for one in changed for line in _change(one, found, settings.infactor_currency)
        ],
        "label": label,
        "written": written,
        "causes": CAUSES,
    }


def _is_recent(fixed_at: datetime | None) -> bool:
    return fixed_at is not None and fixed_at >= now() - FIXED_LATELY


def _change(finding: Finding, found: Found, currency: str) -> list[Change]:
    invoice, document = found
    theirs = document.currency if document else None
    return [
        Change(one.what, one.approved, one.current, finding.found_at)
        for one in of_finding(finding, invoice, theirs, currency)
    ]


def _in_quickbooks(invoice: Invoice, connection: Connection | None) -> str | None:
    """Return the invoice's address in QuickBooks, None if it was deleted."""
    if invoice.deleted or connection is None:
        return None
    return invoice_page(cast(Environment, connection.environment), invoice.quickbooks_id)


def _mapped(shown: Mapping[str, Any]) -> list[Field]:
    """Return the fields that have a label: a supplier reads no name of an API's."""
    return [
        Field(words, _in_words(name, value), value in _NOTHING)
        for name, value in shown.items()
        if (words := label(name)) != name
    ]


def _in_words(name: str, value: Any) -> Any:
    if value in _NOTHING:
        return "-"
    if name in _ELSEWHERE:
        return "as above"
    if name == "created":  # in milliseconds
        return _time_of(value)
    return email(value) if isinstance(value, str) and "@" in value else written(name, value)


def _time_of(milliseconds: Any) -> Any:
    """Return a time for people, or the value itself if it is none."""
    try:
        return time_tag(datetime.fromtimestamp(int(milliseconds) / 1000, UTC))
    except (ValueError, TypeError, OverflowError, OSError):
        return milliseconds


routes = [
    Route("/quickbook/invoices/{id}", show),
    Route("/quickbook/invoices/{id}/live", live),
]
