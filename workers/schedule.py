"""The periodic jobs, and the clocks that run them; a lease lets one of all processes do each."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import structlog

from service.coordination import heartbeats
from service.domain import ProcessKind
from service.services import Services
from workers.alerts import alert_without_database, watch
from workers.clock_watch import ClockWatch
from workers.delivery import adoption, poll
from workers.event_feed import send_events
from workers.rejudging import ask_for_judging
from workers.runs.reconcile import begin_due
from workers.settlements import ask_for_settlements
from workers.upkeep import (
    count,
    keep_alive,
    learn_habits,
    prune,
    requeue_due,
    revive,
    sample,
    try_keys,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job that one of all processes does every `seconds`; jobs of one `clock` wait for each
    other.

    With `everywhere`, each process does it. `failed` is given the error of each turn after it has
    failed in this process for a minute.
    """

    name: str
    seconds: float
    work: Callable[[Services], None]
    clock: str = "main"
    failed: Callable[[Services, Exception], None] | None = None
    everywhere: bool = False


def beat(services: Services) -> None:
    """Record that a process does the periodic work."""
    with services.database.write() as session:
        heartbeats.beat(session, "clock")


def appear(services: Services) -> None:
    """Record that this worker is alive, and log once when its queue goes away or comes back."""
    services.jobs.log_change(services.jobs.trouble())
    with services.database.write() as session:
        services.presence.report(session, ProcessKind.WORKER)


def poll_infactor(services: Services) -> None:
    """Poll what people decided in Infactor, and which buyers have signed up."""
    if services.infactor is None:
        return
    poll.poll_documents(services)
    poll.poll_buyers(services)
    adoption.match_again(services)


# On a clock of its own, because ALERT_URL may answer slowly.
ALERTS = Periodic("alerts", 15.0, watch, clock="alerts", failed=alert_without_database)

PERIODIC = (
    Periodic("requeue", 2.0, requeue_due),
    Periodic("heartbeat", heartbeats.BEAT_SECONDS, beat),
    # On a clock of its own, because a requeue may wait for Redis.
    Periodic("presence", heartbeats.BEAT_SECONDS, appear, clock="presence", everywhere=True),
    Periodic("reconcile", 15.0, begin_due),
    Periodic("judging", 15.0, ask_for_judging),
    Periodic("settlements", 15.0, ask_for_settlements),
    Periodic("sample", 60.0, sample),
    Periodic("count", 60.0, count),
    # May take many minutes, if Intuit is slow or much is to be deleted.
    Periodic("keys", 60.0, try_keys, clock="upkeep"),
    Periodic("keep-alive", 3600.0, keep_alive, clock="upkeep"),
    Periodic("revive", 3600.0, revive, clock="upkeep"),
    Periodic("prune", 3600.0, prune, clock="upkeep"),
    Periodic("habits", 6 * 3600.0, learn_habits, clock="upkeep"),
    # Whoever listens may be slow.
    Periodic("events", 2.0, send_events, clock="events"),
    # Infactor's database may be slow.
    Periodic("poll", 300.0, poll_infactor, clock="infactor"),
    ALERTS,
)
# Checked at least so often whether a job is due: a process may not live for an hour.
_LONGEST_WAIT_SECONDS = 5.0
_PATIENCE_SECONDS = 60.0
_FINISH_SECONDS = 10.0


@contextmanager
def ticking(services: Services, periodic: Sequence[Periodic] = PERIODIC) -> Iterator[None]:
    """Run the periodic jobs during the block, then finish what has begun, within 10 s."""
    clocks = Clocks(services, periodic)
    clocks.start()
    try:
        yield
    finally:
        clocks.stop()
        clocks.join(_FINISH_SECONDS)


class Clocks:
    """All clocks of one process, and the watch that makes it follow the database's time."""

    def __init__(self, services: Services, periodic: Sequence[Periodic] = PERIODIC) -> None:
        self._clocks = [Clock(services, jobs) for jobs in _by_clock(periodic)]
        self._watch = ClockWatch(services.database)

    def start(self) -> None:
        self._watch.start()
        for clock in self._clocks:
            clock.start()

    def stop(self) -> None:
        """Start no more jobs."""
        for clock in self._clocks:
            clock.stop()

    def join(self, seconds: float) -> None:
        """Wait for the current jobs of all, for so long at most together."""
        deadline = time.monotonic() + seconds
        for clock in self._clocks:
            clock.join(max(0.0, deadline - time.monotonic()))
        self._watch.stop(max(0.0, deadline - time.monotonic()))


def _by_clock(periodic: Sequence[Periodic]) -> list[list[Periodic]]:
    ordered = sorted(periodic, key=lambda job: job.clock)
    return [list(jobs) for _, jobs in groupby(ordered, key=lambda job: job.clock)]


class Clock:
    def __init__(
        self, services: Services, periodic: Sequence[Periodic], patience: float = _PATIENCE_SECONDS
    ) -> None:
        self._patience = patience
        self._services = services
        self._periodic = periodic
        self._failing: dict[str, tuple[float, str]] = {}  # since when, and with which error
        self._due_at: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Start no more jobs."""
        self._stopping.set()

    def join(self, seconds: float = _FINISH_SECONDS) -> None:
        """Wait for the current job, for so long at most."""
        self._thread.join(seconds)

    def _run(self) -> None:
        shortest = min(_LONGEST_WAIT_SECONDS, *(job.seconds for job in self._periodic))
        while not self._stopping.wait(shortest):
            for job in self._periodic:
                self._tick(job)

    def _tick(self, job: Periodic) -> None:
        if job.everywhere and time.monotonic() < self._due_at.get(job.name, 0.0):
            return
        try:
            if job.everywhere:
                self._do_here(job)
            else:
                self._do_somewhere(job)
        except Exception as e:
            # The database or the queue is away: the next tick tries again.
            self._note_failure(job, e)
            if job.failed and time.monotonic() - self._failing[job.name][0] >= self._patience:
                job.failed(self._services, e)
        else:
            if self._failing.pop(job.name, None):
                log.info("clock.works", job=job.name)

    def _do_somewhere(self, job: Periodic) -> None:
        # A little less than the interval, so that a punctual tick is not refused.
        spacing = job.seconds * 0.9
        with self._services.leases.hold(f"clock:{job.name}", spacing=spacing) as mine:
            if mine:
                job.work(self._services)

    def _do_here(self, job: Periodic) -> None:
        self._due_at[job.name] = time.monotonic() + job.seconds * 0.9
        job.work(self._services)

    def _note_failure(self, job: Periodic, error: Exception) -> None:
        """Log a failure, but not again and again while the same goes on."""
        name = type(error).__name__
        since, before = self._failing.get(job.name, (time.monotonic(), ""))
        self._failing[job.name] = (since, name)
        if name != before:
            log.warning("clock.failed", job=job.name, error=name)
