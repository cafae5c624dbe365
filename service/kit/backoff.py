"""How long to wait before a failed attempt is repeated."""

from datetime import timedelta

from dramatiq.common import compute_backoff

LONGEST_PAUSE = timedelta(hours=1)
"""The longest that anything waits to be tried again."""

_MILLISECOND = timedelta(milliseconds=1)


def backoff(attempts: int, first: timedelta, longest: timedelta) -> timedelta:
    """Return the pause after a failure that followed `attempts` others.

    The base is `first`, doubled for each earlier failure, at most `longest`. The pause is random,
    between half the base and the base, so that what failed together does not retry together.
    """
    _, milliseconds = compute_backoff(
        # Dramatiq's random factor is between one and two.
        attempts,
        factor=first // (2 * _MILLISECOND),
        max_backoff=longest // _MILLISECOND,
    )
    return milliseconds * _MILLISECOND
