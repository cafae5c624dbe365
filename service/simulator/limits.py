"""Limits on a company's calls, by the simulator's clock."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from service.simulator.clock import pacific
from service.simulator.records import Json
from service.simulator.switches import Switches

SECOND, MINUTE = timedelta(seconds=1), timedelta(seconds=60)


@dataclass
class Windows:
    """The times of one company's calls and batches of the last minute."""

    calls: deque[datetime] = field(default_factory=deque)
    batches: deque[datetime] = field(default_factory=deque)

    def shown(self, now: datetime) -> Json:
        """Return what is used of each window: {"second", "minute", "batches"}."""
        return {
            "second": _within(self.calls, SECOND, now),
            "minute": _within(self.calls, MINUTE, now),
            "batches": _within(self.batches, MINUTE, now),
        }


class Limits:
    """Sliding windows per company, and the month's reads of all; a refused call does not count."""

    def __init__(self) -> None:
        self._month = ""
        self._reads = 0

    def admit(
        self, used: Windows, now: datetime, switches: Switches, *, reads: int, batch: bool
    ) -> bool:
        """Count a call and return True, or return False if it exceeds a limit."""
        self._turn_page(now)
        windows = [
            (used.calls, SECOND, switches.requests_per_second),
            (used.calls, MINUTE, switches.requests_per_minute),
        ]
        if batch:
            windows.append((used.batches, MINUTE, switches.batches_per_minute))
            windows.append((used.batches, MINUTE, switches.batches_per_minute_company))
        if any(_is_full(*window, now) for window in windows):
            return False
        most = switches.reads_per_month
        if most is not None and reads and self._reads + reads > most:
            return False
        used.calls.append(now)
        if batch:
            used.batches.append(now)
        self._reads += reads
        return True

    def set_reads(self, reads: int, now: datetime) -> None:
        """Set the month's count of reads."""
        self._turn_page(now)
        self._reads = reads

    def shown(self, now: datetime) -> Json:
        """Return {"month", "reads"}."""
        self._turn_page(now)
        return {"month": self._month, "reads": self._reads}

    def _turn_page(self, now: datetime) -> None:
        month = f"{pacific(now):%Y-%m}"
        if month != self._month:
            self._month, self._reads = month, 0


def _within(calls: deque[datetime], span: timedelta, now: datetime) -> int:
    return sum(now - span < at for at in calls)


def _is_full(calls: deque[datetime], span: timedelta, most: int | None, now: datetime) -> bool:
    while calls and calls[0] <= now - MINUTE:
        calls.popleft()
    while calls and calls[-1] > now:  # the clock was turned back
        calls.pop()
    if most is None or len(calls) < most:
        return False
    # The oldest of the last `most` calls decides, without counting.
    return calls[-most] > now - span
