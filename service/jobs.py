"""The background jobs, their queues, and the only code that builds a queue message.

A message is a nudge: the id of a row and nothing else. The row says what to do, so a lost message
costs a few seconds, until the requeue job sends it again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
import redis
import structlog
from dramatiq import Broker, Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import current_millis, dq_name, q_name
from redis import AuthenticationError, ConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.kit.text import cause_of

log = structlog.get_logger(__name__)

_ROUND_SECONDS = 0.25
# A repeated nudge for a company may wait this long: its next sync starts at least a second after
# the last one anyway. A worker that was told sooner took a third of a burst to find that out.
_SPACING_SECONDS = 1.0
_TRIAL_SECONDS = 60
# The requeue job sends again what could not be sent.
_IMPATIENT: dict[str, Any] = {
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    "retry": Retry(NoBackoff(), 0),
}
_AWAY = (redis.ConnectionError, redis.TimeoutError)


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of background work; a lower `priority` is first, so that notices pass imports."""

    name: str
    queue: str
    parameter: str
    priority: int


SYNC: Final = Job("sync_company", "sync", "connection_id", 0)
DELIVER: Final = Job("deliver_company", "deliveries", "connection_id", 5)
RUN: Final = Job("work_on_run", "runs", "run_id", 10)
JUDGE: Final = Job("judge_company", "judging", "connection_id", 7)
SETTLE: Final = Job("explain_payments", "settlements", "connection_id", 6)
ALL: Final = (SYNC, DELIVER, RUN, JUDGE, SETTLE)


def message(job: Job, row_id: str | int) -> Message[None]:
    return Message(
        queue_name=job.queue,
        actor_name=job.name,
        args=(),
        kwargs={job.parameter: row_id},
        options={},
    )


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=36, pattern=r"^[A-Za-z0-9-]+\Z")]
_RunId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_Time = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_LONGEST_DELAY_MS = 7 * 24 * 60 * 60 * 1000  # the broker accepts no longer one


class _Options(msgspec.Struct, forbid_unknown_fields=True):
    """What Dramatiq itself adds: nobody sets a limit, a callback or another policy by a message."""

    redis_message_id: _Id
    eta: _Time | None = None
    retries: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    requeue_timestamp: _Time = 0


class _Queued(msgspec.Struct, forbid_unknown_fields=True):
    queue_name: str
    actor_name: str
    args: Annotated[list[None], msgspec.Meta(max_length=0)]
    kwargs: dict[str, _Id | _RunId]
    options: _Options
    message_id: _Id
    message_timestamp: _Time


_queued_decoder = msgspec.json.Decoder(_Queued)
_OF_QUEUE = {job.queue: job for job in ALL}


def is_ours(data: bytes | None, queue: str) -> bool:
    """Return whether this, which Redis had in the queue, is a message as `message` builds them.

    Whoever writes to Redis is not trusted. Dramatiq would log a message of another form with all
    that is in it, try it for ever, call what it names, or stop taking from its queue.
    """
    try:
        queued = _queued_decoder.decode(data or b"")
    except (msgspec.DecodeError, RecursionError):
        return False
    job = _OF_QUEUE.get(q_name(queue))
    if job is None or (queued.queue_name, queued.actor_name) != (queue, job.name):
        return False
    if (queued.options.eta is not None) != (queue == dq_name(queue)):
        return False  # in another queue it would be kept until then, and fill the worker's share
    if (queued.options.eta or 0) > current_millis() + _LONGEST_DELAY_MS:
        return False
    row_id = queued.kwargs.get(job.parameter)
    return len(queued.kwargs) == 1 and isinstance(row_id, int if job is RUN else str)


@dataclass(frozen=True, slots=True)
class QueueTrouble:
    """Why the queue takes no work; `is_away` where it does not answer at all."""

    why: str
    is_away: bool


def _trouble_of(error: Exception) -> QueueTrouble:
    away = isinstance(error, _AWAY) and not isinstance(error, AuthenticationError)
    return QueueTrouble(cause_of(error), away)


def _prober(broker: Broker) -> Redis | None:
    """Return a client that gives up sooner than a worker's own; None for a queue in memory."""
    if not isinstance(broker, RedisBroker):
        return None
    pool = broker.client.connection_pool
    impatient = {**pool.connection_kwargs, **_IMPATIENT}
    return Redis(
        connection_pool=ConnectionPool(connection_class=pool.connection_class, **impatient)
    )


class Jobs:
    """Asks for background work, from any thread.

    Only `deliver` and `judge` tolerate an unreachable queue.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._prober = _prober(broker)
        self._known: QueueTrouble | None = None
        self._lock = threading.Lock()
        for job in ALL:
            broker.declare_queue(job.queue)

    def sync(self, connection_id: str, *, delay_ms: int | None = None) -> None:
        self._send(SYNC, connection_id, delay_ms)

    def deliver(self, connection_id: str) -> None:
        """Ask for a delivery; the caller has committed, so an unreachable queue is only logged."""
        self.attempt(lambda: self._send(DELIVER, connection_id, None), DELIVER)

    def run(self, run_id: int, *, delay_ms: int | None = None) -> None:
        self._send(RUN, run_id, delay_ms)

    def judge(self, connection_id: str) -> None:
        """Ask for a judging; an unreachable queue is only logged: the rows say what is due."""
        self.attempt(lambda: self._send(JUDGE, connection_id, None), JUDGE)

    def settle(self, connection_id: str) -> None:
        self._send(SETTLE, connection_id, None)

    def trouble(self) -> QueueTrouble | None:
        """Return why the queue takes no work, or None; it is known within a second.

        It is written to: a Redis that is full, read-only or short of replicas answers a ping.
        """
        if self._prober is None:
            return None
        try:
            self._prober.set("dramatiq:trial", "", ex=_TRIAL_SECONDS)
        except RedisError as e:
            return _trouble_of(e)
        return None

    def close(self) -> None:
        self.broker.close()
        if self._prober is not None:
            self._prober.close()

    def attempt(self, send: Callable[[], object], job: Job) -> None:
        """Send, although the queue may be away: the row is stored, and the requeue job finds it."""
        try:
            send()
        except RedisError as e:
            self.log_change(_trouble_of(e))
        except Exception as e:
            log.warning("nudge.lost", job=job.name, error=type(e).__name__)
        else:
            self.log_change(None)

    def log_change(self, trouble: QueueTrouble | None) -> None:
        """Log once when the queue stops taking work, and once when it takes it again."""
        with self._lock:
            before, self._known = self._known, trouble
        if trouble is not None and (before is None or before.is_away != trouble.is_away):
            event = "queue.away" if trouble.is_away else "queue.refuses"
            log.warning(event, why=trouble.why)
        elif trouble is None and before is not None:
            log.info("queue.back")

    def _send(self, job: Job, row_id: str | int, delay_ms: int | None) -> None:
        self.broker.enqueue(message(job, row_id), delay=delay_ms)


def receiver_broker(redis_url: str | None) -> Broker:
    """Return a broker that gives up on Redis after half a second; the requeue job sends again."""
    if redis_url is None:
        return StubBroker()
    client = Redis.from_url(redis_url, **_IMPATIENT)
    return RedisBroker(client=client)  # type: ignore[no-untyped-call]


class Nudges:
    """Sends nudges from a thread of its own, so that no webhook waits for Redis.

    The first one goes at once, and the same one again after a second at the earliest, once however
    often it was asked for. So a burst costs little, and a stuck Redis costs no memory.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._waiting: dict[tuple[Job, str | int], None] = {}
        self._sent: dict[tuple[Job, str | int], float] = {}
        self._asked = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nudges", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what is waiting, for two seconds at most, and end the thread."""
        with self._asked:
            self._stopping.set()
            self._asked.notify()
        self._thread.join(timeout=2)

    def sync(self, connection_id: str) -> None:
        self._put(SYNC, connection_id)

    def run(self, run_id: int) -> None:
        self._put(RUN, run_id)

    def judge(self, connection_id: str) -> None:
        self._put(JUDGE, connection_id)

    def _put(self, job: Job, row_id: str | int) -> None:
        with self._asked:
            self._waiting[job, row_id] = None
            self._asked.notify()

    def _run(self) -> None:
        while (asked := self._next_round()) is not None:
            for job, row_id in asked:
                self._send(job, row_id)
            self._stopping.wait(_ROUND_SECONDS)

    def _next_round(self) -> list[tuple[Job, str | int]] | None:
        """Wait for requests and take those that may be sent now; None ends the thread."""
        with self._asked:
            self._asked.wait_for(lambda: self._waiting or self._stopping.is_set())
            at, ending = time.monotonic(), self._stopping.is_set()
            self._sent = {k: t for k, t in self._sent.items() if at - t < _SPACING_SECONDS}
            asked = [key for key in self._waiting if ending or key not in self._sent]
            for key in asked:
                del self._waiting[key]
                self._sent[key] = at
            return None if ending and not asked else asked

    def _send(self, job: Job, row_id: str | int) -> None:
        self._jobs.attempt(lambda: self._jobs.broker.enqueue(message(job, row_id)), job)
