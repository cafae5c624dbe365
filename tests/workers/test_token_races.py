"""Tokens when several processes need one, and when one of them dies in the middle."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from structlog.testing import capture_logs

from service.database.tables import Connection
from service.errors import Disconnected
from service.kit.clock import now
from tests.servers import wait_until
from tests.workers.world import REALM, REFUSE, World, an_invoice, environment

# Asks for the token from several threads at once, when told to; prints the digest of it.
ASK = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from dramatiq.brokers.stub import StubBroker
from service.services import build_services
from service.config.loading import settings_from

environment, connection_id, threads = json.loads(sys.argv[1])
services = build_services(settings_from(environment), StubBroker())
barrier = Barrier(threads)

def ask(_):
    barrier.wait()
    return services.access.access_token(connection_id)

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(threads) as pool:
    tokens = set(pool.map(ask, range(threads)))
(token,) = tokens
print(services.vault.digest(token), flush=True)
"""

TOKENS = "UPDATE ON connections FOR EACH ROW WHEN (NEW.refresh_sealed IS NOT OLD.refresh_sealed)"


def expire(world: World, *, hours: float) -> None:
    """Let the access token have ended, here and at Intuit."""
    world.pass_time_in_quickbooks(hours=hours)
    with world.services.database.write() as session:
        session.execute(update(Connection).values(access_expires_at=now() - timedelta(minutes=5)))


def asking(world: World, threads: int) -> "subprocess.Popen[str]":
    """Return a process that is ready to ask for the token."""
    settings = environment(world.simulator.url, world.database_url)
    process = subprocess.Popen(
        [sys.executable, "-c", ASK, json.dumps([settings, world.connection_id, threads])],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def processes() -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes that are gone afterwards."""
    begun: list[subprocess.Popen[str]] = []
    yield begun
    for process in begun:
        process.kill()
        process.communicate()


def test_25_threads_in_two_processes_make_exactly_one_refresh(
    postgres_world: World, processes: list["subprocess.Popen[str]"]
) -> None:
    """A second one with the same refresh token would be refused, and end the connection."""
    world = postgres_world
    expire(world, hours=25)
    world.count_refreshes(delay=0.3)
    processes += [asking(world, threads) for threads in (13, 12)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert len({said.splitlines()[-1] for said, _ in answers}) == 1
    assert [process.returncode for process in processes] == [0, 0]
    assert world.refreshes() == 1
    assert world.connection().state == "connected"


@pytest.mark.both_databases("locks work differently")
def test_a_crash_between_intuits_answer_and_our_commit_costs_a_retry_not_the_connection(
    world: World, processes: list["subprocess.Popen[str]"]
) -> None:
    """Within a day Intuit gives the same refresh token again, and still honours it."""
    expire(world, hours=2)
    before = world.connection().refresh_sealed
    world.faults({"kind": "token", "delay": 60, "count": 1})
    processes.append(asking(world, 1))
    process = processes[0]
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    world.wait_for_refresh()
    process.kill()
    process.wait(10)
    world.no_faults()
    wait_until(lambda: refreshed(world), what="Intuit's refresh")
    assert world.connection().refresh_sealed == before  # it was never stored

    world.put("Invoice", an_invoice("1"))
    world.lose_leases()  # as it does by itself when the dead process' minute is over
    world.hear("Invoice", "1", "created")
    assert list(world.documents()) == ["1"]
    assert world.connection().state == "connected"


def refreshed(world: World) -> bool:
    """Return whether Intuit has refreshed the company's tokens."""
    grants = world.simulator.simulator.grants._grants
    return any(grant.realm == REALM and grant.refreshed is not None for grant in grants)


@pytest.mark.both_databases("locks work differently")
def test_an_answer_that_was_lost_on_the_way_costs_a_retry_too(world: World) -> None:
    expire(world, hours=2)
    world.put("Invoice", an_invoice("1"))
    world.faults({"kind": "token", "lose": True, "count": 1})
    world.hear("Invoice", "1", "created")
    assert world.documents() == {}
    world.sync()
    assert list(world.documents()) == ["1"]
    assert world.connection().state == "connected"


@pytest.mark.both_databases("locks work differently")
def test_who_refreshed_for_longer_than_the_lease_does_not_cost_the_connection(world: World) -> None:
    """Frozen for a minute: meanwhile another one is refused with the token that was replaced."""
    expire(world, hours=25)
    world.faults({"kind": "token", "delay": 60, "count": 1})
    with ThreadPoolExecutor() as pool:
        late = pool.submit(world.services.access.access_token, world.connection_id)
        world.wait_for_refresh()
        world.lose_leases()
        world.faults({"preset": "invalid_grant", "count": 1})
        with pytest.raises(Disconnected):
            world.services.access.access_token(world.connection_id)
        assert world.connection().state == "disconnected"
        world.no_faults()
        token = late.result()
    connection = world.connection()
    assert (connection.state, connection.problem) == ("connected", None)
    assert connection.disconnected_at is None
    assert world.services.access.access_token(world.connection_id) == token


def test_tokens_are_saved_however_long_the_database_takes_to_start(world: World) -> None:
    """Their predecessor is dead: whoever gave up on them after a moment would lose the company."""
    expire(world, hours=25)
    refuse, accept = REFUSE["sqlite"]
    with world.services.database.write() as session:
        session.execute(text(refuse.format(name="unsaved", step=TOKENS)))
    with ThreadPoolExecutor() as pool, capture_logs() as told:
        asking = pool.submit(world.services.access.access_token, world.connection_id)
        wait_until(lambda: failures_in(told) == 5, what="five attempts")
        with world.services.database.write() as session:
            session.execute(text(accept.format(name="unsaved")))
        token = asking.result()
    assert world.services.access.access_token(world.connection_id) == token
    assert world.connection().state == "connected"


def failures_in(told: Sequence[Any]) -> int:
    """Return how often the tokens could not be saved."""
    return sum(1 for line in told if line["event"] == "token.save_failed")
