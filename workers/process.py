"""The worker process: its actors, its broker, its start and stop."""

import logging
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, cast

import dramatiq
import structlog
from dramatiq import Actor, Broker, Consumer, Message, Middleware
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name
from redis import Redis, RedisError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from service.jobs import ALL, DELIVER, JUDGE, RUN, SETTLE, SYNC, Job, is_ours
from service.kit.logs import SumOfAMinute
from service.services import Services
from workers import rejudging, settlements, sync
from workers.delivery import deliver
from workers.lanes import Lanes
from workers.rejudging import TURN_SECONDS
from workers.runs import run
from workers.schedule import ALERTS, Clocks, ticking

log = structlog.get_logger(__name__)

_MAX_RETRIES = 3
_MIN_BACKOFF_MS = 1_000
_MAX_BACKOFF_MS = 30_000
# Longer than any sync: 500 single reads at 6 a second, and a page that takes its minute.
_TIME_LIMIT_MS = 10 * 60 * 1000
# The requeue job has sent it again many times over. Not an hour: messages of a process whose clock
# is behind all look old.
_MAX_AGE_MS = 7 * 24 * 60 * 60 * 1000


def declare(
    broker: Broker,
    services: Services,
    lanes: Mapping[Job, Lanes],
    *,
    judging_seconds: float = TURN_SECONDS,
) -> None:
    """Declare the actors; each company's turn at a job is taken by the job's lanes."""

    def sync_company(connection_id: str) -> None:
        lanes[SYNC].take(connection_id, lambda: sync.sync_company(services, connection_id))

    def deliver_company(connection_id: str) -> None:
        if services.infactor is not None:
            lanes[DELIVER].take(
                connection_id, lambda: deliver.deliver_company(services, connection_id)
            )

    def work_on_run(run_id: int) -> None:
        connection_id = run.connection_of(services, run_id)
        if connection_id is not None:
            lanes[RUN].take(connection_id, lambda: run.work_on_run(services, run_id))

    def judge_company(connection_id: str) -> None:
        lanes[JUDGE].take(
            connection_id,
            lambda: rejudging.judge_company(services, connection_id, seconds=judging_seconds),
        )

    def explain_payments(connection_id: str) -> None:
        lanes[SETTLE].take(
            connection_id, lambda: settlements.explain_payments(services, connection_id)
        )

    functions: dict[Job, Callable[..., None]] = {
        SYNC: sync_company,
        DELIVER: deliver_company,
        RUN: work_on_run,
        JUDGE: judge_company,
        SETTLE: explain_payments,
    }
    for job, function in functions.items():
        Actor(
            function,
            broker=broker,
            actor_name=job.name,
            queue_name=job.queue,
            priority=job.priority,
            options={
                "max_retries": _MAX_RETRIES,
                "min_backoff": _MIN_BACKOFF_MS,
                "max_backoff": _MAX_BACKOFF_MS,
                "time_limit": _TIME_LIMIT_MS,
                "max_age": _MAX_AGE_MS,
            },
        )


_DRAIN_MS = 25_000
_PATIENCE_SECONDS = 2.0
# A page of a thousand invoices takes QuickBooks seconds where one notice takes it none.
_PAGE_PATIENCE = 5
# So many syncs may go on by themselves when many companies get slow at once: each has a connection
# to QuickBooks, of which there are 64.
_MOST_HANDED_OFF = 32


def at_once(threads: int) -> dict[Job, int]:
    """Return how many threads a process has for each job.

    Notices have `threads`. What goes through a company by the page, and holds hundreds of invoices
    at once, has a third as many of each kind, besides: however long it takes, a notice waits for
    none of it.
    """
    return {job: threads if job is SYNC else -(-threads // 3) for job in ALL}


def lanes_for(threads: int, *, patience: float = _PATIENCE_SECONDS) -> dict[Job, Lanes]:
    """Return the lanes of a process; a sync is slow after `patience` seconds, a page after five
    times as many.
    """
    places = at_once(threads)
    # How fast these two are is for QuickBooks to say.
    reading = {
        job: Lanes(
            places[job],
            slow_places=max(1, places[job] - 1),
            patience=_PAGE_PATIENCE * patience,
        )
        for job in (RUN, SETTLE)
    }
    return {
        SYNC: Lanes(
            threads,
            slow_places=max(1, threads // 2),
            patience=patience,
            handed_off=_MOST_HANDED_OFF,
        ),
        DELIVER: Lanes(places[DELIVER]),
        JUDGE: Lanes(places[JUDGE]),
        **reading,
    }


@contextmanager
def working(
    services: Services,
    threads: int,
    *,
    patience: float = _PATIENCE_SECONDS,
    judging_seconds: float = TURN_SECONDS,
) -> Iterator[None]:
    """Run this process' actors and periodic jobs during the block, then drain for 25 s at most.

    A company whose sync outlasts `patience`, in seconds, leaves its thread to others. Its invoices
    are judged for `judging_seconds` at a time.
    """
    broker, lanes = services.jobs.broker, lanes_for(threads, patience=patience)
    declare(broker, services, lanes, judging_seconds=judging_seconds)
    # Without this signal Dramatiq's time limits never start.
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(broker, worker_threads=sum(at_once(threads).values()))
    worker.start()
    clocks = Clocks(services)
    clocks.start()
    try:
        yield
    finally:
        ends_at = time.monotonic() + _DRAIN_MS / 1000
        clocks.stop()
        # In a thread, because a Redis that hangs would hold each of its steps for so long.
        stopping = threading.Thread(target=worker.stop, args=(_DRAIN_MS,), daemon=True)
        stopping.start()
        for one in lanes.values():
            one.close()
        stopping.join(_DRAIN_MS / 1000)
        for one in lanes.values():
            one.drain(ends_at - time.monotonic())
        # They have ended beside all that, unless one of them hangs.
        clocks.join(ends_at - time.monotonic())


@contextmanager
def watching(services: Services) -> Iterator[None]:
    """Check for alert conditions during the block; in receivers too, to report that no worker is
    left.
    """
    with ticking(services, [ALERTS]):
        yield


class NoTracebacks(Middleware):
    """Removes the traceback that Dramatiq adds to a message to retry: it may quote data."""

    def before_enqueue(self, broker: Broker, message: Message[object], delay: int | None) -> None:
        message.options.pop("traceback", None)


class _Quiet(logging.Filter):
    """Drops what Dramatiq says every three seconds of each queue while Redis is away.

    `service.jobs` says it once, and once when Redis is back.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        about_redis = record.msg.startswith(_OF_REDIS) or isinstance(error, RedisError)
        return not about_redis


_OF_REDIS = ("Consumer encountered a connection error", "Restarting consumer in")


def _quieten() -> None:
    quiet = _Quiet()
    for job in ALL:
        for queue in (job.queue, dq_name(job.queue)):
            logging.getLogger(f"dramatiq.worker.ConsumerThread({queue})").addFilter(quiet)


class SharingBroker(RedisBroker):
    """Takes of each queue as many messages as its process has threads for, so that others get the
    rest; and none that is not ours.

    Dramatiq takes two for each thread from every queue: the first worker that looked took the runs
    of all companies, and the next ones had nothing to do.
    """

    def __init__(self, threads: int, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._most = {job.queue: most for job, most in at_once(threads).items()}
        self._dropped: defaultdict[str, SumOfAMinute] = defaultdict(SumOfAMinute)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """Return a consumer of the queue; of delayed messages it takes as many as Dramatiq says."""
        most = self._most.get(queue_name, prefetch)
        consumer: Consumer = super().consume(queue_name, min(prefetch, most), timeout)
        return consumer

    def do_fetch(self, queue_name: str, most: int) -> list[bytes]:
        """Return the next messages of ours; others are taken, too, and removed."""
        fetch = self._dispatch("fetch")  # type: ignore[no-untyped-call]
        found = fetch(queue_name, most)
        ours = [data for data in found if is_ours(data, queue_name)]
        if len(ours) < len(found):
            # Ours have been taken, and nobody else would work on them.
            with suppress(RedisError):
                self._remove_foreign(queue_name)
            if dropped := self._dropped[queue_name].add(len(found) - len(ours)):
                log.warning("queue.foreign_message", queue=queue_name, messages=dropped)
        return ours

    def _remove_foreign(self, queue_name: str) -> None:
        """Acknowledge what this process has taken of the queue and is not ours.

        By the id that Redis has, as the one in a message may be another message's.
        """
        taken = self.client.smembers(f"{self.namespace}:__acks__.{self.broker_id}.{queue_name}")
        for message_id in taken:
            data = self.client.hget(f"{self.namespace}:{queue_name}.msgs", message_id)
            if not is_ours(cast("bytes | None", data), queue_name):
                self.do_ack(queue_name, message_id)


def worker_broker(redis_url: str, threads: int) -> Broker:
    """Return the broker of a worker with so many threads, which waits for Redis to come back."""
    client = Redis.from_url(
        redis_url, socket_timeout=10, retry=Retry(ExponentialBackoff(cap=2, base=0.1), 5)
    )
    # A killed worker's messages are taken over within seconds; the requeue job sends them too.
    broker = SharingBroker(
        threads, client=client, heartbeat_timeout=20_000, maintenance_chance=50_000
    )
    broker.add_middleware(NoTracebacks())
    _quieten()
    return broker


def run_worker(services: Services, threads: int) -> None:
    """Work until SIGTERM or SIGINT, then finish what has begun and return."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    services.leases.start()
    with working(services, threads):
        log.info("worker.started", threads=threads)
        stopping.wait()
        log.info("worker.stopping")
    services.close()
