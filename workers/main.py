"""The worker process."""

import signal
import threading
from types import FrameType

import structlog
from dramatiq import Broker, Message, Middleware
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from service.bootstrap import Services
from workers.pool import working

log = structlog.get_logger(__name__)


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


def run(services: Services, threads: int) -> None:
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
