"""The names of the background jobs, their queues, and the only code that builds a message.

A message is a nudge: it carries the id of a row and nothing else. The row says what is to be done,
so that a lost message costs a few seconds until the sweep sends it again.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from dramatiq import Broker, Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.kit.text import cause_of

log = structlog.get_logger(__name__)

# So long a company that was just asked for may wait to be asked for again; its next sync starts a
# second after the last one at the soonest.
_ROUND_SECONDS = 0.25
_TRIAL_SECONDS = 60


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
DELIVER: Final = Job("deliver_company", "deliveries", "connection_id", 5)
RUN: Final = Job("work_on_run", "runs", "run_id", 10)
ALL: Final = (SYNC, DELIVER, RUN)


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

    def deliver(self, connection_id: str) -> None:
        """Ask for the delivery of what this company has outgoing for Infactor.

        Whoever asks has committed already, and must not fail for want of a queue.
        """
        _try(lambda: self._send(DELIVER, connection_id, None), DELIVER)

    def run(self, run_id: int, *, delay_ms: int | None = None) -> None:
        """Ask for the next step of this run."""
        self._send(RUN, run_id, delay_ms)

    def refusal(self) -> str | None:
        """Return why the queue takes no work, or None where it does.

        It is written to: a Redis that is full, read-only or short of replicas answers a ping.
        """
        if not isinstance(self.broker, RedisBroker):
            return None
        try:
            self.broker.client.set(f"{self.broker.namespace}:trial", "", ex=_TRIAL_SECONDS)
        except RedisError as e:
            return cause_of(e)
        return None

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

    The first one goes at once. What is asked for again before the next round is sent once, so a
    burst does not spend its time on Redis, and a stuck Redis costs no memory.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._waiting: dict[tuple[Job, str | int], None] = {}
        self._asked = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nudges", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is waiting, for two seconds at most, and end."""
        with self._asked:
            self._stopping.set()
            self._asked.notify()
        self._thread.join(timeout=2)

    def sync(self, connection_id: str) -> None:
        """Ask for a sync of this company, soon."""
        self._put(SYNC, connection_id)

    def run(self, run_id: int) -> None:
        """Ask for work on this run, soon."""
        self._put(RUN, run_id)

    def _put(self, job: Job, row_id: str | int) -> None:
        with self._asked:
            self._waiting[job, row_id] = None
            self._asked.notify()

    def _run(self) -> None:
        while asked := self._next_round():
            for job, row_id in asked:
                self._send(job, row_id)
            self._stopping.wait(_ROUND_SECONDS)

    def _next_round(self) -> list[tuple[Job, str | int]]:
        """Wait for requests and take what there is; an empty list ends the thread."""
        with self._asked:
            self._asked.wait_for(lambda: self._waiting or self._stopping.is_set())
            asked = list(self._waiting)
            self._waiting.clear()
            return asked

    def _send(self, job: Job, row_id: str | int) -> None:
        _try(lambda: self._jobs.broker.enqueue(message(job, row_id)), job)


def _try(send: Callable[[], object], job: Job) -> None:
    try:
        send()
    except Exception as e:
        # Whatever the queue's trouble is, the row is there and the sweep will find it.
        log.warning("nudge.lost", job=job.name, error=type(e).__name__)
