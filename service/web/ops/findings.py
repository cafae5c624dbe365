"""The operators' list of findings, and their acknowledgement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.database.tables import Connection, Finding, Invoice
from service.domain import Severity
from service.infactor.wording import status
from service.operations import actions
from service.store import findings
from service.store.findings import FindingEntry
from service.web.ops.companies import chosen
from service.web.ops.flash import page, redirect_with
from service.web.ops.forms import asking, number, one_of, page_links, words
from service.web.ops.session import operator_of
from service.web.state import AppState
from service.web.templating import ROW_ID
from service.wording import FindingLine, of_finding

LIST = "/ops/findings"
PAGE_SIZE = 50
_LONGEST_NOTE = 500
_TAGS = {Severity.CRITICAL: "bad", Severity.WARNING: "warn", Severity.INFO: "plain"}


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One line of the list, in words."""

    finding: Finding
    invoice: Invoice
    buyer: str
    company: Connection
    status: str
    lines: Sequence[FindingLine]


def listing(request: Request[AppState]) -> Response:
    """Show a page of open findings of one severity; without a choice, of the most severe."""
    services, query = request.state["services"], request.query_params
    environment = services.settings.quickbooks_environment
    company = chosen(request)
    with services.database.read() as session:
        only = company.id if company else None
        counts = findings.by_severity(session, environment, only)
        severity = one_of(query, "severity", list(Severity)) or next(
            (one for one in Severity if counts[one]), Severity.CRITICAL
        )
        found = findings.page(
            session,
            environment,
            severity,
            connection_id=only,
            before=number(query.get("before")),
            limit=PAGE_SIZE + 1,
        )
    shown, currency = found[:PAGE_SIZE], services.settings.infactor_currency
    following = shown[-1].finding.id if len(found) > PAGE_SIZE else None
    return page(
        request,
        "ops/findings.html",
        {
            "rows": [_row(entry, currency) for entry in shown],
            "severities": [(name, name.capitalize(), _address(name, only)) for name in counts],
            "counts": counts,
            "severity": severity,
            "open": any(counts.values()),
            "company": company,
            "everyones": _address(severity),
            "kind": _TAGS[Severity(severity)],
            **page_links(LIST, _kept(severity, only), "before", query, following),
        },
    )


def acknowledge(request: Request[AppState], form: FormData) -> Response:
    """Store the operator's note on a finding, and redirect to the list."""
    services, finding_id = request.state["services"], number(request.path_params["id"])
    if finding_id is None:
        raise HTTPException(404)
    severity, company = one_of(form, "severity", list(Severity)), words(form, "company")
    here = _address(severity or Severity.CRITICAL, company if ROW_ID.fullmatch(company) else None)
    note = words(form, "note", _LONGEST_NOTE)
    if not note:
        return redirect_with(request, here, "no-note")
    environment = services.settings.quickbooks_environment
    try:
        seen = datetime.fromisoformat(words(form, "seen"))
    except ValueError:
        raise HTTPException(400) from None
    found = actions.acknowledge(
        services.database, finding_id, environment, note, operator_of(request).actor, seen=seen
    )
    return redirect_with(request, here, "acknowledged" if found is not None else "no-finding")


def _row(entry: FindingEntry, currency: str) -> FindingRow:
    """Return a finding's line; an invoice that names no currency is in `currency`."""
    finding = entry.finding
    return FindingRow(
        finding=finding,
        invoice=entry.invoice,
        buyer=(entry.invoice.mapped or {}).get("companyName") or "",
        company=entry.company,
        status=status(finding.state),
        lines=of_finding(finding, entry.invoice, entry.approved_currency, currency),
    )


def _address(severity: str, company: str | None = None) -> str:
    return asking(LIST, _kept(severity, company))


def _kept(severity: str, company: str | None) -> dict[str, str]:
    return {"severity": severity, "company": company or ""}
