"""Worker threads and the clock, running beside whatever else this process does."""

from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq

from service.bootstrap import Services
from workers.actors import declare
from workers.clock import Clock

DRAIN_MS = 25_000


@contextmanager
def working(services: Services, threads: int) -> Iterator[None]:
    """Work on this process' broker for as long as the block runs, then drain for 25 s at most."""
    broker = services.jobs.broker
    declare(broker, services)
    # Without this signal Dramatiq's time limits never begin to count.
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(broker, worker_threads=threads)
    clock = Clock(services)
    worker.start()
    clock.start()
    try:
        yield
    finally:
        clock.stop()
        worker.stop(timeout=DRAIN_MS)
