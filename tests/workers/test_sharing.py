"""Several workers share the work: none takes more from Redis than it can begin."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dramatiq

from service import jobs
from service.jobs import Job
from tests.servers import wait_until
from workers.process import worker_broker

_THREADS = 4


class Doings:
    """Who has begun which work, in order; each piece waits at the gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun: list[tuple[str, str | int]] = []

    def of(self, worker: str) -> set[str | int]:
        """Return what this worker has begun."""
        return {what for who, what in self.begun if who == worker}


@contextmanager
def a_worker(name: str, job: Job, redis_url: str, doings: Doings) -> Iterator[None]:
    """Run a worker with four threads and a broker of its own, as its own process has them."""

    def work(**row: str | int) -> None:
        doings.begun.append((name, row[job.parameter]))
        doings.gate.wait(30)

    broker = worker_broker(redis_url, _THREADS)
    dramatiq.Actor(
        work,
        broker=broker,
        actor_name=job.name,
        queue_name=job.queue,
        priority=job.priority,
        options={},
    )
    worker = dramatiq.Worker(broker, worker_threads=_THREADS, worker_timeout=100)
    worker.start()
    try:
        yield
    finally:
        doings.gate.set()
        worker.stop(timeout=5_000)
        broker.close()


def shared(redis_url: str, job: Job, each: int) -> None:
    """Check that each of two workers begins `each` of twice as many, and no more before it ends."""
    numbers = range(1, 2 * each + 1)
    doings, rows = Doings(), {n if job is jobs.RUN else str(n) for n in numbers}
    with ExitStack() as stack:
        sender = worker_broker(redis_url, _THREADS)
        stack.callback(sender.close)
        for row in sorted(rows):
            sender.enqueue(jobs.message(job, row))
        stack.enter_context(a_worker("first", job, redis_url, doings))
        wait_until(lambda: len(doings.of("first")) == each, what="the first worker's share")
        stack.enter_context(a_worker("second", job, redis_url, doings))
        wait_until(lambda: len(doings.of("second")) == each, what="the second worker's share")
        assert doings.of("first") | doings.of("second") == rows


def test_two_workers_share_the_runs_of_all_companies(redis_database: str) -> None:
    """Each has begun a third as many as it has threads, rounded up: the others are for notices."""
    shared(redis_database, jobs.RUN, 2)


def test_two_workers_share_the_notices_of_all_companies(redis_database: str) -> None:
    shared(redis_database, jobs.SYNC, 4)
