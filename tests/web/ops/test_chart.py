"""Charts: from values to paths, and what whoever does not see them is told."""

from datetime import UTC, datetime, timedelta

import pytest

from service.web.ops.chart import Chart, Frame, Series, Value, bars, ceiling, lines

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)
FRAME = Frame(BEGIN, BEGIN + timedelta(hours=6), timedelta(hours=1))


def at(*values: Value) -> list[tuple[datetime, Value]]:
    """Return one value for each hour."""
    return [(BEGIN + timedelta(hours=hour), value) for hour, value in enumerate(values)]


def written(value: float) -> str:
    return f"{value:g} s"


def line(*values: Value) -> Chart:
    return lines("lag", "Lag", [Series("Half within", at(*values))], FRAME, written)


@pytest.mark.parametrize(
    ("highest", "top"),
    [
        (0, 1),
        (1, 1),
        (1.01, 2),
        (3, 5),
        (5, 5),
        (7, 10),
        (10, 10),
        (11, 20),
        (480, 500),
        (0.03, 0.05),
    ],
)
def test_the_top_is_the_next_round_number(highest: float, top: float) -> None:
    assert ceiling(highest) == pytest.approx(top)


def test_a_line_goes_through_its_values_and_the_highest_stands_below_the_top() -> None:
    drawn = line(0, 5, 10)
    assert drawn.series[0].path == "M0 160L100 80L200 0"
    assert drawn.up == ("10 s", "5 s", "0 s")


def test_a_line_is_broken_where_nothing_is_known() -> None:
    assert line(10, 5, None, 10, 5).series[0].path == "M0 0L100 80M300 0L400 80"
    gap = [(BEGIN, 10.0), (BEGIN + timedelta(hours=2), 10.0)]
    made = lines("lag", "Lag", [Series("x", gap)], FRAME, written)
    assert made.series[0].path == "M0 0M200 0"


def test_a_lonely_value_and_the_latest_are_dots() -> None:
    assert line(10).series[0].dots == "M0 0h0"
    assert line(10, None, 10, 5).series[0].dots == "M0 0h0M300 80h0"
    assert line(10, 5, None, 10, 5, None).series[0].dots == "M400 80h0"
    assert line(None).series[0].dots == ""


def test_bars_stand_upon_each_other() -> None:
    series = [Series("Done", at(6, 0)), Series("Parked", at(4, 5))]
    drawn = bars("ended", "Ended", series, FRAME, written)
    assert drawn.up == ("10 s", "5 s", "0 s")
    assert drawn.series[0].path == "M0 64h85V160h-85z"
    assert drawn.series[1].path == "M0 0h85V64h-85zM100 80h85V160h-85z"


def test_a_few_are_seen_upon_many() -> None:
    series = [Series("Done", at(100, 100)), Series("Ignored", at(0, 1)), Series("Parked", at(0.4))]
    done, ignored, parked = bars("ended", "Ended", series, FRAME, written).series
    assert done.path == "M0 80h85V160h-85zM100 80h85V160h-85z"
    assert ignored.path == "M100 77h85V80h-85z"
    assert parked.path == "M0 77h85V80h-85z"


def test_nothing_known_is_nothing_drawn() -> None:
    assert line().empty
    assert line(None, None).empty
    assert not line(0).empty
    assert bars("x", "X", [Series("Done", at(0, 0))], FRAME, written).empty


def test_whoever_does_not_see_it_is_told_the_last_and_the_highest() -> None:
    assert line(3, 9, 4).summary == ("Half within: latest 4 s, highest 9 s.")


def test_begin_middle_and_end_are_its_labels_and_stay_moments() -> None:
    hours = [BEGIN + timedelta(hours=n) for n in (0, 3, 6)]
    assert list(line(1).along) == hours
