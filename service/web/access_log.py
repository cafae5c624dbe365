"""One line for each request, without its address: that may hold a token, a code or a company id."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Asked for by machines and open pages all the time; a stored notice has a line of its own.
_ROUTINE = frozenset(
    {
        "/livez",
        "/readyz",
        "/metrics",
        "/quickbook/webhook",
        "/quickbook/live",
        "/quickbook/connected/{id}/progress",
        "/quickbook/static",
    }
)


class AccessLog:
    """ASGI middleware that logs the route's template, the method, the status and the time taken."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, began = 0, time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            route = getattr(scope.get("route"), "path", None)
            write = log.debug if route in _ROUTINE and status < 400 else log.info
            write(
                "request.answered",
                method=scope["method"] if scope["method"] in _METHODS else "other",
                route=route,
                status=status,
                ms=round((time.perf_counter() - began) * 1000, 1),
            )
