"""The address to which QuickBooks sends suppliers back.

It carries a code and a company id, so every answer redirects to an address without parameters
(Intuit's security requirements, point 7).
"""

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.config.settings import CALLBACK_PATH
from service.store import sessions
from service.web.connect.flow import CallbackParameters, Connected, connect
from service.web.connect.problems import ConnectProblem, Problem, explain
from service.web.cookies import cookies_of
from service.web.session import SESSION, session_of
from service.web.state import AppState
from service.web.threads import in_dedicated_threads

log = structlog.get_logger(__name__)


def routes() -> list[Route]:
    return [Route(CALLBACK_PATH, in_dedicated_threads()(callback))]


def callback(request: Request[AppState]) -> Response:
    """Store the connection; redirect to its page, or to the page of the problem."""
    try:
        connected = _connect(request)
    except ConnectProblem as e:
        return explain(e.problem, _began_by_button(request), **e.evidence)
    except Exception as e:
        log.exception("connect.crashed")
        return explain(Problem.UNEXPECTED, _began_by_button(request), why=type(e).__name__)
    response = RedirectResponse(f"/quickbook/connected/{connected.connection_id}", 302)
    SESSION.give(response, connected.cookie, request.state["services"].settings)
    return response


def _connect(request: Request[AppState]) -> Connected:
    browser = session_of(request)
    return connect(
        request.state["services"],
        request.state["nudges"],
        browser.digest if browser else None,
        CallbackParameters.of(request.query_params),
        cookies_of(request),
    )


def _began_by_button(request: Request[AppState]) -> bool:
    """Return whether the flow began at Infactor's button; if unknown, it counts as a link."""
    try:
        with request.state["services"].database.read() as session:
            return sessions.began_by_button(
                session, CallbackParameters.of(request.query_params).state
            )
    except SQLAlchemyError:
        return False
