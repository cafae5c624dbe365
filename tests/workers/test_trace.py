"""How many functions, files and frames the ways through the service take; `-s` prints them.

Somebody who follows one notice's life, from QuickBooks' request to Infactor's document, runs
through 81 files and 15 frames; 26 of these files are the rules and what they look at. A supplier's
first delivery takes one file more, because it matches rows of the old import.
"""

from collections.abc import Iterator

import pytest

from tests.trace import Trace, tracing
from tests.workers.delivering import Delivering
from tests.workers.world import World, an_invoice


@pytest.fixture(autouse=True)
def trace() -> Iterator[Trace]:
    """A trace that was there before the application's threads."""
    with tracing() as made:
        yield made


def test_one_notices_life_runs_through_few_files(trace: Trace, delivering: Delivering) -> None:
    world = delivering.world
    world.put("Invoice", an_invoice())
    with trace.counting():
        world.hear("Invoice", "1", "created")
        delivering.deliver()
    print(f"\nThe life of a supplier's first notice: {trace}")
    assert delivering.state() == ("invoice_created", None)
    assert len(trace.files) <= 84
    trace.forget()
    world.put("Invoice", an_invoice("2"))
    with trace.counting():
        world.hear("Invoice", "2", "created")
        delivering.deliver()
    print(f"\nOne notice's life: {trace}")
    assert trace.files >= {
        "service/web/webhook/intake.py",  # in the receiver's event loop, and in its writer
        "workers/sync.py",
        "workers/delivery/deliver.py",
    }
    assert len(trace.files) <= 84
    assert len(trace.deepest) <= 15


def test_one_page_of_a_backfill_runs_through_few_files(trace: Trace, world: World) -> None:
    world.put("Invoice", an_invoice("1"), an_invoice("2"))
    run_id = world.begin_backfill()
    with trace.counting():
        world.work_on_run(run_id)
    print(f"\nOne page of a backfill: {trace}")
    assert world.run(run_id).tally["created"] == 2
    assert trace.files >= {"workers/runs/backfill.py", "workers/recording/record.py"}
    assert len(trace.files) <= 68
    assert len(trace.deepest) <= 16
