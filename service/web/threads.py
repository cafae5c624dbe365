"""Threads for calls that may wait long for others, so that those that serve pages stay free."""

from collections.abc import Awaitable, Callable

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from service.web.state import AppState

Answering = Callable[[Request[AppState]], Response]

_AT_ONCE = 8


def in_dedicated_threads() -> Callable[
    [Answering], Callable[[Request[AppState]], Awaitable[Response]]
]:
    """Return a decorator whose endpoints share a pool of eight threads."""
    threads = CapacityLimiter(_AT_ONCE)

    def decorator(answering: Answering) -> Callable[[Request[AppState]], Awaitable[Response]]:
        async def endpoint(request: Request[AppState]) -> Response:
            return await to_thread.run_sync(answering, request, limiter=threads)

        return endpoint

    return decorator
