"""Logs and measures each request, without its address: that may contain a token or a code."""

import logging
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.kit.metrics import request_seconds

log = structlog.get_logger(__name__)
_logger = logging.getLogger(__name__)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Requested by machines and open pages all the time; a stored webhook has its own log line.
# Also routine: every route that ends in `/live`, where pages ask whether they are out of date.
_ROUTINE = frozenset(
    {
        "/livez",
        "/readyz",
        "/metrics",
        "/quickbook/webhook",
        "/quickbook/arrived",
        "/quickbook/connected/{id}/progress",
        "/quickbook/static",
        "/api/v1/events",
    }
)


class NotedSend:
    """ASGI `send` that records the status of the answer; 0 while there is none."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


class AccessLog:
    """ASGI middleware that records route, method, status and time of each request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        noted, began = NotedSend(send), time.perf_counter()
        try:
            await self.app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", None)
            note(route, scope["method"], noted.status, time.perf_counter() - began)


def note(route: str | None, method: str, status: int, seconds: float) -> None:
    """Count an answer and log it; `status` is 0 if the client left before."""
    method = method if method in _METHODS else "other"
    kind = f"{status // 100}xx" if status else "none"
    request_seconds(route or "none", method, kind).observe(seconds)
    routine = _is_routine(route) and status < 400
    if routine and not _logger.isEnabledFor(logging.DEBUG):
        return
    (log.debug if routine else log.info)(
        "request.answered",
        method=method,
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
    )


def _is_routine(route: str | None) -> bool:
    return route is not None and (route in _ROUTINE or route.endswith("/live"))
