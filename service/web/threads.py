"""Threads beside each other: long calls have their own, and none waits long for its turn."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from anyio import CapacityLimiter, Semaphore, to_thread
from starlette.requests import ClientDisconnect, Request
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
    at_once: int = AT_ONCE,
) -> Callable[[Answering], Callable[[Request[AppState]], Awaitable[Response]]]:
    """Return a decorator whose endpoints share a pool of `at_once` threads."""
    threads = CapacityLimiter(at_once)

    def decorator(answering: Answering) -> Callable[[Request[AppState]], Awaitable[Response]]:
        async def endpoint(request: Request[AppState]) -> Response:
            return await to_thread.run_sync(answering, request, limiter=threads)

        return endpoint

    return decorator


def in_turns(
    at_once: int, *, only: Callable[[Request[AppState]], bool]
) -> Callable[[Answering], Callable[[Request[AppState]], Awaitable[Response]]]:
    """Return a decorator whose endpoints work on `at_once` requests at a time that `only` is true
    of, and on none whose client has gone before its turn.

    The other requests are answered by the common threads.
    """
    turns, threads = Semaphore(at_once), CapacityLimiter(at_once)

    def decorator(answering: Answering) -> Callable[[Request[AppState]], Awaitable[Response]]:
        async def endpoint(request: Request[AppState]) -> Response:
            if not only(request):
                return await to_thread.run_sync(answering, request)
            async with turns:
                if await request.is_disconnected():
                    raise ClientDisconnect
                return await to_thread.run_sync(answering, request, limiter=threads)

        return endpoint

    return decorator
