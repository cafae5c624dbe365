"""What recording costs: µs of CPU an invoice, beside a program that only keeps the raw answers.

`python -m tests.workers.benchmark_recording [--invoices N] [--postgresql]` reads a company of the
simulator by a backfill twice: when nothing is recorded yet, and when nothing has changed. The
reference reads the same pages, decodes them with msgspec and inserts the raw invoices. Each figure
is the CPU time of the thread that does it, so neither the simulator nor PostgreSQL counts.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import msgspec
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import text

from service.config.loading import settings_from
from service.database.engine import Database
from service.database.schema import migrate
from service.kit import logs
from service.kit.memory import spare_the_collector
from service.quickbooks import queries
from service.services import build_services
from service.simulator.app import RunningSimulator, running
from service.simulator.books.book import Book
from service.simulator.generate.companies import VAST_REALM, with_vast_company
from tests.databases import an_own_database
from tests.workers import world as worlds
from tests.workers.world import World
from workers.runs.run import advance

_ROUNDS = 3


class _Page(msgspec.Struct):
    Invoice: list[msgspec.Raw] = []


class _Answer(msgspec.Struct):
    QueryResponse: _Page


class _Id(msgspec.Struct):
    Id: str


def main() -> None:
    """Print what each costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=10_000)
    parser.add_argument("--postgresql", action="store_true", help="instead of a SQLite file")
    options = parser.parse_args()
    logs.configure("WARNING", "json")
    book = with_vast_company(Book.of({}), options.invoices)
    measured: dict[str, list[float]] = {}
    spare_the_collector()
    with running(worlds.CONFIG, book) as simulator:
        simulator.simulator.switch({"requests_per_second": None})
        for _ in range(_ROUNDS):
            with an_own_database(options.postgresql) as url, _world(simulator, url) as world:
                for name, work in _works(world):
                    measured.setdefault(name, []).append(_cpu(work) / options.invoices * 1e6)
    base = statistics.median(measured["reference: raw JSON kept"])
    where = "PostgreSQL" if options.postgresql else "SQLite"
    print(f"{options.invoices:,} invoices on {where}, CPU an invoice, median of {_ROUNDS} rounds")
    for name, costs in measured.items():
        median = statistics.median(costs)
        print(f"  {name:<30}{median:8.0f} µs   {median / base:5.1f} times the reference")


def _works(world: World) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "reference: raw JSON kept", lambda: _reference(world)
    yield "first import", lambda: _backfill(world)
    yield "again, nothing changed", lambda: _backfill(world)


def _backfill(world: World) -> None:
    run_id = world.begin_backfill()
    while advance(world.services, run_id):
        pass
    run = world.run(run_id)
    assert (run.state, run.error) == ("done", None)


def _reference(world: World) -> None:
    """Keep each invoice as it came, in a table of its own."""
    decoder = msgspec.json.Decoder(_Answer)
    database: Database = world.services.database
    with database.write() as session:
        session.execute(text("CREATE TABLE raw (id TEXT PRIMARY KEY, source TEXT)"))
    connection = world.connection()
    token = world.services.access.access_token(connection.id, None)
    url = f"{world.simulator.url}/v3/company/{VAST_REALM}/query"
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    with httpx.Client(timeout=60) as http:
        start, rows = 1, [{}] * queries.PAGE
        while len(rows) == queries.PAGE:
            query = f"SELECT * FROM Invoice STARTPOSITION {start} MAXRESULTS {queries.PAGE}"
            answer = http.get(url, params={"query": query}, headers=headers)
            found = decoder.decode(answer.content).QueryResponse.Invoice
            rows = [{"id": _id_of(raw), "source": bytes(raw).decode()} for raw in found]
            if rows:
                with database.write() as session:
                    session.execute(text("INSERT INTO raw VALUES (:id, :source)"), rows)
            start += len(rows)


def _id_of(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=_Id).Id


def _cpu(work: Callable[[], object]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


@contextmanager
def _world(simulator: RunningSimulator, url: str) -> Iterator[World]:
    settings = settings_from(worlds.environment(simulator.url, url))
    services = build_services(settings, StubBroker(), call_interval=0.0)
    migrate(services.database)
    with httpx.Client(timeout=60) as http:
        made = World(services, simulator, None, http, url)  # type: ignore[arg-type]
        made.connect(VAST_REALM)
        yield made
    services.close()


if __name__ == "__main__":
    main()
