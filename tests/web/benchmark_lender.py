"""What operators and lenders ask of a million invoices: searches, the ledger, other rules, chains.

Not a test: `python -m tests.web.benchmark_lender [--postgresql] [--invoices N] [--explain]` fills a
database by SQL: invoices of 200 companies with 50 buyers each, and one revision of each invoice in
its company's chain. It prints CPU of the process that answers, CPU of PostgreSQL, and the clock; of
a command also the most memory that it had, its start included. `--explain` adds the plans of what
pages ask.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import text

from service.config.loading import settings_from
from service.database.engine import Database
from service.database.schema import migrate
from service.database.tables import Invoice, Revision
from service.infactor.rules.facts import InvoiceFacts, encoded
from service.kit import exact_json, logs
from service.kit.clock import now
from service.kit.hash_chain import FIRST, digest_of, link_after
from service.kit.memory import spare_the_collector
from service.services import Services, build_services
from service.store import connections, sessions
from tests import processes
from tests.builders import a_connection
from tests.copies import ADD_DELIVERY_STATES, analyze, copy_row, without_indexes
from tests.costs import Cost, Meter
from tests.databases import an_own_database, statements
from tests.web.benchmark_pages import Measured, asked, running
from tests.web.ops.operators import entry
from tests.workers.world import environment

COMPANIES, BUYERS = 200, 50
_ROUNDS = 3
_NOTE = "x" * 500  # as long as a document without its lines
_HASHED = "((n * 2654435761) % 4294967296)"  # of no order that an index has
_BUYER = f"((n / {COMPANIES}) % {BUYERS})"
_TOTAL, _BALANCE = "(1 + n % 9973)", "CASE WHEN n % 3 = 0 THEN 0 ELSE 1 + n % 9973 END"
_DUE = "'2026-' || (10 + n % 3) || '-' || (10 + n % 19)"


def main() -> None:
    """Print what each costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=1_000_000)
    parser.add_argument("--postgresql", action="store_true", help="instead of a SQLite file")
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--pages", action="store_true", help="and no commands")
    parser.add_argument("--commands", action="store_true", help="and no pages")
    options = parser.parse_args()
    logs.configure("ERROR", "console")
    spare_the_collector()
    with ExitStack() as stack:
        url = stack.enter_context(an_own_database(options.postgresql))
        values = environment("http://127.0.0.1:9", url, OPS_USERS=entry("ada"))
        services = build_services(settings_from(values), StubBroker())
        stack.callback(services.close)
        migrate(services.database)
        begun = time.monotonic()
        fill(services, options.invoices)
        where = "PostgreSQL" if options.postgresql else "SQLite"
        took = time.monotonic() - begun
        print(f"{options.invoices:,} invoices on {where}, filled in {took:.0f} s", flush=True)
        if not options.commands:
            _pages(services, Meter(url), explain=options.explain)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for arguments in _commands(Path(folder)) if not options.pages else ():
            _command(values, Path(folder), arguments)


def pages(services: Services) -> list[Measured]:
    """Return the pages of the operators that depend on how many invoices there are."""
    (operator,) = services.settings.ops_users
    with services.database.write() as session:
        cookie = sessions.OPERATORS.begin(session, now(), name=operator.name, mark=operator.mark)
    mine = {"infactor_ops": cookie}
    asked_for = {
        "search: a number": "invoices?q=INV-5000",
        "search: an id of QuickBooks'": "invoices?q=5000",
        "search: an id of Infactor's": f"invoices?q={id_of(5000)}",
        "search: a buyer": "invoices?q=buyer+17",
        "search: every buyer": "invoices?q=buyer",
        "search: an amount": "invoices?q=1234.00",
        "search: nothing there": "invoices?q=nobody",
        "search: a company": "invoices?company=c1",
        "ledger": "ledger",
        "ledger, a page far back": "ledger?page=100",
        "ledger of a company": "ledger?company=c1",
        "ledger as CSV": "ledger.csv",
    }
    return [Measured(name, f"/ops/{path}", mine) for name, path in asked_for.items()]


def id_of(number: int) -> str:
    """Return Infactor's id of the invoice with this number."""
    return f"qbk-{(number * 2654435761) % 4294967296:010}-{number}"


def _pages(services: Services, meter: Meter, *, explain: bool) -> None:
    plans = _Plans(services.database)
    with running(services) as client:
        for page in pages(services):
            asked(client, page)  # the statements are built once in a process
            cost = meter.cost(partial(_ask, client, page), time.process_time)
            print(f"  {page.name:<30}{cost.each(_ROUNDS).milliseconds}", flush=True)
            if explain:
                plans.show(partial(asked, client, page))


def _ask(client: Any, page: Measured) -> None:
    for _ in range(_ROUNDS):
        asked(client, page)


class _Plans:
    """Prints how the database runs what is asked of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def show(self, work: Any) -> None:
        with statements(self._database) as sent:
            work()
        explain = "EXPLAIN QUERY PLAN" if self._database.is_sqlite else "EXPLAIN (ANALYZE, BUFFERS)"
        with self._database.engine.connect() as connection:
            for one in sent:
                if not one.startswith("SELECT") or "invoices" not in one:
                    continue
                for row in connection.exec_driver_sql(f"{explain} {one}", one.parameters):
                    print(f"      {row[-1]}")


def _commands(folder: Path) -> Iterator[Sequence[str]]:
    yield ("--version",)
    yield ("ledger", "--json")
    yield ("rules", "--what-if", "overdue=hold:30", "--json")
    yield ("rules", "--what-if", "overdue=hold:30")
    yield ("verify", "--json")
    yield ("verify", "--json", "--export", str(folder / "chains.jsonl"))


def _command(values: dict[str, str], folder: Path, arguments: Sequence[str]) -> None:
    env = {**os.environ, **values, "LOG_LEVEL": "ERROR"}
    meter = Meter(values["DATABASE_URL"], they_end=True)
    used: dict[str, Any] = {}

    def run() -> None:
        with (folder / "out").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", *arguments], env=env, stdout=out, stderr=out
            )
            while process.poll() is None:
                used["cpu"] = processes.cpu_of_all(process.pid) or used.get("cpu", 0.0)
                used["megabytes"] = _peak(process.pid) or used.get("megabytes", 0)
                time.sleep(0.05)
        assert process.returncode == 0, (folder / "out").read_text()[-2000:]

    cost = meter.cost(run)
    cost = Cost(used["cpu"], cost.server, cost.wall)
    lines = sum(1 for _ in (folder / "out").open("rb"))
    name = " ".join(arguments[:4])
    print(f"  {name:<30.30}{cost}   {used['megabytes']} MB   {lines:,} lines", flush=True)


def _peak(pid: int) -> int:
    try:
        return processes.megabytes(pid, peak=True)
    except (FileNotFoundError, StopIteration):
        return 0  # it has just ended


def fill(services: Services, count: int) -> None:
    """Insert the companies, so many invoices, and one revision of each."""
    database = services.database
    with database.write() as session:
        for n in range(COMPANIES):
            email, at = f"s{n}@supplier{n}.test", now()
            supplier = connections.upsert_supplier(session, email, "S", "", at)
            realm = {
                "realm_sealed": services.vault.seal(str(n + 1), f"c{n}:realm"),
                "realm_digest": services.vault.digest(str(n + 1)),
            }
            session.add(a_connection(f"c{n}", supplier, at, **realm))
        session.flush()
    with without_indexes(database, Invoice), database.write() as session:
        session.add(_first())
        session.flush()
        own = _own("sqlite" if database.is_sqlite else "postgresql")
        copy_row(session, Invoice, (1, count - 1), own, where="one.quickbooks_id = '0'")
        session.execute(text(ADD_DELIVERY_STATES))
    with without_indexes(database, Revision):
        _add_revisions(database, count)
    analyze(database)


def _first() -> Invoice:
    return Invoice(
        id=id_of(0),
        connection_id="c0",
        quickbooks_id="0",
        sync_token=0,
        last_updated=now(),
        fetch_number=1,
        source={"Id": "0"},
        mapped={"companyName": "Buyer 0", "payableDate": "2026-10-10"},
        facts=encoded(InvoiceFacts(total=1, balance=0, currency="USD", number="INV-0")),
        doc_number="INV-0",
        customer_id="0",
        total=1,
        balance=0,
        first_total=1,
        currency="USD",
        created_ms=10**12,
        recorded_at=now(),
        warnings=[],
        buyer_emails=[],
        delivery_warnings=[],
        revision=1,
    )


def _own(dialect: str) -> dict[str, str]:
    """Return what each invoice has of its own, as SQL of its number n."""
    wide = "printf('%0{1}d', {0})" if dialect == "sqlite" else "lpad(({0})::text, {1}, '0')"
    millionths = " * 1000000" if dialect == "sqlite" else ""
    line_break = "char(10)" if dialect == "sqlite" else "chr(10)"
    hashed = wide.format(_HASHED, 10)
    buyer, ms = f"' || {_BUYER} || '", "1000000000000 + n"
    facts = {
        "total": f"' || {_TOTAL} || '",
        "balance": f"' || {_BALANCE} || '",
        "currency": "USD",
        "created": "2026-10-01",
        "txn_date": "2026-10-01",
        "due_date": f"' || {_DUE} || '",
        "number": "INV-' || n || '",
        "customer_id": buyer,
        "buyer": f"Buyer {buyer}",
        "emails": [f"ap@buyer{buyer}.test"],
        "top_customer_id": buyer,
    }
    mapped = {
        "companyName": f"Buyer {buyer}",
        "invoiceNo": "INV-' || n || '",
        "invoiceDate": "2026-10-01",
        "note": _NOTE,
    }
    return {
        "id": f"'qbk-' || {hashed} || '-' || n",
        "connection_id": f"'c' || (n % {COMPANIES})",
        "quickbooks_id": "CAST(n AS text)",
        "mapped": f"'{exact_json.encode(mapped).decode()}'",
        "facts": f"'{exact_json.encode(facts).decode()}'",
        "customer_id": f"CAST({_BUYER} AS text)",
        "doc_number": "'INV-' || n",
        "number_key": f"'inv-' || {wide.format('n', 12)}",
        "due_key": _DUE,
        "sought": f"'buyer ' || {_BUYER} || {line_break} || 'inv-' || n",
        **{f"twin_{kind}": f"{_HASHED} * 4096 + n + {at}" for at, kind in enumerate(_KINDS)},
        "total": f"{_TOTAL}{millionths}",
        "first_total": f"{_TOTAL}{millionths}",
        "balance": f"({_BALANCE}){millionths}",
        "created_ms": ms,
    }


_KINDS = ("number", "buyer", "name", "email")


def _add_revisions(database: Database, count: int) -> None:
    """Record each invoice's first revision in the chain of its company."""
    with database.write() as session:
        for company in range(COMPANIES):
            link = FIRST
            rows = []
            for sequence, n in enumerate(range(company, count, COMPANIES), 1):
                entry_ = _entry(n)
                digest = digest_of(entry_)
                link = link_after(link, digest)
                rows.append((id_of(n), f"c{company}", sequence, entry_, digest, link))
            _insert(session, rows)
            session.execute(
                text(
                    "UPDATE connections SET chain_length = :length, chain_link = :link"
                    " WHERE id = :id"
                ),
                {"length": len(rows), "link": link if rows else "", "id": f"c{company}"},
            )


def _entry(n: int) -> str:
    total, due = 1 + n % 9973, f"2026-{10 + n % 3}-{10 + n % 19}"
    return exact_json.encode(
        {
            "invoice": id_of(n),
            "revision": 1,
            "at": "2026-10-01T00:00:00+00:00",
            "cause": "backfill",
            "sync_token": 0,
            "number": f"INV-{n}",
            "customer": str((n // COMPANIES) % BUYERS),
            "total": str(total),
            "balance": "0" if n % 3 == 0 else str(total),
            "currency": "USD",
            "due": due,
            "deleted": False,
            "holds": [],
        }
    ).decode()


_COLUMNS = (
    *("invoice_id", "connection_id", "sequence", "entry", "entry_digest", "link"),
    *("number", "recorded_at", "cause", "sync_token", "customer_versions", "holds", "signals"),
    "changes",
)
_ALIKE = (1, "2026-10-01 00:00:00.000000", "backfill", 0, "", "[]", "[]", "{}")


def _insert(session: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    driver = session.connection().connection.driver_connection
    names = ", ".join(_COLUMNS)
    if isinstance(driver, psycopg.Connection):
        with driver.cursor().copy(f"COPY revisions ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row((*row, *_ALIKE))
        return
    places = ", ".join("?" * len(_COLUMNS))
    driver.executemany(
        f"INSERT INTO revisions ({names}) VALUES ({places})", ((*row, *_ALIKE) for row in rows)
    )


if __name__ == "__main__":
    main()
