"""What a burst of webhooks costs: ms of CPU a change, from its delivery to its record.

`python -m tests.workers.benchmark_burst [--companies N] [--invoices N] [--postgresql]` starts the
service by its own commands, imports companies of the simulator, changes all of their invoices, and
sends one webhook for each change. With PostgreSQL that is a receiver and a worker with Redis, else
one process on a SQLite file. Counted is the CPU time of these processes, user and system, from the
first webhook until the last change is recorded.

The reference checks each body's signature, keeps 16 events in one INSERT and transaction, reads the
changed invoices in queries of 500 and keeps them raw; it is no server, so nothing of HTTP's
receiving side is in it.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import Select, func, select, text

from service.config.loading import settings_from
from service.database.engine import Database
from service.database.tables import Connection, Invoice, Notice
from service.domain import NoticeStatus
from service.quickbooks import queries
from service.quickbooks.webhooks import sign, verify
from service.services import build_services
from tests.databases import an_own_database
from tests.journey.books import a_book, realm
from tests.journey.deployment import VERIFIER, Deployment, deployed
from tests.servers import redis_server, wait_until
from tests.workers.world import an_event
from workers.reading.by_id import MAX_IDS

_ROUNDS = 3
_SENDERS = 16
_BATCH = 16  # as many as can arrive while the service commits
_TICKS = os.sysconf("SC_CLK_TCK")


class _Page(msgspec.Struct):
    Invoice: list[msgspec.Raw] = []


class _Answer(msgspec.Struct):
    QueryResponse: _Page


def main() -> None:
    """Print what each costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--companies", type=int, default=20)
    parser.add_argument("--invoices", type=int, default=200)
    parser.add_argument("--postgresql", action="store_true", help="instead of a SQLite file")
    options = parser.parse_args()
    with _deployment(options.companies, options.invoices, options.postgresql) as burst:
        burst.connect()
        for number in range(_ROUNDS):
            burst.change(number)
            burst.deliver()
            burst.refer(number)
        burst.show("PostgreSQL" if options.postgresql else "SQLite")


class _Burst:
    """Companies at work, and what their changes cost."""

    def __init__(
        self, deployment: Deployment, database: Database, companies: int, invoices: int
    ) -> None:
        self._deployment = deployment
        self._database = database
        self._realms = [realm(number) for number in range(companies)]
        self._ids = [str(number) for number in range(1, invoices + 1)]
        self._size = companies * invoices
        self._bodies: list[bytes] = []
        self._service: list[dict[str, float]] = []
        self._reference: list[float] = []
        self._calls: Counter[str] = Counter()

    def connect(self) -> None:
        """Import every company."""
        for number, one in enumerate(self._realms):
            self._deployment.connect(one, f"supplier{number}@example.com")
        imported = select(func.count()).select_from(Invoice)
        wait_until(lambda: self._count(imported) == self._size, 300, "every company is imported")

    def change(self, number: int) -> None:
        """Change every invoice at QuickBooks, without its telling anybody; write the webhooks."""
        simulator = self._deployment.simulator.simulator
        changed = {"PrivateNote": f"burst {number}"}
        for one in self._realms:
            with simulator.lock:
                simulator.change(
                    one, lambda ledger: [ledger.revise("Invoice", i, changed) for i in self._ids]
                )
        events = [
            an_event("Invoice", id_, "updated", intuitaccountid=one)
            for id_ in self._ids
            for one in self._realms
        ]
        self._bodies = [json.dumps([event]).encode() for event in events]

    def deliver(self) -> None:
        """Send the webhooks, wait until all is recorded, and note the CPU time that took."""
        before, done, calls = self._cpu(), self._done(), self._called()
        with ThreadPoolExecutor(_SENDERS) as senders:
            list(senders.map(self._send, range(_SENDERS)))
        wait_until(lambda: self._done() == done + self._size, 300, "every change is recorded")
        self._service.append({name: cpu - before[name] for name, cpu in self._cpu().items()})
        self._calls += self._called() - calls

    def refer(self, number: int) -> None:
        """Do what the reference does, and note the CPU time of this thread."""
        with self._database.write() as session:
            for kind in ("events", "invoices"):
                session.execute(text(f"CREATE TABLE raw_{kind}_{number} (source TEXT)"))
        note = text(f"INSERT INTO raw_events_{number} VALUES (:source)")
        keep = text(f"INSERT INTO raw_invoices_{number} VALUES (:source)")
        tokens = self._tokens()
        began = time.thread_time()
        for start in range(0, self._size, _BATCH):
            bodies = self._bodies[start : start + _BATCH]
            assert all(verify(body, sign(body, VERIFIER), [VERIFIER]) for body in bodies)
            with self._database.write() as session:
                session.execute(note, [{"source": body.decode()} for body in bodies])
        with httpx.Client(timeout=60) as http:
            for one, token in tokens.items():
                for raws in self._read(http, one, token):
                    with self._database.write() as session:
                        session.execute(keep, [{"source": bytes(raw).decode()} for raw in raws])
        self._reference.append(time.thread_time() - began)

    def show(self, where: str) -> None:
        """Print the medians of the rounds."""
        service, base = (
            statistics.median(costs) / self._size * 1e6
            for costs in ([sum(one.values()) for one in self._service], self._reference)
        )
        calls = {kind: count // _ROUNDS for kind, count in sorted(self._calls.items())}
        print(
            f"{len(self._realms)} companies with {len(self._ids)} changed invoices on {where},"
            f" CPU a change, median of {_ROUNDS} rounds"
        )
        print(f"  reference: raw JSON kept      {base:8.0f} µs")
        print(f"  from delivery to record       {service:8.0f} µs   {service / base:5.1f} times")
        for name in self._service[0]:
            own = statistics.median(one[name] for one in self._service) / self._size * 1e6
            print(f"    of it {name:<24}{own:8.0f} µs")
        print(f"  calls of QuickBooks: {calls}")

    def _read(self, http: httpx.Client, one: str, token: str) -> Iterator[list[msgspec.Raw]]:
        decoder = msgspec.json.Decoder(_Answer)
        url = f"{self._deployment.simulator.url}/v3/company/{one}/query"
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        for start in range(0, len(self._ids), MAX_IDS):
            asked = {"query": queries.by_ids("Invoice", self._ids[start : start + MAX_IDS]).text}
            answer = http.get(url, params=asked, headers=headers)
            yield decoder.decode(answer.content).QueryResponse.Invoice

    def _send(self, sender: int) -> None:
        url = f"{self._deployment.receivers[0]}/quickbook/webhook"
        with httpx.Client(timeout=60) as http:
            for body in self._bodies[sender::_SENDERS]:
                signed = {"intuit-signature": sign(body, VERIFIER)}
                assert http.post(url, content=body, headers=signed).status_code == 200

    def _cpu(self) -> dict[str, float]:
        """Return the seconds that each process of the service has computed so far."""
        processes = self._deployment.processes.items()
        return {name: _seconds(process.pid) for name, process in processes}

    def _called(self) -> Counter[str]:
        return Counter(self._deployment.simulator.simulator.calls.summary()["by_kind"])

    def _done(self) -> int:
        return self._count(select(func.count()).where(Notice.status == NoticeStatus.DONE))

    def _count(self, query: Select[tuple[int]]) -> int:
        with self._database.read() as session:
            return session.execute(query).scalar_one()

    def _tokens(self) -> dict[str, str]:
        """Return an access token of each company, by its realm id."""
        services = build_services(settings_from(self._deployment.environment), StubBroker())
        with self._database.read() as session:
            connections = session.scalars(select(Connection)).all()
        access = services.access
        found = {access.realm_id(c): access.access_token(c.id, None) for c in connections}
        services.close()
        return found


def _seconds(pid: int | None) -> float:
    """Return the CPU time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _book(companies: int, invoices: int) -> dict[str, Any]:
    """Return companies with invoices of three lines, of which no two may be the same sale."""
    book = a_book(companies, invoices)
    for company, content in enumerate(book.values()):
        for invoice in content["Invoice"]:
            invoice["Line"] = [_line(number) for number in range(1, 4)]
            invoice["DocNumber"] += f"-{company}"
            invoice["CustomerRef"]["name"] += f" of {company}"
            invoice["Balance"] = invoice["TotalAmt"] = invoice["TotalAmt"] + company / 100
    return book


def _line(number: int) -> dict[str, Any]:
    return {
        "Id": str(number),
        "LineNum": number,
        "Description": f"Cable ducts, {number} m",
        "Amount": 28.6,
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {
            "ItemRef": {"value": str(number), "name": "Cable ducts"},
            "UnitPrice": 7.15,
            "Qty": 4,
            "TaxCodeRef": {"value": "TAX"},
        },
    }


@contextmanager
def _deployment(companies: int, invoices: int, on_postgresql: bool) -> Iterator[_Burst]:
    with ExitStack() as stack:
        url = stack.enter_context(an_own_database(on_postgresql))
        redis = stack.enter_context(redis_server()) if on_postgresql else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        deployment = stack.enter_context(
            deployed(
                folder,
                _book(companies, invoices),
                url,
                redis_url=redis,
                workers=1 if on_postgresql else 0,
                settings={"LOG_LEVEL": "INFO"},
            )
        )
        simulator = deployment.simulator.simulator
        simulator.switch({"requests_per_second": None, "webhooks": "off"})
        database = Database(url)
        stack.callback(database.close)
        yield _Burst(deployment, database, companies, invoices)


if __name__ == "__main__":
    main()
