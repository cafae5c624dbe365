"""Threads for what may wait long for somebody else, so that those that store notices stay free."""

from collections.abc import Awaitable, Callable

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from service.web.state import State

Answering = Callable[[Request[State]], Response]

_AT_ONCE = 8


def apart() -> Callable[[Answering], Callable[[Request[State]], Awaitable[Response]]]:
    """Return what lets endpoints run in threads of their own, a few at once for all of them."""
    threads = CapacityLimiter(_AT_ONCE)

    def of_its_own(answering: Answering) -> Callable[[Request[State]], Awaitable[Response]]:
        async def endpoint(request: Request[State]) -> Response:
            return await to_thread.run_sync(answering, request, limiter=threads)

        return endpoint

    return of_its_own
