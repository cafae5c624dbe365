"""An operator's decision about a run that stopped at the withdrawal limit."""

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from service.database.engine import after_commit
from service.database.tables import Run
from service.infactor.rules.catalogue import word
from service.operations import actions
from service.store import approvals, connections
from service.web.ops.companies import LIST
from service.web.ops.flash import page, redirect_with
from service.web.ops.forms import words
from service.web.ops.runs import detail, facts_of, run_of
from service.web.ops.session import operator_of
from service.web.state import AppState

_NOT_WAITING = "not-waiting"
_MOST_SHOWN = 200


def question(request: Request[AppState]) -> Response:
    """Show why the run has stopped, and ask whether to approve or reject it; or how it stands."""
    run, entry = run_of(request)
    if not approvals.is_waiting(run):
        return detail(request)
    with request.state["services"].database.read() as session:
        found = approvals.withdrawals(session, run)
    return page(
        request,
        "ops/decide.html",
        {
            **facts_of(run, entry),
            "seen": seen(run),
            "rows": found[:_MOST_SHOWN],
            "more": max(0, len(found) - _MOST_SHOWN),
            "done": sum(one.done for one in found),
            "word": word,
            "currency": request.state["services"].settings.infactor_currency,
        },
    )


def approve(request: Request[AppState], form: FormData) -> Response:
    """Let the run continue, and redirect to its company's page, which says so."""
    run, entry = run_of(request)
    if not _decide(request, form, run, reject=False):
        return redirect_with(request, _company(run), _NOT_WAITING)
    goes_on = actions.is_readable(entry.connection)
    return redirect_with(request, _company(run), "confirmed" if goes_on else "confirmed-for-later")


def reject(request: Request[AppState], form: FormData) -> Response:
    """End the run, and redirect to its company's page, which says so."""
    run, _ = run_of(request)
    done = _decide(request, form, run, reject=True)
    return redirect_with(request, _company(run), "dropped" if done else _NOT_WAITING)


def _decide(request: Request[AppState], form: FormData, run: Run, *, reject: bool) -> bool:
    """Decide, if the run is still stopped as when the operator saw it; return whether it was."""
    with request.state["services"].database.write() as session:
        connections.lock(session, run.connection_id)
        found = approvals.lock(session, run.id)
        if found is None or not approvals.is_waiting(found) or words(form, "seen") != seen(found):
            return False
        actions.decide(session, found, operator_of(request).actor, reject=reject)
        if not reject:
            after_commit(session, request.state["nudges"].run, run.id)
    return True


def seen(run: Run) -> str:
    """Return what a decision names to be about this stop and no later one of the same run.

    Invoices that join what waits are a later one, too.
    """
    return f"{run.halted_at.isoformat()} {run.generation}" if run.halted_at is not None else ""


def _company(run: Run) -> str:
    return f"{LIST}/{run.connection_id}"
