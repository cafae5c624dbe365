"""The worker process."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import dramatiq
import structlog
from dramatiq import Actor, Broker, Message, Middleware
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from service.jobs import DELIVER, RUN, SYNC
from service.services import Services
from workers import sync
from workers.delivery import deliver
from workers.runs import run
from workers.schedule import ALERTS, ticking

log = structlog.get_logger(__name__)

_MAX_RETRIES = 3
_MIN_BACKOFF_MS = 1_000
_MAX_BACKOFF_MS = 30_000
# Longer than any sync: 500 confirmations at 6 a second, and a page that takes its minute.
_TIME_LIMIT_MS = 10 * 60 * 1000
# A nudge that nobody took for an hour has been sent again by the sweep many times over.
_MAX_AGE_MS = 60 * 60 * 1000


def declare(broker: Broker, services: Services) -> None:
    """Declare every actor on this broker."""

    def sync_company(connection_id: str) -> None:
        sync.sync_company(services, connection_id)

    def deliver_company(connection_id: str) -> None:
        if services.infactor is not None:
            deliver.deliver_company(services, connection_id)

    def work_on_run(run_id: int) -> None:
        run.work_on_run(services, run_id)

    for job, function in ((SYNC, sync_company), (DELIVER, deliver_company), (RUN, work_on_run)):
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


DRAIN_MS = 25_000


@contextmanager
def working(services: Services, threads: int) -> Iterator[None]:
    """Work on this process' broker for as long as the block runs, then drain for 25 s at most."""
    broker = services.jobs.broker
    declare(broker, services)
    # Without this signal Dramatiq's time limits never begin to count.
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(broker, worker_threads=threads)
    worker.start()
    try:
        with ticking(services):
            yield
    finally:
        worker.stop(timeout=DRAIN_MS)


@contextmanager
def watching(services: Services) -> Iterator[None]:
    """Watch for what is wrong, and tell of it, for as long as the block runs.

    Receivers do it too: so they tell when no worker is left, and workers when no receiver is.
    """
    with ticking(services, [ALERTS]):
        yield


class NoTracebacks(Middleware):
    """Keeps what an exception says out of the queue: a message carries an id and nothing else.

    Dramatiq writes the traceback into a message that it will retry; ours goes to the log.
    """

    def before_enqueue(self, broker: Broker, message: Message[object], delay: int | None) -> None:
        """Drop the traceback before the message is stored."""
        message.options.pop("traceback", None)


def worker_broker(redis_url: str | None) -> Broker:
    """Return the broker of a process that can wait for Redis to come back."""
    if redis_url is None:
        return StubBroker()
    client = Redis.from_url(
        redis_url, socket_timeout=10, retry=Retry(ExponentialBackoff(cap=2, base=0.1), 5)
    )
    # A killed worker's messages are taken over within seconds; until then the sweep's are.
    broker: Broker = RedisBroker(  # type: ignore[no-untyped-call]
        client=client, heartbeat_timeout=20_000, maintenance_chance=50_000
    )
    broker.add_middleware(NoTracebacks())
    return broker


def run_worker(services: Services, threads: int) -> None:
    """Work until SIGTERM or SIGINT, then finish what is being done and return."""
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
