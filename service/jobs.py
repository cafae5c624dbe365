"""The names of the background jobs, their queues, and the only code that builds a message.

A message is a nudge: it carries the id of a row and nothing else. The row says what is to be done,
so that a lost message costs a few seconds until the sweep sends it again.
"""

import queue
import threading
from dataclasses import dataclass
from typing import Final

import structlog
from dramatiq import Broker, Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of background work: its actor's name, its queue, its single parameter.

    A lower `priority` is worked on first: a notice must not wait behind somebody's backfill.
    """

    name: str
    queue: str
    parameter: str
    priority: int


SYNC: Final = Job("sync_company", "sync", "connection_id", 0)
BACKFILL: Final = Job("run_backfill", "backfill", "run_id", 10)
ALL: Final = (SYNC, BACKFILL)


def message(job: Job, row_id: str | int) -> Message[None]:
    """Return the message that asks for this work."""
    return Message(
        queue_name=job.queue,
        actor_name=job.name,
        args=(),
        kwargs={job.parameter: row_id},
        options={},
    )


class Jobs:
    """Asks for background work; safe to call from any thread."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        for job in ALL:
            broker.declare_queue(job.queue)

    def sync(self, connection_id: str, *, delay_ms: int | None = None) -> None:
        """Ask for a sync of this company."""
        self._send(SYNC, connection_id, delay_ms)

    def backfill(self, run_id: int, *, delay_ms: int | None = None) -> None:
        """Ask for the next page of this run."""
        self._send(BACKFILL, run_id, delay_ms)

    def _send(self, job: Job, row_id: str | int, delay_ms: int | None) -> None:
        self.broker.enqueue(message(job, row_id), delay=delay_ms)


def receiver_broker(redis_url: str | None) -> Broker:
    """Return the broker of a process that must answer quickly.

    It gives up on Redis after half a second, without trying again: the sweep makes up for it.
    """
    if redis_url is None:
        return StubBroker()
    client = Redis.from_url(
        redis_url,
        socket_timeout=0.5,
        socket_connect_timeout=0.5,
        retry=Retry(NoBackoff(), 0),
    )
    return RedisBroker(client=client)  # type: ignore[no-untyped-call]


class Nudges:
    """Sends requests for work from a thread of its own, so that no answer waits for Redis.

    What is already waiting to be sent is not queued again, so a stuck Redis costs no memory.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._waiting: set[tuple[Job, str | int]] = set()
        self._queue: queue.SimpleQueue[tuple[Job, str | int] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="nudges", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is waiting, for two seconds at most, and end."""
        self._queue.put(None)
        self._thread.join(timeout=2)

    def sync(self, connection_id: str) -> None:
        """Ask for a sync of this company, soon."""
        self._put(SYNC, connection_id)

    def backfill(self, run_id: int) -> None:
        """Ask for work on this run, soon."""
        self._put(BACKFILL, run_id)

    def _put(self, job: Job, row_id: str | int) -> None:
        with self._lock:
            if (job, row_id) in self._waiting:
                return
            self._waiting.add((job, row_id))
        self._queue.put((job, row_id))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            with self._lock:
                self._waiting.discard(item)
            job, row_id = item
            try:
                self._jobs.broker.enqueue(message(job, row_id))
            except Exception as e:
                # Whatever the queue's trouble is, the row is there and the sweep will find it.
                log.warning("nudge.lost", job=job.name, error=type(e).__name__)
