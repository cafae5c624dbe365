"""An operator's actions on one company, their confirmation, and the link to reconnect."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.database.engine import after_commit
from service.database.tables import Connection
from service.domain import ConnectionState
from service.errors import Disconnected, LinkError, SyncError
from service.operations import actions, disconnect
from service.store import approvals, runs
from service.web.ops.companies import LIST, company_of
from service.web.ops.flash import redirect_with
from service.web.ops.invite import link_for, link_page
from service.web.ops.session import operator_of
from service.web.state import AppState
from service.web.templating import render, row_id


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """An action as it was requested."""

    request: Request[AppState]
    connection: Connection
    actor: str
    form: FormData


def act(request: Request[AppState], form: FormData) -> Response:
    """Do the action, and redirect to the company's page, which says what was done."""
    do = _ACTIONS.get(request.path_params["order"])
    if do is None:
        raise HTTPException(404)
    connection = company_of(request).connection
    word = do(OperatorAction(request, connection, operator_of(request).actor, form))
    return redirect_with(request, f"{LIST}/{connection.id}", word)


def confirmation(request: Request[AppState]) -> Response:
    """Ask whether the operator is sure, and say what remains."""
    name = request.path_params["order"]
    if name not in _DANGEROUS:
        raise HTTPException(404)
    entry = company_of(request)
    return render(
        request,
        "ops/confirm.html",
        {
            "operator": operator_of(request),
            "entry": entry,
            "action": name,
            "obstacle": _obstacle(name, entry.connection),
        },
    )


def _obstacle(name: str, connection: Connection) -> str:
    """Return why the action is not possible, or ""."""
    connected = connection.state == ConnectionState.CONNECTED
    if name == "disconnect":
        over = not connected and connection.refresh_sealed is None
        return "It is disconnected already: no tokens are left to be given back." if over else ""
    if connected:
        return "It is connected, and while it is, nobody else can have it: disconnect it first."
    released = connection.released_at is not None
    return "Already released. Any supplier can connect it." if released else ""


def _pause(one: OperatorAction) -> str:
    database = one.request.state["services"].database
    if not actions.pause(database, one.connection.id, one.actor):
        return "was-paused"
    one.request.state["nudges"].judge(one.connection.id)
    return "paused"


def _resume(one: OperatorAction) -> str:
    database = one.request.state["services"].database
    if not actions.resume(database, one.connection.id, one.actor):
        return "was-not-paused"
    if one.connection.state == ConnectionState.CONNECTED:
        one.request.state["nudges"].sync(one.connection.id)
    return "resumed"


def _retry(one: OperatorAction) -> str:
    if one.connection.suspended_at is not None:
        return "not-readable"
    try:
        actions.retry(one.request.state["services"], one.connection.id, one.actor)
    except Disconnected:
        return "still-dead"
    except SyncError:
        return "not-tried"
    one.request.state["nudges"].sync(one.connection.id)
    return "retried"


def _sync(one: OperatorAction) -> str:
    if not actions.is_readable(one.connection):
        return "not-readable"
    with one.request.state["services"].database.write() as session:
        if approvals.waiting(session, [one.connection.id]):
            return "halted"
        actions.sync(session, one.connection.id, one.actor)
        after_commit(session, one.request.state["nudges"].sync, one.connection.id)
    return "sync"


def _backfill(one: OperatorAction) -> str:
    if not actions.is_readable(one.connection):
        return "not-readable"
    with one.request.state["services"].database.write() as session:
        run_id = actions.backfill(session, one.connection.id, None, one.actor)
        after_commit(session, one.request.state["nudges"].run, run_id)
        return "halted" if _is_waiting(session, run_id) else "backfill"


def _reconcile(one: OperatorAction) -> str:
    if not actions.is_readable(one.connection):
        return "not-readable"
    with one.request.state["services"].database.write() as session:
        overrule = one.form.get("overrule") == "yes"
        fix = overrule or one.form.get("fix") == "yes"
        run_id = actions.reconcile(session, one.connection.id, fix, one.actor, overrule=overrule)
        after_commit(session, one.request.state["nudges"].run, run_id)
        return "halted" if _is_waiting(session, run_id) else "reconcile"


def _is_waiting(session: Session, run_id: int) -> bool:
    """Return whether the joined run waits for an operator's decision."""
    run = runs.get(session, run_id)
    return run is not None and approvals.is_waiting(run)


def _disconnect(one: OperatorAction) -> str:
    if (
        one.connection.state == ConnectionState.DISCONNECTED
        and one.connection.refresh_sealed is None
    ):
        return "was-disconnected"
    force = one.form.get("force") == "yes"
    services = one.request.state["services"]
    try:
        problem = disconnect.disconnect(services, one.connection.id, one.actor, force=force)
    except disconnect.NotRevoked:
        return "not-revoked"
    except disconnect.ConnectedAgain:
        return "connected-again"
    return "disconnected" if problem is None else "disconnected-here"


def _release(one: OperatorAction) -> str:
    database = one.request.state["services"].database
    return "released" if actions.release(database, one.connection.id, one.actor) else "is-connected"


_ACTIONS: Mapping[str, Callable[[OperatorAction], str]] = {
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
    "sync": _sync,
    "backfill": _backfill,
    "reconcile": _reconcile,
    "disconnect": _disconnect,
    "release": _release,
}

_DANGEROUS = ("disconnect", "release")


def make(request: Request[AppState], form: FormData) -> Response:
    """Show a link with which the supplier can connect; it is not stored."""
    services, entry = request.state["services"], company_of(request)
    connection, supplier = entry.connection, entry.supplier
    address = f"{LIST}/{connection.id}"
    try:
        made = link_for(services.settings, supplier.email, supplier.name, supplier.address)
    except LinkError:
        return redirect_with(request, address, "no-link")
    actions.link(services.database, connection.id, operator_of(request).actor)
    return link_page(
        request,
        made,
        back=(address, connection.company_name or connection.id),
        subject=f"Connect {connection.company_name or 'your company'} to Infactor again",
        body="QuickBooks has ended Infactor's access to your invoices, or is about to.\n"
        "Please connect again with this link.",
    )


def again(request: Request[AppState]) -> Response:
    """Redirect to the company: the link is shown only once."""
    return RedirectResponse(f"{LIST}/{row_id(request)}", 303)
