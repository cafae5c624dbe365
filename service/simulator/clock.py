"""The simulator's time: real by default, and movable by tests."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache


class Clock:
    """Real time plus an offset; whoever waits on it is told when the offset moves."""

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """Return the simulator's present, in UTC."""
        with self._lock:
            return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Time has moved on by `seconds`, and everybody who waits for it knows."""
        with self._lock:
            self._offset += timedelta(seconds=seconds)
        for listener in self._listeners:
            listener()

    def when_moved(self, listener: Callable[[], None]) -> None:
        """`listener` is called after every jump."""
        self._listeners.append(listener)


def _first_sunday(year: int, month: int) -> datetime:
    first = datetime(year, month, 1, tzinfo=UTC)
    return first + timedelta(days=(6 - first.weekday()) % 7)


def pacific(moment: datetime) -> datetime:
    """Return the same instant with the offset of Intuit's clocks.

    By rule rather than by `zoneinfo`, because a bare machine may have no time zone data.
    """
    starts, ends = _summer(moment.astimezone(UTC).year)
    return moment.astimezone(_SUMMER if starts <= moment < ends else _WINTER)


_SUMMER, _WINTER = timezone(timedelta(hours=-7)), timezone(timedelta(hours=-8))


@lru_cache(maxsize=64)
def _summer(year: int) -> tuple[datetime, datetime]:
    """Return when the clocks of that year are put forward and back."""
    starts = _first_sunday(year, 3) + timedelta(days=7, hours=10)
    return starts, _first_sunday(year, 11) + timedelta(hours=9)


def to_seconds(moment: datetime) -> str:
    """Return the form of `MetaData`: Pacific offset, whole seconds."""
    return pacific(moment).isoformat(timespec="seconds")


def to_millis(moment: datetime) -> str:
    """Return the form of an answer's `time`: Pacific offset, milliseconds."""
    return pacific(moment).isoformat(timespec="milliseconds")


def to_zulu(moment: datetime) -> str:
    """Return the form of webhooks: UTC with Z, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """Return the instant that an ISO 8601 text names; without an offset it is UTC.

    Raises ValueError when it is neither a date nor a date with a time.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
