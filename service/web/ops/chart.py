"""Charts as SVG paths: pure geometry, drawn by a template.

A picture is stretched to the page, so it contains no text: labels stand around it. The values go
with it, so that a script can show each at the pointer and to the keyboard.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, log10
from typing import Literal

WIDTH, HEIGHT = 600, 160
_LEAST = 3  # least height of a bar: a few among many are what matters
_MOST_TICKS = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Value = float | None
Points = Sequence[tuple[datetime, Value]]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one layer of bars; points in the order of time."""

    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class Axis:
    """The upward axis: from 0 to `top`, with a tick at each `step`, labelled in one unit.

    `per` is how many of what is drawn make one of that unit.
    """

    top: float
    step: float
    unit: str
    per: float = 1.0

    @property
    def ticks(self) -> tuple[float, ...]:
        """Where the ticks are, the highest first."""
        return tuple(self.step * n for n in reversed(range(round(self.top / self.step) + 1)))

    @property
    def labels(self) -> tuple[str, ...]:
        """The ticks' labels, the highest first, which names the unit."""
        written = [f"{tick / self.per:,.10g}" for tick in self.ticks]
        return (f"{written[0]} {self.unit}".strip(), *written[1:])


@dataclass(frozen=True, slots=True)
class Measure:
    """What is drawn: how its axis is chosen by the highest value, and how a value is written.

    `name` tells the script how to write one: `seconds` or `rate`.
    """

    name: str
    axis: Callable[[float], Axis]
    write: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One series as SVG paths, with the values of its legend; `dots` mark single points and the
    last. `values` has a value for each step of the frame, separated by commas, "" where none is.
    """

    name: str
    path: str
    latest: str
    highest: str
    values: str
    dots: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """The time that a picture covers, the time that one value stands for, and that between two
    ticks.
    """

    begin: datetime
    end: datetime
    step: timedelta
    every: timedelta

    def x(self, at: datetime) -> float:
        """Return a moment's horizontal position."""
        return WIDTH * ((at - self.begin) / (self.end - self.begin))

    @property
    def ticks(self) -> tuple[tuple[float, datetime], ...]:
        """Moments that are round in UTC, with their place in hundredths of the width."""
        first = self.begin + (_EPOCH - self.begin) % self.every
        count = (self.end - first) // self.every + 1
        moments = (first + n * self.every for n in range(count))
        return tuple((round(self.x(at) / WIDTH * 100, 2), at) for at in moments)


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of several series over one time."""

    id: str
    title: str
    kind: Literal["lines", "bars"]
    series: tuple[Drawn, ...]
    axis: Axis
    frame: Frame
    measure: str
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def empty(self) -> bool:
        return not any(one.path for one in self.series)

    @property
    def grid(self) -> str:
        """The path of the lines at the ticks."""
        heights = (_n(HEIGHT * (1 - tick / self.axis.top)) for tick in self.axis.ticks)
        return "".join(f"M0 {height}H{WIDTH}" for height in heights)

    @property
    def summary(self) -> str:
        """The picture in words, for those who do not see it."""
        read_aloud = (
            f"{s.name}: latest {s.latest}, highest {s.highest}" for s in self.series if s.path
        )
        return f"{'. '.join(read_aloud)}."


def lines(
    chart_id: str, title: str, series: Sequence[Series], frame: Frame, measure: Measure
) -> Chart:
    """Return a chart of lines, with gaps where no value is known."""
    axis = measure.axis(_highest(value for one in series for _, value in one.points))
    drawn = []
    for one in series:
        path, dots = _line(one.points, frame, axis.top)
        latest, highest = _extremes(one.points, measure.write)
        drawn.append(Drawn(one.name, path, latest, highest, _values(one.points, frame), dots))
    return Chart(chart_id, title, "lines", tuple(drawn), axis, frame, measure.name)


def bars(
    chart_id: str, title: str, series: Sequence[Series], frame: Frame, measure: Measure
) -> Chart:
    """Return a chart of stacked bars."""
    sums: dict[datetime, float] = {}
    for one in series:
        for at, value in one.points:
            sums[at] = sums.get(at, 0.0) + (value or 0.0)
    axis = measure.axis(_highest(sums.values()))
    floor: dict[datetime, float] = {}
    drawn = []
    for one in series:
        path = _bars(one.points, floor, frame, axis.top)
        latest, highest = _extremes(one.points, measure.write)
        drawn.append(Drawn(one.name, path, latest, highest, _values(one.points, frame)))
    return Chart(chart_id, title, "bars", tuple(drawn), axis, frame, measure.name)


_SECONDS = (1, 2, 5, 10, 15, 30)
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_SPANS = (
    *((step, "s", 1.0) for step in _SECONDS),
    *((step * _MINUTE, "min", _MINUTE) for step in _SECONDS),
    *((step * _HOUR, "h", _HOUR) for step in (1, 2, 6, 12)),
)


def span_axis(highest: float) -> Axis:
    """Return the axis of lengths of time up to so many seconds, in the unit that suits them."""
    for step, unit, per in _SPANS:
        if highest <= step * _MOST_TICKS:
            # Below a few seconds, tenths count.
            small = _decimal_step(highest) if unit == "s" else step
            return Axis(_top(highest, min(step, small)), min(step, small), unit, per)
    step = _decimal_step(highest / _DAY) * _DAY
    return Axis(_top(highest, step), step, "days", _DAY)


def count_axis(highest: float) -> Axis:
    """Return the axis of numbers up to this one."""
    step = _decimal_step(highest)
    return Axis(_top(highest, step), step, "")


def _decimal_step(highest: float) -> float:
    """Return the smallest of 1, 2 or 5 and any zeros that is reached in four steps at most."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** (ceil(log10(highest / _MOST_TICKS)) - 1)
    steps = (power * share for share in (1, 2, 5, 10))
    return next(float(f"{step:.3g}") for step in steps if highest <= step * _MOST_TICKS * 1.000001)


def _top(highest: float, step: float) -> float:
    """Return the lowest tick above everything, of which there is one at least."""
    return step * max(1, ceil(round(highest / step, 6)))


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


def _values(points: Points, frame: Frame) -> str:
    """Return the value of each step of the frame as `1.5,,2`, without what is not known at the
    end.
    """
    by_step = {
        int((at - frame.begin) / frame.step): value for at, value in points if value is not None
    }
    if not by_step:
        return ""
    steps = (by_step.get(step) for step in range(max(by_step) + 1))
    return ",".join("" if value is None else f"{value:.4g}" for value in steps)


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _highest(values: Iterable[Value]) -> float:
    return max((value for value in values if value is not None), default=0.0)


def _extremes(points: Points, write: Callable[[float], str]) -> tuple[str, str]:
    known = [value for _, value in points if value is not None]
    return (write(known[-1]), write(max(known))) if known else ("-", "-")
