"""Charts as SVG paths: pure geometry, drawn by a template without any script.

A picture is stretched to the page, so it contains no text: labels stand around it. Times stay
datetimes, which the template shows in the reader's zone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

WIDTH, HEIGHT = 600, 160
_LEAST = 3  # least height of a bar: a few among many are what matters
Value = float | None
Points = Sequence[tuple[datetime, Value]]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one layer of bars; points in the order of time."""

    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class Drawn:
    """One series as SVG paths, with the values of its legend; `dots` mark single points and the
    last.
    """

    name: str
    path: str
    latest: str
    highest: str
    dots: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of several series over one time; `up` and `along` label its axes."""

    id: str
    title: str
    kind: Literal["lines", "bars"]
    series: tuple[Drawn, ...]
    up: tuple[str, str, str]  # the highest first
    along: tuple[datetime, datetime, datetime]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def empty(self) -> bool:
        return not any(one.path for one in self.series)

    @property
    def summary(self) -> str:
        """The picture in words, for those who do not see it."""
        read_aloud = (
            f"{s.name}: latest {s.latest}, highest {s.highest}" for s in self.series if s.path
        )
        return f"{'. '.join(read_aloud)}."


@dataclass(frozen=True, slots=True)
class Frame:
    """The time that a picture covers, and the time that one value stands for."""

    begin: datetime
    end: datetime
    step: timedelta

    def x(self, at: datetime) -> float:
        """Return a moment's horizontal position."""
        return WIDTH * ((at - self.begin) / (self.end - self.begin))

    @property
    def along(self) -> tuple[datetime, datetime, datetime]:
        return self.begin, self.begin + (self.end - self.begin) / 2, self.end


def lines(
    chart_id: str, title: str, series: Sequence[Series], frame: Frame, write: Callable[[float], str]
) -> Chart:
    """Return a chart of lines, with gaps where no value is known."""
    top = ceiling(_highest(value for one in series for _, value in one.points))
    drawn = []
    for one in series:
        path, dots = _line(one.points, frame, top)
        drawn.append(Drawn(one.name, path, *_extremes(one.points, write), dots))
    return Chart(chart_id, title, "lines", tuple(drawn), _ticks(top, write), frame.along)


def bars(
    chart_id: str, title: str, series: Sequence[Series], frame: Frame, write: Callable[[float], str]
) -> Chart:
    """Return a chart of stacked bars."""
    sums: dict[datetime, float] = {}
    for one in series:
        for at, value in one.points:
            sums[at] = sums.get(at, 0.0) + (value or 0.0)
    top = ceiling(_highest(sums.values()))
    floor: dict[datetime, float] = {}
    drawn = []
    for one in series:
        path = _bars(one.points, floor, frame, top)
        drawn.append(Drawn(one.name, path, *_extremes(one.points, write)))
    return Chart(chart_id, title, "bars", tuple(drawn), _ticks(top, write), frame.along)


def ceiling(highest: float) -> float:
    """Return the next round number: 1, 2 or 5 and any zeros."""
    if highest <= 0:
        return 1.0
    power = 1.0
    while power < highest:
        power *= 10
    while power >= highest * 10:
        power /= 10
    return next(power * share for share in (0.1, 0.2, 0.5, 1.0) if power * share >= highest)


def _line(points: Points, frame: Frame, top: float) -> tuple[str, str]:
    parts: list[list[str]] = []
    before: datetime | None = None
    for at, value in points:
        if value is None:
            before = None
            continue
        if before is None or at - before > 1.5 * frame.step:
            parts.append([])
        parts[-1].append(f"{_n(frame.x(at))} {_n(HEIGHT * (1 - value / top))}")
        before = at
    line = "".join(f"M{'L'.join(part)}" for part in parts)
    # A line of no length is a dot, with round ends.
    ends = [part[-1] for part in parts if len(part) == 1 or part is parts[-1]]
    return line, "".join(f"M{end}h0" for end in ends)


def _bars(points: Points, floor: dict[datetime, float], frame: Frame, top: float) -> str:
    parts = []
    step = frame.x(frame.begin + frame.step)
    width = step * 0.85 if step > 6 else step  # narrow gaps would only flicker
    for at, value in points:
        if not value:
            continue
        low = floor.get(at, HEIGHT)
        floor[at] = upper = low - max(HEIGHT * value / top, _LEAST)
        left = _n(frame.x(at))
        parts.append(f"M{left} {_n(upper)}h{_n(width)}V{_n(low)}h-{_n(width)}z")
    return "".join(parts)


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _highest(values: Iterable[Value]) -> float:
    return max((value for value in values if value is not None), default=0.0)


def _extremes(points: Points, write: Callable[[float], str]) -> tuple[str, str]:
    known = [value for _, value in points if value is not None]
    return (write(known[-1]), write(max(known))) if known else ("-", "-")


def _ticks(top: float, write: Callable[[float], str]) -> tuple[str, str, str]:
    return write(top), write(top / 2), write(0.0)
