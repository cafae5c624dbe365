"""Charts: from values to paths, and what whoever does not see them is told."""

from datetime import UTC, datetime, timedelta

import pytest

from service.web.ops.chart import (
    Chart,
    Frame,
    Measure,
    Series,
    Value,
    bars,
    count_axis,
    lines,
    span_axis,
)

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)
FRAME = Frame(BEGIN, BEGIN + timedelta(hours=6), timedelta(hours=1), timedelta(hours=3))


def at(*values: Value) -> list[tuple[datetime, Value]]:
    """Return one value for each hour."""
    return [(BEGIN + timedelta(hours=hour), value) for hour, value in enumerate(values)]


def written(value: float) -> str:
    return f"{value:g} s"


SECONDS = Measure("seconds", span_axis, written)


def line(*values: Value) -> Chart:
    return lines("lag", "Lag", [Series("Half within", at(*values))], FRAME, SECONDS)


@pytest.mark.parametrize(
    ("highest", "labels"),
    [
        (0, ["1 s", "0"]),
        (0.03, ["0.03 s", "0.02", "0.01", "0"]),
        (1.01, ["1.5 s", "1", "0.5", "0"]),
        (10, ["10 s", "5", "0"]),
        (11, ["15 s", "10", "5", "0"]),
        (100, ["120 s", "90", "60", "30", "0"]),
        (130, ["3 min", "2", "1", "0"]),
        (3 * 3600, ["3 h", "2", "1", "0"]),
        (50 * 3600, ["3 days", "2", "1", "0"]),
    ],
)
def test_an_axis_has_round_ticks_in_one_unit(highest: float, labels: list[str]) -> None:
    assert list(span_axis(highest).labels) == labels


def test_an_axis_of_numbers_has_no_unit() -> None:
    assert count_axis(0).labels == ("1", "0")
    assert count_axis(28).labels == ("30", "20", "10", "0")
    assert count_axis(4700).labels == ("6,000", "4,000", "2,000", "0")


def test_ticks_of_time_stand_where_the_time_is_round() -> None:
    begin = BEGIN + timedelta(hours=5)
    day = Frame(begin, begin + timedelta(days=1), timedelta(hours=1), timedelta(hours=6))
    assert [(place, at.hour) for place, at in day.ticks] == [
        (4.17, 6),
        (29.17, 12),
        (54.17, 18),
        (79.17, 0),
    ]


def test_every_step_has_its_value_for_the_pointer() -> None:
    assert line(10, 5, None, 2.5).series[0].values == "10,5,,2.5"
    assert line(None, 3).series[0].values == ",3"
    assert line(None).series[0].values == ""


def test_a_line_goes_through_its_values_and_the_highest_stands_below_the_top() -> None:
    drawn = line(0, 5, 10)
    assert drawn.series[0].path == "M0 160L100 80L200 0"
    assert drawn.axis.labels == ("10 s", "5", "0")


def test_a_line_is_broken_where_nothing_is_known() -> None:
    assert line(10, 5, None, 10, 5).series[0].path == "M0 0L100 80M300 0L400 80"
    gap = [(BEGIN, 10.0), (BEGIN + timedelta(hours=2), 10.0)]
    made = lines("lag", "Lag", [Series("x", gap)], FRAME, SECONDS)
    assert made.series[0].path == "M0 0M200 0"


def test_a_lonely_value_and_the_latest_are_dots() -> None:
    assert line(10).series[0].dots == "M0 0h0"
    assert line(10, None, 10, 5).series[0].dots == "M0 0h0M300 80h0"
    assert line(10, 5, None, 10, 5, None).series[0].dots == "M400 80h0"
    assert line(None).series[0].dots == ""


def test_bars_stand_upon_each_other() -> None:
    series = [Series("Done", at(6, 0)), Series("Failed", at(4, 5))]
    drawn = bars("ended", "Ended", series, FRAME, SECONDS)
    assert drawn.axis.labels == ("10 s", "5", "0")
    assert drawn.series[0].path == "M0 64h85V160h-85z"
    assert drawn.series[1].path == "M0 0h85V64h-85zM100 80h85V160h-85z"


def test_a_few_are_seen_upon_many() -> None:
    series = [Series("Done", at(100, 100)), Series("Ignored", at(0, 1)), Series("Failed", at(0.4))]
    done, ignored, failed = bars("ended", "Ended", series, FRAME, SECONDS).series
    assert done.path == "M0 26.7h85V160h-85zM100 26.7h85V160h-85z"
    assert ignored.path == "M100 23.7h85V26.7h-85z"
    assert failed.path == "M0 23.7h85V26.7h-85z"


def test_nothing_known_is_nothing_drawn() -> None:
    assert line().empty
    assert line(None, None).empty
    assert not line(0).empty
    assert bars("x", "X", [Series("Done", at(0, 0))], FRAME, SECONDS).empty


def test_whoever_does_not_see_it_is_told_the_last_and_the_highest() -> None:
    assert line(3, 9, 4).summary == ("Half within: latest 4 s, highest 9 s.")
