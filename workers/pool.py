"""Worker threads and the clock, running beside whatever else this process does."""

from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq

from service.bootstrap import Services
from workers.actors import declare
from workers.alerts import watch
from workers.clock import LONG, Clock, Periodic

DRAIN_MS = 25_000
# Of a clock of its own, so that no other work waits for whoever listens at ALERT_URL.
_ALERTS = (Periodic("alerts", 30.0, watch),)


def _look(services: Services) -> None:
    from workers.buyers import look_for_buyers  # noqa: PLC0415 - needs an extra
    from workers.look import look  # noqa: PLC0415

    look(services)
    look_for_buyers(services)


# Of a clock of its own too: Infactor's database may be slow, and the sweep must not be.
_LOOKS = (Periodic("look", 300.0, _look),)


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
        with ticking(Clock(services)), ticking(Clock(services, LONG)), watching(services):
            yield
    finally:
        worker.stop(timeout=DRAIN_MS)


@contextmanager
def watching(services: Services) -> Iterator[None]:
    """Watch for what is wrong, and tell of it, for as long as the block runs.

    Every process does, one at a time: so that receivers tell when no worker is left, and workers
    when no receiver is.
    """
    with ticking(Clock(services, _ALERTS)):
        yield


@contextmanager
def ticking(clock: Clock) -> Iterator[None]:
    """Let the clock tick for as long as the block runs."""
    clock.start()
    try:
        yield
    finally:
        clock.stop()
