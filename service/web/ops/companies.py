"""The operators' list of companies, and the page of one."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service import wording
from service.config.settings import Settings
from service.database.tables import Connection, Run
from service.database.types import waits
from service.domain import CompanyState, ConnectionState, RunKind, RunState, realm_id_of
from service.kit.clock import now
from service.monitoring.infactor import STUCK
from service.operations import actions
from service.queries import companies, measures
from service.queries.companies import CompanyEntry
from service.store import approvals, connections, findings, infactor_outbox, tokens
from service.store import runs as runs_
from service.web.ops.flash import page
from service.web.ops.forms import asking, numbers, one_of, page_links, words
from service.web.state import AppState
from service.web.templating import ROW_ID, part, render, row_id, unless_seen, version_of

LIST = "/ops/connections"
LATE = "late"  # companies with stuck or refused deliveries
PAGE_SIZE = 50
_MOST_SUPPLIERS = 50
_LONGEST_ERROR = 300
_STATES = {"": "All", CompanyState.DEAD: "Ended by QuickBooks", LATE: "Late in Infactor"}
_ENDS_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """A state of a connection or a run in words, and its colour."""

    words: str
    kind: str  # good | warn | bad | plain
    why: str = ""


def listing(request: Request[AppState]) -> Response:
    """Show a page of the companies that match."""
    services, query = request.state["services"], request.query_params
    states = (*CompanyState, *([LATE] if services.settings.delivers else []))
    text, state = words(query, "q"), one_of(query, "state", states)
    supplier_ids = numbers(query["supplier"].split(",")) if "supplier" in query else None
    with services.database.read() as session:
        found = companies.page(
            session,
            services.settings.quickbooks_environment,
            after=words(query, "after", 32) or None,
            text=text,
            supplier_ids=supplier_ids,
            state=CompanyState(state) if state not in ("", LATE) else None,
            late_since=now() - STUCK if state == LATE else None,
            limit=PAGE_SIZE + 1,
        )
        shown = found[:PAGE_SIZE]
        ids = [entry.connection.id for entry in shown] if state == LATE else []
        owed = infactor_outbox.backlog_of_each(session, ids) if ids else {}
        waiting = measures.waiting_since(
            session,
            services.settings.quickbooks_environment,
            now(),
            [entry.connection.id for entry in shown],
        )
    following = shown[-1].connection.id if len(found) > PAGE_SIZE else None
    kept = {"q": text, "supplier": query.get("supplier", ""), "state": state}
    return page(
        request,
        "ops/connections.html",
        {
            "rows": [
                (entry, state_of(entry.connection), verdict(entry.reconcile)) for entry in shown
            ],
            "owed": owed,
            "waiting": waiting,
            "longest_error": _LONGEST_ERROR,
            "states": [
                (name, _STATES.get(name, name.capitalize()), asking(LIST, {**kept, "state": name}))
                for name in ("", *states)
            ],
            "state": state,
            "text": text,
            "by_supplier": supplier_ids is not None,
            **page_links(LIST, kept, "after", query, following),
        },
    )


def search(request: Request[AppState], form: FormData) -> Response:
    """Redirect to the matching list; no e-mail address or realm id gets into an address."""
    services, text = request.state["services"], words(form, "q")
    state = {"state": one_of(form, "state", (*CompanyState, LATE))}
    environment = services.settings.quickbooks_environment
    realm_id = realm_id_of(text)
    if realm_id is not None and len(text) >= 9:
        digest = services.vault.digest(realm_id)
        with services.database.read() as session:
            connection = connections.by_realm(session, environment, digest)
        if connection is not None:
            return RedirectResponse(f"{LIST}/{connection.id}", 303)
        return RedirectResponse(asking(LIST, {**state, "supplier": "0"}), 303)
    if "@" in text:
        with services.database.read() as session:
            ids = companies.suppliers(session, text, _MOST_SUPPLIERS)
        return RedirectResponse(asking(LIST, {**state, "supplier": _joined(ids)}), 303)
    return RedirectResponse(asking(LIST, {**state, "q": text}), 303)


def _joined(ids: Any) -> str:
    return ",".join(map(str, ids)) or "0"


def company_of(request: Request[AppState]) -> CompanyEntry:
    """Return the company in the address; 404 for another environment."""
    services = request.state["services"]
    with services.database.read() as session:
        found = companies.one(session, services.settings.quickbooks_environment, row_id(request))
    if found is None:
        raise HTTPException(404)
    return found


def chosen(request: Request[AppState]) -> Connection | None:
    """Return the company to which `?company=` narrows a list, if any; 404 for an unknown one."""
    connection_id = request.query_params.get("company", "")
    if not connection_id:
        return None
    services = request.state["services"]
    if ROW_ID.fullmatch(connection_id):
        with services.database.read() as session:
            environment = services.settings.quickbooks_environment
            found = companies.one(session, environment, connection_id)
        if found is not None:
            return found.connection
    raise HTTPException(404)


def detail(request: Request[AppState]) -> Response:
    """Show one company, and its actions."""
    context = _seen_now(request)
    connection: Connection = context["connection"]
    name = connection.company_name or connection.id
    context |= {"name": name, "swapped": False, "other_actions": True}
    return page(request, "ops/connection.html", context)


def live(request: Request[AppState]) -> Response:
    """Show the changing part of a company's page, or 204 if the browser has it already."""
    context, query = _seen_now(request), request.query_params
    # Replace the actions only if they differ: somebody may be ticking a box.
    other_actions = query.get("orders") != context["actions_version"]
    context |= {"swapped": True, "other_actions": other_actions}
    return unless_seen(
        request, context["version"], lambda: render(request, "ops/connection_live.html", context)
    )


def _seen_now(request: Request[AppState]) -> dict[str, Any]:
    """Return the company's state and actions as HTML, each with its version."""
    services, connection_id = request.state["services"], row_id(request)
    with services.database.read() as session:
        entry = companies.one(session, services.settings.quickbooks_environment, connection_id)
        if entry is None:
            raise HTTPException(404)
        context = _facts(session, entry) | _deliveries(session, entry, services.settings)
        counts = request.state["count_cache"].of_company(session, connection_id)
        context["recorded"], context["offered"] = counts
    content, connection = part("ops/company.html", context), entry.connection
    readable = actions.is_readable(connection)
    choice = part(
        "ops/actions.html",
        {
            "connection": connection,
            "readable": readable,
            "ends": ends_soon(connection),
            "retry": _may_be_tried(connection, [run for run, *_ in context["runs"]]),
            "stopped": any(approvals.is_waiting(run) for run, *_ in context["runs"]),
        },
    )
    return {
        "connection": connection,
        "content": content,
        "actions": choice,
        "actions_version": version_of(choice),
        "version": version_of(content + choice),
    }


def _may_be_tried(connection: Connection, newest: Collection[Run]) -> bool:
    """Return whether something waits after a failure, so that an operator can retry it."""
    if connection.suspended_at is not None:
        return False
    waits = connection.paused_until is not None and connection.paused_until > now()
    return waits or tokens.is_dead(connection) or any(run.failing_since for run in newest)


def _facts(session: Session, entry: CompanyEntry) -> dict[str, Any]:
    connection = entry.connection
    newest = [runs_.latest(session, connection.id, kind) for kind in RunKind]
    return {
        "entry": entry,
        "connection": connection,
        "state": state_of(connection),
        "verdict": verdict(entry.reconcile),
        "waiting": measures.waiting_since(
            session, connection.environment, now(), [connection.id]
        ).get(connection.id),
        "findings": sum(
            findings.by_severity(session, connection.environment, connection.id).values()
        ),
        "advice": wording.advice,
        "runs": [
            (run, counted(run), run_status(run))
            for run in sorted(filter(None, newest), key=_urgency)
        ],
        "is_waiting": approvals.is_waiting,
    }


def _urgency(run: Run) -> tuple[bool, bool]:
    """Sort runs: those that wait for a decision, then active ones, then ended ones."""
    return not approvals.is_waiting(run), run.state != RunState.ACTIVE


def _deliveries(session: Session, entry: CompanyEntry, settings: Settings) -> dict[str, Any]:
    """Return what is due for Infactor: {"outgoing", "refused", "refusal"}."""
    if not settings.delivers:
        return {"outgoing": None, "refused": 0, "refusal": ""}
    company = (entry.connection.environment, entry.connection.id)
    refused, first = infactor_outbox.refused_invoices(session, *company)
    return {
        "outgoing": infactor_outbox.backlog(session, *company),
        "refused": refused,
        "refusal": ((first and first.delivery.error) or "")[:_LONGEST_ERROR],
    }


def counted(run: Run) -> str:
    """Return in a line what a run has done so far."""
    tally = run.tally
    parts = [
        f"{tally[name]:,} {name}"
        for name in ("created", "refreshed", "withdrawn", "restored", "unchanged", "failed")
        if tally.get(name)
    ]
    held = sum(tally.get("held", {}).values())
    return ", ".join([*parts, *([f"{held:,} held back"] if held else [])])


def state_of(connection: Connection) -> ConnectionStatus:
    """Return how the connection stands, and why."""
    if connection.released_at is not None:
        return ConnectionStatus("Released", "plain")
    if connection.state == ConnectionState.DISCONNECTED:
        problem = connection.problem
        return ConnectionStatus("Ended by QuickBooks", "bad", problem) if problem else _ended()
    if connection.suspended_at is not None:
        return ConnectionStatus("Paused", "warn")
    waiting = waits(connection.paused_until, now()) and connection.failures > 0
    if connection.barred_since is not None or waiting:
        barred = connection.barred_since is not None
        words, kind = ("Not let in", "bad") if barred else ("Waiting for QuickBooks", "warn")
        return ConnectionStatus(words, kind, connection.problem or "")
    if ends_soon(connection):
        return ConnectionStatus(
            "Ends soon", "warn", "QuickBooks ends the authorisation; send a new link."
        )
    return ConnectionStatus("Connected", "good")


def ends_soon(connection: Connection) -> bool:
    """Return whether the authorisation ends within 30 days and cannot be extended."""
    ends = connection.hard_expires_at
    return (
        connection.state == ConnectionState.CONNECTED
        and ends is not None
        and ends < now() + _ENDS_SOON
    )


def _ended() -> ConnectionStatus:
    return ConnectionStatus("Disconnected", "plain")


def run_status(run: Run) -> ConnectionStatus:
    """Return how a run stands; one that left a difference or an error is never good."""
    if approvals.is_waiting(run):
        return ConnectionStatus("Needs a decision", "warn")
    if approvals.is_rejected(run):
        return ConnectionStatus("Ended by an operator", "plain")
    if run.state == RunState.ACTIVE:
        waits = run.error is not None
        return ConnectionStatus("Waiting" if waits else "Under way", "warn" if waits else "plain")
    if run.state == RunState.FAILED:
        return ConnectionStatus("Failed", "bad")
    if run.kind == RunKind.RECONCILE:
        return verdict(run)
    return (
        ConnectionStatus("Done", "good")
        if run.error is None
        else ConnectionStatus("Incomplete", "bad")
    )


def verdict(run: Run | None) -> ConnectionStatus:
    """Return what the last ended reconcile found."""
    if run is None:
        return ConnectionStatus("none yet", "plain")
    if approvals.is_rejected(run):
        return ConnectionStatus("Ended", "plain", run.error or "")
    if run.state == RunState.FAILED:
        return ConnectionStatus("Failed", "bad", run.error or "")
    if run.error is not None:
        return ConnectionStatus("Differs", "bad", run.error)
    fixed = len(run.tally.get("fixed", [])) + len(run.tally.get("infactor_fixed", []))
    return ConnectionStatus(f"Agrees, {fixed:,} fixed" if fixed else "Agrees", "good")
