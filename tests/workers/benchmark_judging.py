"""What judging a whole company costs at midnight, beside reading the same rows.

`python -m tests.workers.benchmark_judging [--invoices N] [--proof] [--postgresql]` records a
company of the simulator, and judges all of it by the lender's rules, on a day on which nothing
changes. With `--proof` also as nothing proves the company any more, and as something does again:
then each invoice is written. The reference reads the same columns of the same rows page by page.
CPU of the one thread that judges, and of PostgreSQL's server; the simulator's does not count.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import text, update

from service.config.loading import settings_from
from service.database.schema import migrate
from service.database.tables import Connection
from service.domain import State
from service.kit import logs
from service.kit.clock import now
from service.services import build_services
from service.simulator.app import RunningSimulator, running
from service.simulator.books.book import Book
from service.simulator.generate.companies import VAST_REALM, with_vast_company
from service.store import judging_queue
from tests.costs import Cost, Meter, median
from tests.databases import an_own_database
from tests.workers import world as worlds
from tests.workers.world import World
from workers.rejudging import judge_company
from workers.runs.run import advance

# As where invoices are delivered into Infactor's own database; judging does not ask that one.
_INFACTOR = {"INFACTOR_MONGODB_URL": "mongodb://127.0.0.1:1", "INFACTOR_MONGODB_DATABASE": "unused"}
_OFFER = """INSERT INTO documents
    (invoice_id, connection_id, supplier_id, state, document, revision, written_at, seen_at)
    SELECT invoices.id, connection_id, connections.supplier_id, :state, mapped, 1, :at, :at
    FROM invoices JOIN connections ON connections.id = connection_id WHERE hold IS NULL"""
_PAGE = 1_000


def main() -> None:
    """Print what each costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--proof", action="store_true", help="also as it is lost and found")
    parser.add_argument("--postgresql", action="store_true", help="instead of a SQLite file")
    options = parser.parse_args()
    logs.configure("ERROR", "json")
    book = with_vast_company(Book.of({}), options.invoices)
    measured: dict[str, list[Cost]] = {}
    with running(worlds.CONFIG, book) as simulator:
        simulator.simulator.switch({"requests_per_second": None})
        with an_own_database(options.postgresql) as url, _world(simulator, url) as world:
            _record(world)
            meter = Meter(url)
            for _ in range(options.rounds):
                for name, work in _works(world, proof=options.proof):
                    measured.setdefault(name, []).append(meter.cost(work))
    where = "PostgreSQL" if options.postgresql else "SQLite"
    print(f"{options.invoices:,} invoices on {where}, median of {options.rounds} rounds")
    base = median(measured["reference: the rows read"])
    for name, costs in measured.items():
        cost = median(costs)
        times = (cost.own + cost.server) / (base.own + base.server)
        print(f"  {name:<32}{cost}   {times:5.1f} times the reference")


def _works(world: World, *, proof: bool) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "reference: the rows read", lambda: _reference(world)
    _set(world, judged_by="", proved_at=now())
    _judge(world)
    _set(world, judged_by="another day")
    yield "midnight, nothing changes", lambda: _judge(world)
    if not proof:
        return
    _set(world, proved_at=None)
    yield "the proof is lost", lambda: _judge(world)
    _set(world, proved_at=now())
    yield "the proof is found", lambda: _judge(world)


def _judge(world: World) -> None:
    judge_company(world.services, world.connection_id, seconds=math.inf)
    connection = world.connection()
    assert connection.judged_by.endswith("proved" if connection.proved_at else "unproven")


def _reference(world: World) -> None:
    after = ""
    while True:
        with world.services.database.read() as session:
            page = judging_queue.page(session, world.connection_id, after, _PAGE)
        if not page:
            return
        after = page[-1].quickbooks_id


def _set(world: World, **values: object) -> None:
    with world.services.database.write() as session:
        session.execute(update(Connection).values(**values))


def _record(world: World) -> None:
    run_id = world.begin_backfill()
    while advance(world.services, run_id):
        pass
    assert world.run(run_id).state == "done"
    with world.services.database.write() as session:
        session.execute(text(_OFFER), {"state": State.INVOICE_CREATED, "at": now()})


@contextmanager
def _world(simulator: RunningSimulator, url: str) -> Iterator[World]:
    values = worlds.environment(simulator.url, url, INFACTOR_PROFILE="lender", **_INFACTOR)
    settings = settings_from(values)
    services = build_services(settings, StubBroker(), call_interval=0.0)
    migrate(services.database)
    with httpx.Client(timeout=60) as http:
        made = World(services, simulator, None, http, url)  # type: ignore[arg-type]
        made.connect(VAST_REALM)
        yield made
    services.close()


if __name__ == "__main__":
    main()
