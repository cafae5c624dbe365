"""An import of very many generated invoices end to end, by processes of its own.

Not a test: `python -m tests.journey.benchmark_scale [--invoices N] [--companies C] [--workers W]
[--mongodb] [--reconcile]` starts PostgreSQL, Redis, a simulator of QuickBooks, a receiver and
workers; connects each company as its supplier would; and prints each tenth of the import: time,
CPU of workers and of PostgreSQL, and the workers' peak memory. `--reconcile` then compares every
invoice with QuickBooks, and prints the same. On a machine that does other work, compare CPU.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from pymongo import MongoClient

from service.infactor.users import SUPPLIER, VERIFIED
from service.kit import logs
from tests import processes
from tests.journey.books import realm
from tests.journey.deployment import Deployment, deployed
from tests.servers import mongodb_server, postgres, redis_server, wait_until

_ROOT = Path(__file__).parents[2]
_TENTHS = 10


def main() -> None:
    """Print what an import takes, and a reconcile over it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=100_000, help="of all companies together")
    parser.add_argument("--companies", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--mongodb", action="store_true", help="deliver into a MongoDB as well")
    parser.add_argument("--reconcile", action="store_true", help="compare everything afterwards")
    options = parser.parse_args()
    logs.configure("ERROR", "json")
    each = options.invoices // options.companies
    with ExitStack() as stack:
        url = stack.enter_context(postgres(durable=True))
        settings = {"LOG_LEVEL": "INFO", "QUICKBOOKS_READS_PER_MONTH": "100000000"}
        if options.mongodb:
            mongodb = stack.enter_context(mongodb_server())
            settings |= {"INFACTOR_MONGODB_URL": mongodb, "INFACTOR_MONGODB_DATABASE": "ifactor"}
            _register(mongodb, options.companies)
        made = stack.enter_context(
            deployed(
                Path(stack.enter_context(tempfile.TemporaryDirectory())),
                _book(options.companies, each),
                url,
                redis_url=stack.enter_context(redis_server()),
                settings=settings,
            )
        )
        # Before any worker runs, so that nothing is imported while others still connect.
        for number in range(options.companies):
            made.connect(realm(number), _email(number))
        measure = stack.enter_context(_measuring(made, url, options.workers))
        _import(measure, options.companies, each, delivers=options.mongodb)
        if options.reconcile:
            _reconcile(measure, made)


def _register(mongodb: str, suppliers: int) -> None:
    """Let Infactor have an account of each supplier."""
    with MongoClient[dict[str, Any]](mongodb) as client:
        client["ifactor"]["users"].insert_many(
            {"email": _email(number), "type": SUPPLIER, "accountStatus": VERIFIED}
            for number in range(suppliers)
        )


def _email(number: int) -> str:
    return f"supplier{number}@example.com"


def _book(companies: int, invoices: int) -> dict[str, dict[str, object]]:
    return {
        realm(number): {
            "CompanyInfo": {"CompanyName": f"Company {number}", "Country": "US"},
            "Generated": {"Invoice": invoices},
        }
        for number in range(companies)
    }


@dataclass(frozen=True)
class Used:
    """Seconds so far: of the clock, and of CPU."""

    clock: float
    workers: float
    postgresql: float
    simulator: float

    def since(self, then: "Used") -> str:
        """Return what was used since then, as text."""
        return (
            f"{self.clock - then.clock:8.1f} s   CPU: workers {self.workers - then.workers:7.1f} s"
            f"   PostgreSQL {self.postgresql - then.postgresql:7.1f} s"
            f"   simulator {self.simulator - then.simulator:6.1f} s"
        )


@dataclass(frozen=True)
class Measure:
    """Looks at the processes and at the database from outside."""

    database: psycopg.Connection
    workers: list[subprocess.Popen[bytes]]
    postmaster: int

    def used(self) -> Used:
        """Return what was used so far."""
        times = os.times()
        return Used(
            clock=time.monotonic(),
            workers=sum(processes.cpu(worker.pid) for worker in self.workers),
            postgresql=processes.cpu_of_all(self.postmaster),
            simulator=times.user + times.system,
        )

    def peaks(self) -> str:
        """Return the most memory that each worker has had."""
        return ", ".join(
            f"{processes.megabytes(worker.pid, peak=True)} MB" for worker in self.workers
        )

    def shares(self) -> str:
        """Return the seconds of CPU that each worker has taken, with its start."""
        return ", ".join(f"{processes.cpu(worker.pid):.1f} s" for worker in self.workers)

    def count(self, query: str) -> int:
        """Return the number that a query gives."""
        row = self.database.execute(query).fetchone()
        return int(row[0] or 0) if row else 0


@contextmanager
def _measuring(made: Deployment, url: str, workers: int) -> Iterator[Measure]:
    """Start the workers, as an operator would; each of their own imports."""
    with ExitStack() as stack:
        database = stack.enter_context(psycopg.connect(url, autocommit=True))
        row = database.execute("SELECT pg_backend_pid()").fetchone()
        assert row
        started = []
        for number in range(workers):
            log = stack.enter_context((made.folder / f"worker-{number}.log").open("ab"))
            process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "worker"],
                env={**made.environment, "PYTHONPATH": str(_ROOT)},
                cwd=made.folder,
                stdout=log,
                stderr=log,
            )
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            started.append(process)
        yield Measure(database, started, processes.parent(row[0]))


def _import(measure: Measure, companies: int, each: int, *, delivers: bool) -> None:
    wanted = companies * each
    print(f"{wanted:,} invoices of {companies} companies, {len(measure.workers)} workers")
    begun = last = measure.used()
    for tenth in range(1, _TENTHS + 1):
        goal = wanted * tenth // _TENTHS
        wait_until(lambda goal=goal: measure.count(_RECORDED) >= goal, 36_000, "records", every=0.2)
        used = measure.used()
        print(f"tenth {tenth:2}   {used.since(last)}   peak {measure.peaks()}", flush=True)
        last = used
    print(f"recorded   {last.since(begun)}   CPU of each worker: {measure.shares()}")
    if delivers:
        wait_until(lambda: measure.count(_OUTGOING) == 0, 36_000, "deliveries", every=1)
        used = measure.used()
        print(f"delivered  {used.since(begun)}   peak {measure.peaks()}", flush=True)
    wait_until(lambda: measure.count(_RUNNING) == 0, 3_600, "the end of the runs", every=0.5)


def _reconcile(measure: Measure, made: Deployment) -> None:
    begun = measure.used()
    rows = made.command("reconcile", "--all", "--json", timeout=36_000).splitlines()
    used = measure.used()
    print(f"reconcile  {used.since(begun)}   peak {measure.peaks()}")
    print(rows[0])


_RECORDED = "SELECT sum((tally::json ->> 'read')::bigint) FROM runs WHERE kind = 'backfill'"
_OUTGOING = "SELECT count(*) FROM delivery_states WHERE delivered_revision < revision"
_RUNNING = "SELECT count(*) FROM runs WHERE state = 'active'"


if __name__ == "__main__":
    main()
