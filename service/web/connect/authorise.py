"""The page of a connect link, and the redirect from it to QuickBooks' consent."""

from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service import links
from service.config.settings import Settings
from service.domain import ConnectionState
from service.errors import LinkError
from service.kit.clock import now
from service.links import Link, LinkExpired
from service.store import connections, sessions
from service.web.connect.identity import vouched
from service.web.connect.popup import since
from service.web.connect.problems import ConnectProblem, Problem, explain
from service.web.session import SESSION, session_of
from service.web.state import AppState
from service.web.templating import render
from service.web.threads import in_dedicated_threads


def show(request: Request[AppState]) -> Response:
    """Show whom the link connects and what that means; nothing is stored yet."""
    services = request.state["services"]
    try:
        link = _link(request)
    except ConnectProblem as e:
        return explain(e.problem, **e.evidence)
    with services.database.read() as session:
        known = connections.supplier_by_email(session, link.email)
        environment = services.settings.quickbooks_environment
        mine = connections.of_supplier(session, known.id, environment) if known else []
    live = any(connection.state == ConnectionState.CONNECTED for connection in mine)
    context = {
        "link": link,
        "live": live,
        "since": since(),
        "terms_url": services.settings.terms_url,
        "privacy_url": services.settings.privacy_url,
    }
    return render(request, "authorise.html", context)


def go_on(request: Request[AppState]) -> Response:
    """Redirect to QuickBooks' consent for the supplier that the link names."""
    services = request.state["services"]
    try:
        link = _link(request)
    except ConnectProblem as e:
        return explain(e.problem, **e.evidence)
    with services.database.write() as session:
        supplier_id = connections.upsert_supplier(
            session, link.email, link.name, link.address, now()
        )
    return to_consent(request, supplier_id, link)


@dataclass(frozen=True, slots=True)
class Consent:
    """A started connect flow: the consent's address, and a new session for the browser."""

    url: str = field(repr=False)
    cookie: str | None = field(repr=False)

    def remember(self, response: Response, settings: Settings) -> None:
        """Set the session cookie: QuickBooks' answer counts only in the browser that has it."""
        if self.cookie:
            SESSION.give(response, self.cookie, settings)


def to_consent(request: Request[AppState], supplier_id: int, link: Link | None) -> Response:
    """Redirect to QuickBooks' consent; its answer counts in this browser only."""
    consent = begin_consent(request, supplier_id, link)
    response = RedirectResponse(consent.url, 302)
    consent.remember(response, request.state["services"].settings)
    return response


def begin_consent(
    request: Request[AppState],
    supplier_id: int,
    link: Link | None,
    *,
    infactor_user: str | None = None,
) -> Consent:
    """Start a connect flow; `infactor_user` is the account that pressed Infactor's own button."""
    services, at = request.state["services"], now()
    found = session_of(request)
    if found and sessions.SUPPLIERS.end_of(found, at) < at + sessions.STATE_LIFETIME:
        found = None  # it would end before the flow does
    with services.database.write() as session:
        cookie = None if found else sessions.SUPPLIERS.begin(session, at, supplier_id=None)
        if found:
            sessions.SUPPLIERS.keep_alive(session, found, at)
        state = sessions.begin_consent(
            session,
            session_digest=found.digest if found else sessions.digest(cookie or ""),
            environment=services.settings.quickbooks_environment,
            supplier_id=supplier_id,
            link_id=link.id if link else None,
            another_company=link.another_company if link else False,
            infactor_user=infactor_user,
            now=at,
        )
    return Consent(services.oauth.authorize_url(state), cookie)


def _link(request: Request[AppState]) -> Link:
    """Return the link in the address; raises ConnectProblem if it is invalid, expired or used."""
    services = request.state["services"]
    secret = services.settings.infactor_shared_secret.get_secret_value()
    try:
        link = links.read(request.query_params.get("token", ""), "connect", secret, now())
    except LinkExpired:
        raise ConnectProblem(Problem.LINK_EXPIRED) from None
    except LinkError as e:
        raise ConnectProblem(Problem.LINK_INVALID, str(e)) from None
    with services.database.read() as session:
        if sessions.is_spent(session, link.id):
            raise ConnectProblem(Problem.LINK_USED)
    return vouched(services, link)


def routes() -> list[Route]:
    threads = in_dedicated_threads()
    return [
        Route(links.CONNECT_PATH, threads(show)),
        Route(links.CONNECT_PATH, threads(go_on), methods=["POST"]),
    ]
