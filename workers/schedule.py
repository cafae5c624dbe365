"""The clock that every worker carries; a lease lets one of them tick."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from service.context import Services
from service.coordination import heartbeats
from workers.runs.reconcile import begin_due
from workers.upkeep import keep_alive, prune, sample, sweep

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Periodic:
    """Work that is done every so many seconds by one of all processes."""

    name: str
    seconds: float
    work: Callable[[Services], None]


def beat(services: Services) -> None:
    """Note that somebody does the periodic work."""
    with services.database.write() as session:
        heartbeats.beat(session, "clock")


PERIODIC = (
    Periodic("sweep", 2.0, sweep),
    Periodic("heartbeat", heartbeats.BEAT_SECONDS, beat),
    Periodic("reconcile", 60.0, begin_due),
    Periodic("sample", 60.0, sample),
)
# Of a clock of their own: they may take many minutes, when Intuit is slow or much is old.
LONG = (
    Periodic("keep-alive", 3600.0, keep_alive),
    Periodic("prune", 3600.0, prune),
)
# So often is looked whether it is time, for a process need not live for an hour.
_LONGEST_LOOK_SECONDS = 5.0


class Clock:
    """Does the periodic work from a thread of its own."""

    def __init__(self, services: Services, periodic: tuple[Periodic, ...] = PERIODIC) -> None:
        self._services = services
        self._periodic = periodic
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being done, and end."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        shortest = min(_LONGEST_LOOK_SECONDS, *(job.seconds for job in self._periodic))
        while not self._stopping.wait(shortest):
            for job in self._periodic:
                self._tick(job)

    def _tick(self, job: Periodic) -> None:
        # A little less than the interval, so that a tick on time is not turned away.
        spacing = job.seconds * 0.9
        try:
            with self._services.leases.hold(f"clock:{job.name}", spacing=spacing) as mine:
                if mine:
                    job.work(self._services)
        except Exception as e:
            # The database or the queue is away: the next tick tries again.
            log.warning("clock.failed", job=job.name, error=type(e).__name__)
