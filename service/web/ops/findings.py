"""Findings: what is no longer as it was approved, and that somebody has seen to it."""

from datetime import datetime
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service import orders
from service.infactor.dashboard import status
from service.store import findings
from service.web.ops.browser import operator_of
from service.web.ops.forms import number, words
from service.web.ops.page import page
from service.web.ops.told import then
from service.web.state import State

LIST = "/ops/findings"
PAGE_SIZE = 50
_LONGEST_NOTE = 500
_ABOUT = {
    "moved_on": "moved on though held back",
    "hurried": "written over just before the approval",
    "missing": "gone from Infactor",
}


def listing(request: Request[State]) -> Response:
    """Show a page of open findings of one severity: the most severe of which there are any."""
    services, query = request.state["services"], request.query_params
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        counts = findings.by_severity(session, environment)
        severity = query.get("severity", "")
        if severity not in findings.SEVERITIES:
            severity = next((one for one in findings.SEVERITIES if counts[one]), "critical")
        found = findings.page(
            session,
            environment,
            severity,
            before=number(query.get("before")),
            limit=PAGE_SIZE + 1,
        )
    shown = found[:PAGE_SIZE]
    return page(
        request,
        "ops/findings.html",
        {
            "rows": [(*one, status(one[0].state), about(one[0].kind)) for one in shown],
            "counts": counts,
            "severity": severity,
            "kind": {"critical": "bad", "warning": "warn", "info": "plain"}[severity],
            "first": _address(severity) if "before" in query else None,
            "next": _address(severity, shown[-1][0].id) if len(found) > PAGE_SIZE else None,
        },
    )


def acknowledge(request: Request[State], form: FormData) -> Response:
    """Note what was done about a finding, and redirect to the others."""
    services, finding_id = request.state["services"], number(request.path_params["id"])
    if finding_id is None:
        raise HTTPException(404)
    severity = words(form, "severity")
    here = _address(severity if severity in findings.SEVERITIES else "critical")
    note = words(form, "note", _LONGEST_NOTE)
    if not note:
        return then(request, here, "no-note")
    environment = services.settings.quickbooks_environment
    try:
        seen = datetime.fromisoformat(words(form, "seen"))
    except ValueError:
        raise HTTPException(400) from None
    found = orders.acknowledge(
        services.database, finding_id, environment, note, operator_of(request).actor, seen=seen
    )
    return then(request, here, "acknowledged" if found is not None else "no-finding")


def about(kind: str) -> str:
    """Return what a finding of this kind says, beyond that a field has changed."""
    return "" if kind == "changed" else _ABOUT.get(kind, kind)


def _address(severity: str, before: int | None = None) -> str:
    query = {"severity": severity, **({} if before is None else {"before": before})}
    return f"{LIST}?{urlencode(query)}"
