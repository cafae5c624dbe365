"""The operators' list of runs, and the page of each."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.database.tables import Run
from service.domain import RunCause, RunKind, RunState
from service.infactor.rules.catalogue import word
from service.queries import companies, runs
from service.queries.companies import CompanyEntry
from service.queries.runs import RunFilter
from service.store import approvals
from service.store import runs as runs_
from service.web.ops.companies import chosen, counted, run_status
from service.web.ops.flash import page
from service.web.ops.forms import asking, number, one_of, page_links
from service.web.state import AppState
from service.web.templating import render, unless_seen, version_of
from service.wording import advice, span

LIST = "/ops/runs"
PAGE_SIZE = 50
_MOST_SHOWN = 100

KINDS = {
    RunKind.BACKFILL: "Backfills",
    RunKind.RECONCILE: "Reconciles",
    RunKind.WITHDRAWAL: "Withdrawals",
}
_STATES = {
    RunFilter.ACTIVE: "Under way",
    RunFilter.STOPPED: "Needs a decision",
    RunFilter.FAILED: "Failed or different",
    RunFilter.DONE: "Done",
}
_CAUSES = {
    RunCause.CONNECT: "the company connected",
    RunCause.RECONNECT: "the company reconnected",
    RunCause.COMMAND: "an operator asked for it",
    RunCause.DAILY: "it is due daily",
    RunCause.DOWNTIME: "the service was down",
    RunCause.NOTICE: "webhook events would withdraw many invoices",
}


def listing(request: Request[AppState]) -> Response:
    """Show a page of runs, the newest first."""
    services, query = request.state["services"], request.query_params
    kind, state = one_of(query, "kind", list(RunKind)), one_of(query, "state", list(RunFilter))
    company = chosen(request)
    with services.database.read() as session:
        found = runs.page(
            session,
            services.settings.quickbooks_environment,
            kind=kind,
            state=state,
            connection_id=company.id if company else None,
            before=number(query.get("before")),
            limit=PAGE_SIZE + 1,
        )
    shown = found[:PAGE_SIZE]
    following = shown[-1][0].id if len(found) > PAGE_SIZE else None
    kept = {"kind": kind, "state": state, "company": company.id if company else ""}

    def address(**other: str) -> str:
        return asking(LIST, {**kept, **other})

    return page(
        request,
        "ops/runs.html",
        {
            "rows": [(run, one, run_status(run), counted(run)) for run, one in shown],
            "kinds": [("", "All kinds", address(kind=""))]
            + [(name, words, address(kind=name)) for name, words in KINDS.items()],
            "states": [("", "All states", address(state=""))]
            + [(name, words, address(state=name)) for name, words in _STATES.items()],
            "kind": kind,
            "state": state,
            "company": company,
            "everyones": address(company=""),
            "duration": duration,
            "progress": progress,
            **page_links(LIST, kept, "before", query, following),
        },
    )


def detail(request: Request[AppState]) -> Response:
    """Show one run: what it was for, how far it has come, and what it found."""
    run, entry = run_of(request)
    return page(request, "ops/run.html", _followed(run, entry))


def live(request: Request[AppState]) -> Response:
    """Show the run again, or 204 if the browser has it already."""
    run, entry = run_of(request)
    return unless_seen(
        request, _version(run), lambda: render(request, "ops/run_live.html", _followed(run, entry))
    )


def run_of(request: Request[AppState]) -> tuple[Run, CompanyEntry]:
    """Return the run in the address, and its company; 404 for another environment."""
    services, run_id = request.state["services"], number(request.path_params["id"])
    if run_id is None:
        raise HTTPException(404)
    with services.database.read() as session:
        run = runs_.get(session, run_id)
        environment = services.settings.quickbooks_environment
        entry = companies.one(session, environment, run.connection_id) if run else None
    if run is None or entry is None:
        raise HTTPException(404)
    return run, entry


def _version(run: Run) -> str:
    return version_of((run.state, run.tally, run.error, run.halted_at, run.due_at, run.attempts))


def _followed(run: Run, entry: CompanyEntry) -> dict[str, Any]:
    """Return what ops/run_live.html shows."""
    return {**facts_of(run, entry), "version": _version(run)}


def facts_of(run: Run, entry: CompanyEntry) -> dict[str, Any]:
    """Return what ops/run_facts.html shows."""
    tally = run.tally
    return {
        "run": run,
        "entry": entry,
        "name": entry.connection.company_name or entry.connection.id,
        "status": run_status(run),
        "kind": KINDS[RunKind(run.kind)].removesuffix("s"),
        "why": _CAUSES.get(RunCause(run.cause), run.cause),
        "waiting": approvals.is_waiting(run),
        "active": run.state == RunState.ACTIVE,
        "counts": _counts(run),
        "held": [(word(code), count) for code, count in tally.get("held", {}).items()],
        "failures": tally.get("failures", [])[:_MOST_SHOWN],
        "differences": [
            *((one, "in QuickBooks") for one in tally.get("differences", [])[:_MOST_SHOWN]),
            *((one, "in Infactor") for one in tally.get("infactor", [])[:_MOST_SHOWN]),
        ],
        "fixed": len(tally.get("fixed", [])) + len(tally.get("infactor_fixed", [])),
        "compared": tally.get("infactor_compared"),
        "there": tally.get("there"),
        "here": tally.get("here"),
        "advice": advice(tally) if run.error else None,
        "progress": progress(run),
        "duration": duration(run),
    }


def _counts(run: Run) -> list[tuple[str, int]]:
    """Return what became of the invoices that were read, without zeros but for what was read."""
    tally: dict[str, Any] = {**run.tally}
    names = ("read", "created", "refreshed", "withdrawn", "restored", "unchanged", "failed")
    return [(name, tally.get(name, 0)) for name in names if name == "read" or tally.get(name)]


def progress(run: Run) -> int | None:
    """Return how many of a hundred parts are read; None where that is not known."""
    if not run.expected:
        return None
    return min(100, 100 * run.tally.get("read", 0) // run.expected)


def duration(run: Run) -> str | None:
    """Return how long an ended run took; None for one that has not ended."""
    if run.finished_at is None:
        return None
    begun = run.started_at or run.created_at
    return span(max(0.0, (run.finished_at - begun).total_seconds()))
