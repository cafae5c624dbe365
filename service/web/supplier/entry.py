"""The view link, log-out, and the addresses that Intuit's portal requires.

Intuit's addresses change nothing by themselves: the end of a connection is believed only when the
API says so, which is asked at once.
"""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service import links
from service.domain import realm_id_of
from service.errors import LinkError
from service.kit.clock import now
from service.links import LinkExpired
from service.operations.departure import check
from service.store import connections, sessions
from service.web.connect.authorise import to_consent
from service.web.connect.identity import vouched
from service.web.connect.problems import ConnectProblem, Problem, explain
from service.web.session import SESSION, session_of, supplier_if_any, supplier_of
from service.web.state import AppState
from service.web.templating import render
from service.web.threads import in_dedicated_threads

HOME = "/quickbook/"


def view(request: Request[AppState]) -> Response:
    """Ask whether the browser is to be the supplier that the link names; a POST says yes.

    A link is opened by more than people: by an image of another site's page, by a look ahead in a
    mailbox or a search field. None of them logs anybody in.
    """
    services, at = request.state["services"], now()
    secret = services.settings.infactor_shared_secret.get_secret_value()
    try:
        link = vouched(
            services, links.read(request.query_params.get("token", ""), "view", secret, at)
        )
    except LinkExpired:
        return explain(Problem.LINK_EXPIRED)
    except LinkError as e:
        return explain(Problem.LINK_INVALID, why=str(e))
    except ConnectProblem as e:
        return explain(e.problem, **e.evidence)
    before = session_of(request)
    if request.method != "POST":
        known = supplier_if_any(request)
        if known is not None and known.email == link.email:
            return RedirectResponse(HOME, 303)
        return render(request, "switch.html", {"link": link, "supplier": known})
    with services.database.write() as session:
        stored = (
            connections.ensure_supplier
            if services.infactor is None
            else connections.upsert_supplier  # Infactor's name replaces the known one
        )
        supplier_id = stored(session, link.email, link.name, link.address, at)
        cookie = sessions.replace(session, before.digest if before else None, supplier_id, at)
    response = RedirectResponse(HOME, 303)
    SESSION.give(response, cookie, services.settings)
    return response


def start(request: Request[AppState]) -> Response:
    """Redirect to QuickBooks' consent, for the supplier who is logged in."""
    return to_consent(request, supplier_of(request).id, None)


def logout(request: Request[AppState]) -> Response:
    """End the session."""
    services = request.state["services"]
    found = session_of(request)
    if found is not None:
        with services.database.write() as session:
            sessions.SUPPLIERS.end(session, found.digest)
    response = RedirectResponse("/quickbook/goodbye", 303)
    SESSION.take(response, services.settings)
    return response


def goodbye(request: Request[AppState]) -> Response:
    return render(request, "goodbye.html")


def launch(request: Request[AppState]) -> Response:
    """Redirect to the dashboard or the welcome page, without Intuit's parameters."""
    try:
        supplier_of(request)
    except HTTPException:
        return RedirectResponse("/quickbook/welcome", 303)
    return RedirectResponse(HOME, 303)


def welcome(request: Request[AppState]) -> Response:
    """Say what this is and how to get in."""
    return render(request, "welcome.html", {"supplier": supplier_if_any(request)})


def disconnected(request: Request[AppState]) -> Response:
    """Say what has stopped after a disconnection inside QuickBooks, and how to connect again.

    Whether it has, QuickBooks is asked: about the company that Intuit names, or else about those of
    the supplier whose browser this is.
    """
    services, nudges = request.state["services"], request.state["nudges"]
    for connection_id in check(services, _said_to_have_left(request)):
        nudges.sync(connection_id)
    if request.url.query:
        return RedirectResponse("/quickbook/disconnected", 303)
    return render(request, "disconnected.html", {"supplier": supplier_if_any(request)})


def _said_to_have_left(request: Request[AppState]) -> list[str]:
    services = request.state["services"]
    environment = services.settings.quickbooks_environment
    realm_id = realm_id_of(request.query_params.get("realmId", ""))
    supplier = supplier_if_any(request)
    with services.database.read() as session:
        if realm_id is not None:
            digest = services.vault.digest(realm_id)
            named = connections.by_realm(session, environment, digest)
            return [] if named is None else [named.id]
        if supplier is not None:
            theirs = connections.of_supplier(session, supplier.id, environment)
            return [one.id for one in theirs]
    return []


def home(request: Request[AppState]) -> Response:
    return RedirectResponse(HOME, 303)


def routes() -> list[Route]:
    return [
        Route("/quickbook", home),
        Route(links.VIEW_PATH, in_dedicated_threads()(view), methods=["GET", "POST"]),
        Route("/quickbook/start", start, methods=["POST"]),
        Route("/quickbook/logout", logout, methods=["POST"]),
        Route("/quickbook/goodbye", goodbye),
        Route("/quickbook/launch", launch),
        Route("/quickbook/reconnect", launch),
        Route("/quickbook/welcome", welcome),
        Route("/quickbook/disconnected", disconnected),
    ]
