"""The address to which QuickBooks sends suppliers back.

It carries a code and a company id, so whatever happens here the answer is a redirect to an address
without parameters (Intuit's security requirements, point 7).
"""

import structlog
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.settings import CALLBACK_PATH
from service.web.answer import Answer
from service.web.browser import give_cookie, session_of
from service.web.connecting import Connected, connect
from service.web.problems import ConnectProblem, Problem, explain
from service.web.state import State

log = structlog.get_logger(__name__)

# Each may wait half a minute for an unwell Intuit: the threads that store notices stay free.
_AT_ONCE = 8


def routes() -> list[Route]:
    """Return the callback's route."""
    threads = CapacityLimiter(_AT_ONCE)

    async def callback(request: Request[State]) -> Response:
        return await to_thread.run_sync(_answer, request, limiter=threads)

    return [Route(CALLBACK_PATH, callback)]


def _answer(request: Request[State]) -> Response:
    try:
        connected = _connect(request)
    except ConnectProblem as e:
        return explain(e.problem, **e.evidence)
    except Exception as e:
        log.exception("connect.crashed")
        return explain(Problem.UNEXPECTED, why=type(e).__name__)
    nudges = request.state["nudges"]
    if connected.run_id is not None:
        nudges.run(connected.run_id)
    if connected.has_notices:
        nudges.sync(connected.connection_id)
    response = RedirectResponse(f"/quickbook/connected/{connected.connection_id}", 302)
    give_cookie(response, connected.cookie, request.state["services"].settings)
    return response


def _connect(request: Request[State]) -> Connected:
    browser = session_of(request)
    return connect(
        request.state["services"],
        browser.digest if browser else None,
        Answer.of(request.query_params),
    )
