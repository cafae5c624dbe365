"""The questions that `/readyz` and `/metrics` put to the database and the queue."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from service.coordination import circuit_breaker
from service.database import schema
from service.jobs import QueueTrouble
from service.kit.clock import now
from service.monitoring.checks import wrong_now
from service.monitoring.facts import Facts
from service.monitoring.refusals import Refusals, database_refusal
from service.queries import measures
from service.queries.measures import Measures
from service.services import Services

log = structlog.get_logger(__name__)

T = TypeVar("T")

_DATABASE_SECONDS = 2.0
_QUEUE_SECONDS = 1.5


class Probe(Generic[T]):
    """Asks in a thread, one question at a time, and waits `seconds`: a hanging one costs one
    thread.
    """

    def __init__(self, ask: Callable[[], T], *, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._lock = threading.Lock()
        self._asked: Future[T | None] | None = None

    def waited(self) -> T | None:
        """Return the answer to a thread that may wait for it, or None as `answer` does."""
        try:
            return self._begin().result(self._seconds)
        except TimeoutError:
            return None

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


@dataclass(frozen=True)
class StoreAnswer:
    """`refusal` is why notices cannot be stored, or None; `oldest_due` is in seconds."""

    refusal: str | None
    oldest_due: float = 0.0


_SILENT = "no answer"
_NO_QUEUE = Refusals(queue=QueueTrouble(_SILENT, is_away=True))


@dataclass(frozen=True)
class Probes:
    """The questions of one application; None means no answer."""

    database: Probe[StoreAnswer]
    queue: Probe[Refusals]
    wrong: Probe[list[str]]  # the cause of each condition
    infactor: Probe[str]  # "own record" where Infactor's table is ours, else "ok" or "away"
    measures: Probe[Measures | None]

    def refusals(self) -> Refusals:
        """Return why the stores take no writes, without waiting long for one that hangs."""
        stored, queue = self.database.waited(), self.queue.waited() or _NO_QUEUE
        return Refusals(_SILENT if stored is None else stored.refusal, queue.queue)


def probes_for(services: Services) -> Probes:
    environment = services.settings.quickbooks_environment

    def database() -> StoreAnswer:
        with services.database.read() as session:
            if not schema.is_current(session):
                return StoreAnswer("it has another version's schema")
            oldest = measures.oldest_due(session, environment, now())
        refusal = database_refusal(services.database)
        return StoreAnswer(refusal, oldest)

    def measured() -> Measures | None:
        with services.database.read() as session:
            if not schema.is_current(session):
                return None
            delivers = services.settings.delivers
            return measures.measure(session, environment, now(), delivers=delivers)

    def infactor() -> str:
        if not services.settings.delivers:
            return "own record"
        with services.database.read() as session:
            return (
                "ok"
                if circuit_breaker.broken(session, circuit_breaker.INFACTOR) is None
                else "away"
            )

    queue = Probe(lambda: Refusals(queue=services.jobs.trouble()), seconds=_QUEUE_SECONDS)

    def wrong() -> list[str]:
        with services.database.read() as session:
            facts = Facts(session, services.settings, now(), queue.waited() or _NO_QUEUE)
            return sorted({condition.cause for condition in wrong_now(facts)})

    return Probes(
        database=Probe(database, seconds=_DATABASE_SECONDS),
        infactor=Probe(infactor, seconds=_DATABASE_SECONDS),
        queue=queue,
        wrong=Probe(wrong, seconds=_DATABASE_SECONDS),
        measures=Probe(measured, seconds=_DATABASE_SECONDS),
    )
