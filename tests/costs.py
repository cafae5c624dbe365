"""What work costs: CPU of this thread, CPU of PostgreSQL, and the clock; for benchmarks."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from tests import processes


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of CPU of this thread and of all of PostgreSQL's processes, and of the clock.

    SQLite works in the thread that asks it; so does everything but PostgreSQL's server.
    """

    own: float
    server: float
    wall: float

    def each(self, count: int) -> "Cost":
        """Return the cost of each of so many equal pieces."""
        return Cost(self.own / count, self.server / count, self.wall / count)

    def __str__(self) -> str:
        return f"{self.own:7.2f} s own {self.server:7.2f} s server {self.wall:7.2f} s clock"

    @property
    def milliseconds(self) -> str:
        """The same in milliseconds."""
        own, server, wall = (1e3 * one for one in (self.own, self.server, self.wall))
        return f"{own:8.2f} ms own {server:8.2f} ms server {wall:8.2f} ms clock"


def median(costs: Sequence[Cost]) -> Cost:
    """Return the median of each."""
    return Cost(
        *(
            statistics.median(getattr(cost, name) for cost in costs)
            for name in ("own", "server", "wall")
        )
    )


class Meter:
    """Measures what is done on the database at `url`; PostgreSQL's server is of this machine.

    Its CPU is counted to the nanosecond where its connections stay open; if `they_end`, in
    hundredths of a second.
    """

    def __init__(self, url: str, *, they_end: bool = False) -> None:
        self._cpu = processes.cpu_of_all if they_end else processes.running_of_all
        self._postmaster = None
        if url.startswith("postgresql"):
            with psycopg.connect(url.replace("+psycopg", "")) as connection:
                self._postmaster = processes.parent(connection.info.backend_pid)

    def cost(
        self, work: Callable[[], object], clock: Callable[[], float] = time.thread_time
    ) -> Cost:
        """Return what the work costs; with `time.process_time` as clock, of all our threads."""
        own, server, wall = clock(), self._server(), time.perf_counter()
        work()
        wall = time.perf_counter() - wall
        return Cost(clock() - own, self._server() - server, wall)

    def _server(self) -> float:
        return 0.0 if self._postmaster is None else self._cpu(self._postmaster)
