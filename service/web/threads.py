"""Threads for calls that may wait long for others, so that those that serve pages stay free."""

from collections.abc import Awaitable, Callable

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from service.web.state import AppState

Answering = Callable[[Request[AppState]], Response]

AT_ONCE = 8


def in_dedicated_threads(
    at_once: int = AT_ONCE, *, only: Callable[[Request[AppState]], bool] = lambda _: True
) -> Callable[[Answering], Callable[[Request[AppState]], Awaitable[Response]]]:
    """Return a decorator whose endpoints share a pool of `at_once` threads.

    With `only`, the other requests are answered by the common threads.
    """
    threads = CapacityLimiter(at_once)

    def decorator(answering: Answering) -> Callable[[Request[AppState]], Awaitable[Response]]:
        async def endpoint(request: Request[AppState]) -> Response:
            limiter = threads if only(request) else None
            return await to_thread.run_sync(answering, request, limiter=limiter)

        return endpoint

    return decorator
