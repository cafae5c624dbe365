"""How long to wait before trying again what failed."""

from datetime import timedelta

from dramatiq.common import compute_backoff

_MILLISECOND = timedelta(milliseconds=1)


def backoff(attempts: int, first: timedelta, longest: timedelta) -> timedelta:
    """Return the pause after a failure that followed `attempts` others.

    It is `first`, doubled for each of the others, `longest` at most; and then anything from half
    of that, by chance, so that what failed together is not tried again together.
    """
    _, milliseconds = compute_backoff(
        # Dramatiq's chance is from one to two times its factor.
        attempts,
        factor=first // (2 * _MILLISECOND),
        max_backoff=longest // _MILLISECOND,
    )
    return milliseconds * _MILLISECOND
