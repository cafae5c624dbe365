"""The simulator's time: real by default, and movable by tests."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache


class Clock:
    """Real time plus an offset."""

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        with self._lock:
            return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Move time forward, and call the listeners."""
        with self._lock:
            self._offset += timedelta(seconds=seconds)
        for listener in self._listeners:
            listener()

    def when_moved(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every move."""
        self._listeners.append(listener)


def _first_sunday(year: int, month: int) -> datetime:
    first = datetime(year, month, 1, tzinfo=UTC)
    return first + timedelta(days=(6 - first.weekday()) % 7)


def pacific(moment: datetime) -> datetime:
    """Return the instant with Intuit's offset; by rule, because a machine may have no time zone
    data.
    """
    starts, ends = _summer(moment.astimezone(UTC).year)
    return moment.astimezone(_SUMMER if starts <= moment < ends else _WINTER)


_SUMMER, _WINTER = timezone(timedelta(hours=-7)), timezone(timedelta(hours=-8))


@lru_cache(maxsize=64)
def _summer(year: int) -> tuple[datetime, datetime]:
    """Return the beginning and end of summer time."""
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
    """Return the instant of an ISO 8601 text, without an offset in UTC; raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
