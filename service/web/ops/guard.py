"""The one gate before every page of operators."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.web.ops import addresses
from service.web.ops.browser import keep_alive, session_of
from service.web.state import State


class OperatorsOnly:
    """ASGI middleware of a route: it leads whoever is not logged in to the log-in.

    What it answers depends on the method, and never on whether there is anything behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request[State] = Request(scope)
        found = await run_in_threadpool(session_of, request)
        if found is None:
            await _to_log_in(request)(scope, receive, send)
            return
        known, scope["operator"] = found
        # A page that asks by itself, without anybody there, does not keep the session alive.
        if not request.url.path.endswith("/live"):
            await run_in_threadpool(keep_alive, request, known)
        await self.app(scope, receive, send)


def _to_log_in(request: Request[State]) -> Response:
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Refresh": "true"})
    where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    # Whoever ordered something has to know that it was not done, and where to do it again.
    query = {"ended": "yes"} if request.method == "POST" else {}
    wanted = request.method in ("GET", "POST") and addresses.inside(where) == where
    if wanted and where != addresses.HOME:
        query["next"] = where
    return RedirectResponse(addresses.asking(addresses.LOGIN, query), 303)
