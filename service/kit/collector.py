"""Python's garbage collector, which looks at every object there is and stops all threads for it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
