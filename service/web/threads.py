"""Threads beside each other: long calls have their own, and none waits long for its turn."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from service.web.state import AppState

Answering = Callable[[Request[AppState]], Response]

AT_ONCE = 8
_TURN_SECONDS = 0.0002


@contextmanager
def short_turns() -> Iterator[None]:
    """Let a thread that computes give way after 0.2 ms during the block, instead of after 5.

    SQLite's driver lets go of the interpreter at each row, and has to wait for it again: beside a
    thread that makes a file, a page that read fifty rows waited fifty times.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


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
