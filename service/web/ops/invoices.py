"""The operators' search for invoices, and the page of one with everything known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.config.settings import Settings
from service.database.tables import Document, Finding, Invoice
from service.domain import RevisionCause
from service.errors import OutOfTime
from service.infactor.document_lifecycle import is_withdrawn
from service.infactor.rules.catalogue import CATALOGUE, word
from service.infactor.rules.judge import reasons_of
from service.infactor.wording import label, status
from service.kit import exact_json
from service.queries import invoice_record
from service.queries.invoice_record import MOST_SHOWN, FoundInvoice
from service.web.ops.companies import chosen
from service.web.ops.flash import page
from service.web.ops.forms import asking, page_links, words
from service.web.state import AppState
from service.web.templating import ROW_ID, row_id
from service.wording import FindingLine, amount_in, called, money, of_finding, what, why, written

LIST = "/ops/invoices"
PAGE_SIZE = 50
_PAGE_SECONDS = 2.0
_LONGEST_SOURCE = 200_000

_CAUSES = {
    RevisionCause.NOTICE: "QuickBooks reported a change",
    RevisionCause.PAYMENT: "QuickBooks reported a payment or credit",
    RevisionCause.CHECK: "Read with other changes",
    RevisionCause.BACKFILL: "Backfilled",
    RevisionCause.RECONCILE: "Reconciled",
    RevisionCause.COMMAND: "Asked for by an operator",
    RevisionCause.RULES: "Judged again by the rules",
    RevisionCause.CUSTOMER: "Its customer has changed",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an invoice stands, in words and with a colour."""

    words: str
    kind: str  # good | warn | plain


@dataclass(frozen=True, slots=True)
class ToldReason:
    """A rule that applies to an invoice, in words."""

    code: str
    words: str
    sentence: str
    supplier_knows: bool


def listing(request: Request[AppState]) -> Response:
    """Show a page of the invoices that match; without anything to search for, only the form."""
    services, query = request.state["services"], request.query_params
    environment = services.settings.quickbooks_environment
    text, company_id = words(query, "q"), query.get("company", "")
    after = query.get("after", "")
    found: Sequence[FoundInvoice] = []
    late = False
    company = chosen(request)
    try:
        if text or company:
            with services.database.read(seconds=_PAGE_SECONDS) as session:
                found = invoice_record.search(
                    session,
                    environment,
                    text,
                    amount=amount_in(text),
                    connection_id=company.id if company else None,
                    after=after if ROW_ID.fullmatch(after) else None,
                    limit=PAGE_SIZE + 1,
                )
    except OutOfTime:
        late = True
    shown, kept = found[:PAGE_SIZE], {"q": text, "company": company_id}
    following = shown[-1].invoice.id if len(found) > PAGE_SIZE else None
    return page(
        request,
        "ops/invoices.html",
        {
            "rows": [(one, standing(one.invoice, one.document)) for one in shown],
            "late": late,
            "text": text,
            "company": company,
            "everyones": asking(LIST, {"q": text}),
            "currency": services.settings.infactor_currency,
            **page_links(LIST, kept, "after", query, following),
        },
    )


def search(request: Request[AppState], form: FormData) -> Response:
    """Redirect to the matching list; e-mail addresses are not searched for."""
    company = words(form, "company", 32)
    given = {"q": words(form, "q").replace("@", " ").strip()}
    given |= {"company": company} if ROW_ID.fullmatch(company) else {}
    return RedirectResponse(asking(LIST, given), 303)


def detail(request: Request[AppState]) -> Response:
    """Show everything that is known of one invoice; 404 for another environment."""
    services = request.state["services"]
    settings = services.settings
    with services.database.read() as session:
        found = invoice_record.record(session, settings.quickbooks_environment, row_id(request))
    if found is None:
        raise HTTPException(404)
    invoice, document = found.invoice, found.document
    source = exact_json.encode(invoice.source)
    return page(
        request,
        "ops/invoice.html",
        {
            "record": found,
            "invoice": invoice,
            "document": document,
            "name": called(invoice.quickbooks_id, invoice.doc_number),
            "buyer": (invoice.mapped or {}).get("companyName") or "",
            "mapped": invoice.mapped or {},
            "currency": invoice.currency or settings.infactor_currency,
            "standing": standing(invoice, document),
            "holds": told(invoice.holds),
            "signals": told(invoice.signals),
            "findings": [(one, _lines(one, invoice, document, settings)) for one in found.findings],
            "withdrawn": document is not None and is_withdrawn(document.document),
            "causes": _CAUSES,
            "label": label,
            "written": written,
            "reason_words": lambda reasons: ", ".join(word(one["code"]) for one in reasons),
            "status": status,
            "what": what,
            "why": why,
            "most": MOST_SHOWN,
            "source": msgspec.json.format(source, indent=2).decode()[:_LONGEST_SOURCE],
            "cut": len(source) > _LONGEST_SOURCE,
            "money": money,
        },
    )


def standing(invoice: Invoice, document: Document | None) -> Standing:
    """Return where the invoice stands: Infactor's word for its state, or why it is not there."""
    if document is not None and not is_withdrawn(document.document):
        return Standing(status(document.state), "good")
    if invoice.old_rows_held:
        return Standing("Waits for rows of the old import", "warn")
    if invoice.hold:
        taken = "Withdrawn" if document is not None else "Not in Infactor"
        return Standing(f"{taken}: {word(invoice.hold)}", "warn")
    if invoice.mapped is None:
        return Standing("Not known", "plain")
    return Standing("On its way to Infactor", "plain")


def told(kept: Sequence[Any]) -> list[ToldReason]:
    """Return the kept reasons in words for operators."""
    return [
        ToldReason(
            code=one.code,
            words=word(one.code),
            sentence=str(one),
            supplier_knows=CATALOGUE[one.code].advice is not None,
        )
        for one in reasons_of(kept)
    ]


def _lines(
    finding: Finding, invoice: Invoice, document: Document | None, settings: Settings
) -> list[FindingLine]:
    approved = document.currency if document else None
    return of_finding(finding, invoice, approved, settings.infactor_currency)
