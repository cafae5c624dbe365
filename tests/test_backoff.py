"""The pause after a failure: twice as long each time, up to a bound, and spread."""

from datetime import timedelta

import pytest

from service.kit.backoff import backoff

FIRST, LONGEST = timedelta(seconds=30), timedelta(hours=1)


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(0, 30), (1, 60), (2, 120), (6, 1920), (7, 3600), (8, 3600), (1000, 3600)],
)
def test_a_pause_is_doubled_up_to_the_longest_and_lies_in_its_upper_half(
    attempts: int, seconds: int
) -> None:
    pauses = [backoff(attempts, FIRST, LONGEST).total_seconds() for _ in range(500)]
    assert 0.5 * seconds <= min(pauses) < 0.6 * seconds
    assert 0.9 * seconds < max(pauses) <= seconds
