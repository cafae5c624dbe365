"""Answers errors: HTTP errors as pages or text, and unexpected exceptions."""

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from service.web.connect.problems import Problem, explain
from service.web.error_references import crashed
from service.web.middleware.access_log import NotedSend
from service.web.templating import render

log = structlog.get_logger(__name__)

_SECRET_PARAMETERS = frozenset({"code", "state", "realmId", "token"})


async def refused(request: Request, error: Exception) -> Response:
    """Answer a 4xx, as a page for people, otherwise as text."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 405:
        error.headers = {"Allow": ", ".join(_allowed(request))}
    if _carries_secrets(request):
        return explain(Problem.INCOMPLETE, why=f"{request.method} answered {error.status_code}")
    if "operator" in request.scope:
        return render(request, "ops/error.html", _of_operator(request, error), error.status_code)
    if not _for_people(request):
        return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)
    context = {"status": error.status_code, "reference": None}
    response = render(request, "error.html", context, error.status_code)
    response.headers.update(error.headers or {})
    if error.status_code == 401 and "hx-request" in request.headers:
        response.headers["HX-Refresh"] = "true"  # reload the open page: its session has ended
    return response


def _allowed(request: Request) -> list[str]:
    """Return the methods of this address: Starlette names those of one of its routes alone, and of
    files none.
    """
    if isinstance(request.scope.get("endpoint"), StaticFiles):
        return ["GET", "HEAD"]
    routes = (one for one in request.app.routes if isinstance(one, Route))
    here = (one for one in routes if one.matches(request.scope)[0] != Match.NONE)
    return sorted({method for one in here for method in one.methods or ()})


def _of_operator(request: Request, error: HTTPException) -> dict[str, object]:
    operator = request.scope["operator"]
    return {"operator": operator, "status": error.status_code, "reference": None}


class UnexpectedErrors:
    """ASGI middleware that logs an unexpected exception under the reference that its page shows."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        noted = NotedSend(send)
        try:
            await self.app(scope, receive, noted)
        except ClientDisconnect:
            return  # nobody waits for an answer
        except Exception:
            reference = crashed(getattr(scope.get("route"), "path", None))
            if noted.status:
                raise
            await _apology(Request(scope), reference)(scope, receive, send)


def _apology(request: Request, reference: str) -> Response:
    if _carries_secrets(request):
        return explain(Problem.UNEXPECTED, why=f"reference {reference}")
    if "operator" in request.scope:
        context = {"operator": request.scope["operator"], "status": 500, "reference": reference}
        return render(request, "ops/error.html", context, 500)
    if not _for_people(request):
        return PlainTextResponse(f"something went wrong, reference {reference}\n", 500)
    return render(request, "error.html", {"status": 500, "reference": reference}, 500)


def _carries_secrets(request: Request) -> bool:
    """Return whether the address must not stay in the address bar."""
    return _for_people(request) and not _SECRET_PARAMETERS.isdisjoint(request.query_params)


def _for_people(request: Request) -> bool:
    path = request.url.path
    return path == "/quickbook" or path.startswith("/quickbook/")
