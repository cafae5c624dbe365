"""Each company's pace, kept by processes that know of each other only by the database."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import select

from service.database.tables import Pace
from service.database.types import database_now
from tests.workers.world import REALM, World, a_customer, environment

OTHER_REALM = "9341455000000099"


@contextmanager
def reading(world: World, connection_id: str, reads: int) -> Iterator[subprocess.Popen[str]]:
    """A process that is about to read so often; killed at the end."""
    command = [sys.executable, "-m", "tests.workers.reading_process"]
    process = subprocess.Popen(
        [*command, connection_id, "4", str(reads)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **environment(world.simulator.url, world.database_url),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def begin(process: subprocess.Popen[str]) -> None:
    """Let it read now."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def statuses(world: World) -> dict[str, int]:
    """Return how many reads QuickBooks has answered with each status."""
    served: dict[str, int] = world.http.get(f"{world.simulator.url}/_sim/calls").json()["by_status"]
    return served


def test_two_processes_together_keep_to_one_companys_pace(postgres_world: World) -> None:
    """QuickBooks would answer the eleventh read within a second with 429."""
    world = postgres_world
    world.forget_calls()
    world.simulator.simulator.switch({"requests_per_second": 10})
    with ExitStack() as stack:
        processes = [stack.enter_context(reading(world, world.connection_id, 12)) for _ in range(2)]
        with world.services.database.read() as session:
            began = session.execute(select(database_now())).scalar_one()
        for process in processes:
            begin(process)
        became = [line for process in processes for line in process.communicate()[0].split()]
    assert became == ["read"] * 24
    assert statuses(world) == {"200": 24}
    assert world.reads() == {"read": 24}
    with world.services.database.read() as session:
        free_at = session.get_one(Pace, world.connection_id).free_at
    assert free_at - began > 24 / 6 - 0.001


def test_a_company_that_reads_much_holds_up_no_other(postgres_world: World) -> None:
    world = postgres_world
    noisy = world.connection_id
    world.put("Customer", a_customer(), realm=OTHER_REALM)
    quiet = world.connect(OTHER_REALM, "other@example.com")
    with reading(world, noisy, 1000) as much, reading(world, quiet, 8) as little:
        begin(much)
        begin(little)
        assert little.communicate()[0].split() == ["read"] * 8
        assert much.poll() is None  # it has most of its three minutes before it
        calls = world.http.get(f"{world.simulator.url}/_sim/calls").json()["by_company"]
        assert sum(calls[REALM].values()) < 1000
