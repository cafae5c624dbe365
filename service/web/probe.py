"""Questions to what may never answer: a database or a queue that accepts and then keeps silent."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Probe(Generic[T]):
    """Asks from a thread of its own, once at a time, and waits only so long for the answer.

    So a question that hangs costs one thread, however often it is asked.
    """

    def __init__(self, ask: Callable[[], T], *, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._lock = threading.Lock()
        self._asked: Future[T | None] | None = None

    async def answer(self) -> T | None:
        """Return the answer, or None if there is none in time or asking failed."""
        asked = asyncio.wrap_future(self._begin())
        try:
            return await asyncio.wait_for(asyncio.shield(asked), self._seconds)
        except TimeoutError:
            return None

    def _begin(self) -> Future[T | None]:
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(
                    target=self._run, args=(self._asked,), name="probe", daemon=True
                ).start()
            return self._asked

    def _run(self, asked: Future[T | None]) -> None:
        try:
            answer = self._ask()
        except Exception as e:
            log.warning("probe.failed", error=type(e).__name__)
            asked.set_result(None)
        else:
            asked.set_result(answer)
