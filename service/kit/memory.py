"""A long-running process' memory: when it is collected, and how much of it threads may keep."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_M_ARENA_MAX = -8  # of glibc's malloc.h
_ARENAS = 2


@contextmanager
def no_collections() -> Iterator[None]:
    """Collect no garbage during the block: what an import makes stays, however often one looks.

    A fifth of the CPU of importing the service were collections that found nothing.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def spare_the_collector() -> None:
    """Exempt everything loaded so far from garbage collection: a full one stops all threads."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def share_heaps() -> None:
    """Let all threads allocate from two heaps; call it before they start.

    glibc gives each thread a heap of its own, which keeps the most that the thread ever needed: a
    page of invoices as often as there are threads. Where the C library is another one, as on
    Alpine, nothing happens.
    """
    import ctypes  # noqa: PLC0415 - a command that only prints needs none of this

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
