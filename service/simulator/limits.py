"""How many calls a company may make, on the simulator's clock."""

from collections import defaultdict, deque
from datetime import datetime, timedelta

from service.simulator.clock import pacific
from service.simulator.records import Json
from service.simulator.switches import Switches

SECOND, MINUTE = timedelta(seconds=1), timedelta(seconds=60)


class Limits:
    """Sliding windows per company, and the reads of the month over all companies.

    A refused call counts for nothing, which the reference does not say either way.
    """

    def __init__(self) -> None:
        self._calls: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self._batches: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self._month = ""
        self._reads = 0

    def admit(
        self, realm: str, now: datetime, switches: Switches, *, reads: int = 0, batch: bool = False
    ) -> bool:
        """Tell whether a call may pass; one that may is counted."""
        self._turn_page(now)
        calls, batches = self._calls[realm], self._batches[realm]
        windows = [
            (calls, SECOND, switches.requests_per_second),
            (calls, MINUTE, switches.requests_per_minute),
        ]
        if batch:
            windows.append((batches, MINUTE, switches.batches_per_minute))
            windows.append((batches, MINUTE, switches.batches_per_minute_company))
        if any(_is_full(*window, now) for window in windows):
            return False
        most = switches.reads_per_month
        if most is not None and reads and self._reads + reads > most:
            return False
        calls.append(now)
        if batch:
            batches.append(now)
        self._reads += reads
        return True

    def set_reads(self, reads: int, now: datetime) -> None:
        """So many reads count as made in this month."""
        self._turn_page(now)
        self._reads = reads

    def clear(self) -> None:
        """Nothing was called."""
        self._calls.clear()
        self._batches.clear()
        self._reads = 0

    def shown(self, now: datetime) -> Json:
        """Return how much of each limit is used."""
        self._turn_page(now)
        return {
            "month": self._month,
            "reads": self._reads,
            "by_company": {
                realm: {
                    "second": _within(calls, SECOND, now),
                    "minute": _within(calls, MINUTE, now),
                    "batches": _within(self._batches[realm], MINUTE, now),
                }
                for realm, calls in list(self._calls.items())
            },
        }

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
    # The oldest of the last `most` calls decides, so nothing has to be counted.
    return calls[-most] > now - span
