"""How long the pages take, with 100,000 invoices of one supplier, 1,000 companies, a million
notices, 90,000 runs and 100,000 lines of the audit.

Not a test: `python -m tests.web.benchmark_pages [rounds]` fills a PostgreSQL of its own by bulk
inserts and prints, for each page, the milliseconds from request to the whole answer, or to its
first byte: CPU of this process and of PostgreSQL together as p50 and p95, and the clock, which on a
busy machine says how busy it is. Everything runs in this process: no network, no pages drawn.
"""

import asyncio
import hashlib
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dramatiq.brokers.stub import StubBroker
from sqlalchemy import text
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message

from service.app import create_app
from service.config.loading import settings_from
from service.config.parsers import Operator
from service.database.engine import Database
from service.database.schema import migrate
from service.infactor.warnings import WarningCode, warning
from service.kit import logs
from service.kit.clock import now
from service.kit.exact_json import decode, encode
from service.kit.memory import spare_the_collector
from service.services import Services, build_services
from service.store import sessions
from service.store.runs import EMPTY_RECONCILE
from service.web.session import SESSION
from tests.copies import ADD_DELIVERY_STATES, analyze
from tests.costs import Cost, Meter
from tests.servers import postgres
from tests.web.ops.operators import entry
from tests.workers.world import environment

INVOICES, CONNECTIONS, NOTICES = 100_000, 1_000, 1_000_000
AIM_MS = 50.0
# As where invoices are delivered into Infactor's own database; no page asks that one.
INFACTOR = {
    "INFACTOR_MONGODB_URL": "mongodb://127.0.0.1:1",
    "INFACTOR_MONGODB_DATABASE": "unused",
}
PAYLOADS = Path(__file__).parents[1] / "payloads"
FILL = [
    """INSERT INTO suppliers (id, email, name, address, created_at)
    SELECT n, 'supplier' || n || '@example.com', 'Supplier ' || n, '', now()
    FROM generate_series(1, :connections) n""",
    """INSERT INTO connections (id, supplier_id, environment, realm_digest, realm_sealed,
      company_name, state, refreshes, connected_at, renewed_at, changes_read_until,
      proved_at, reconciled_until, reconcile_due_at, last_synced_at, fetch_number, failures)
    SELECT 'c' || n, n, 'simulator', 'digest' || n, 'sealed', 'Company ' || n,
      CASE WHEN n % 50 = 7 THEN 'disconnected' ELSE 'connected' END, 0,
      now(), now(), now(), now(), now(), now(), now(), 1, 0
    FROM generate_series(1, :connections) n""",
    """INSERT INTO invoices (id, connection_id, quickbooks_id, sync_token, last_updated,
      fetch_number, deleted, void_noticed, source, mapped, hold, warnings, customer_versions,
      doc_number, number_key, due_key, sought, total, balance, created_ms, revision, recorded_at,
      buyer_emails, delivery_warnings)
    SELECT 'qbk-' || left(md5(n::text), 28), 'c1', n::text, 0, now(), 1, false, false,
      CAST(:source AS text),
      replace(replace(CAST(:mapped AS text), 'NUMBER', n::text), 'BUYER', 'Buyer ' || n % 4000),
      CASE WHEN n % 3 = 0 THEN 'paid' WHEN n % 50 = 1 THEN 'partly_paid' END,
      CASE WHEN n % 500 = 0 THEN :warnings ELSE '[]' END, '', n::text,
      lpad(n::text, 12, '0'), (date '2020-01-01' + n % 3000)::text,
      'buyer ' || n % 4000 || E'\\n' || n, n % 9973,
      CASE WHEN n % 3 = 0 THEN 0 ELSE 1 + n % 7919 END, n * 1000, 1, now(), '[]', '[]'
    FROM generate_series(1, :invoices) n""",
    ADD_DELIVERY_STATES,
    """INSERT INTO documents
      (invoice_id, connection_id, supplier_id, total, currency, revision, written_at, seen_at,
      document, state)
    SELECT id, connection_id, 1, total, 'USD', 1, now(), now(), mapped,
      CASE WHEN quickbooks_id::int % 20 = 1 THEN 'invoice_accepted'
      WHEN quickbooks_id::int % 5000 = 2 THEN 'ifactor_proposed' ELSE 'invoice_created' END
    FROM invoices WHERE hold IS NULL""",
    """INSERT INTO revisions (invoice_id, number, recorded_at, cause, sync_token, last_updated,
      customer_versions, changes, connection_id, sequence, entry, entry_digest, link)
    SELECT id, 1, now(), 'backfill', 0, now(), '', '{}', connection_id, quickbooks_id::int, '{}',
      '', '' FROM invoices""",
    """INSERT INTO notices (dedupe_key, connection_id, format, event_id, entity, operation,
      entity_id, changed_at, received_at, delivery_id, duplicates, status, reason, attempts, losses,
      handled_at, error_class, error_message, intuit_tid)
    SELECT md5(n::text), 'c' || 1 + n % :connections, 'cloudevents', n::text, 'Invoice', 'updated',
      n::text, at, at + interval '1 s', md5('delivery' || n), 0,
      CASE WHEN failed THEN 'failed' ELSE 'done' END,
      CASE WHEN failed THEN 'given up' ELSE 'refreshed' END, 1, 0, at + interval '3 s',
      CASE WHEN failed THEN 'NotReadable' END, CASE WHEN failed THEN 'QuickBooks failed' END,
      CASE WHEN failed THEN 'tid-' || n END
    FROM (SELECT n, n % 5000 = 3 AS failed, now() - n * interval '7 s' AS at
      FROM generate_series(1, :notices) n) made""",
    """INSERT INTO runs (connection_id, kind, cause, state, tally, created_at, finished_at,
      generation, attempts, losses, confirmed)
    SELECT 'c' || n, kind, 'daily', 'done', :tally, now(), now(), 0, 0, 0, false
    FROM generate_series(1, :connections) n, (VALUES ('backfill'), ('reconcile')) kinds (kind)""",
    """INSERT INTO runs (connection_id, kind, cause, state, tally, error, created_at, started_at,
      finished_at, generation, attempts, losses, confirmed)
    SELECT 'c' || 1 + n % :connections, 'reconcile', 'daily', 'done', :tally,
      CASE WHEN n % 500 = 0 THEN '1 invoice differs' END, at, at, at + interval '1 min', 0, 0, 0,
      false FROM (SELECT n, now() - n * interval '86 s' AS at
      FROM generate_series(1, 90000) n) made""",
    """INSERT INTO notice_attempts (notice_id, began_at, ended_at, error_class, error_message)
    SELECT id, received_at, received_at, 'NotReadable', 'QuickBooks failed' FROM notices,
      generate_series(1, 5) WHERE status = 'failed'""",
    """INSERT INTO alerts (cause, subject, severity, text, command, since, raised_at, ended_at,
      sent_at, end_sent_at, accepted_by, attempts)
    SELECT 'run.failing', 'c' || 1 + n % :connections, 'warning', 'It fails', 'status', at, at, at,
      at, at, '', 0 FROM (SELECT n, now() - n * interval '400 s' AS at
      FROM generate_series(1, 20000) n) made""",
    """INSERT INTO audit (at, actor, action, connection_id, details)
    SELECT now() - n * interval '400 s', CASE WHEN n % 1000 = 0 THEN 'ops:ada' ELSE 'cli:root' END,
      CASE WHEN n % 500 = 0 THEN 'pause' ELSE 'sync' END, 'c' || 1 + n % :connections, '{}'
    FROM generate_series(1, 100000) n""",
    """INSERT INTO heartbeats (name, at) SELECT name, extract(epoch FROM now()) + 3600
    FROM (VALUES ('receiver'), ('clock')) kinds (name)""",
    """INSERT INTO samples (slot, lag_p50, lag_p95, pending, oldest_pending, done, failed, ignored)
    SELECT extract(epoch FROM now())::bigint / 300 - n, 1.5, 3, 2, 1, 40, 0, 1
    FROM generate_series(1, 30 * 288) n""",
    """INSERT INTO findings (invoice_id, connection_id, kind, severity, state, fields, found_at,
      changed_at)
    SELECT id, connection_id, 'changed', severity, 'invoice_accepted',
      '[{"field":"balance","severity":"' || severity || '","approved":"1","current":"2"}]',
      now(), now()
    FROM (SELECT id, connection_id, CASE WHEN quickbooks_id::int % 40 = 1 THEN 'critical'
      ELSE 'info' END severity FROM invoices WHERE quickbooks_id::int % 20 = 1) graded""",
]


@dataclass(frozen=True)
class Measured:
    """A page to be asked for, with the cookies of whoever asks; a list can be made longer."""

    name: str
    path: str
    cookies: dict[str, str]
    first_byte: bool = False


def supplier_pages(cookie: str) -> list[Measured]:
    """Return every page of a supplier that depends on how many invoices there are."""
    mine = {SESSION.base: cookie}
    queries = {
        "dashboard": "",
        "search, few match": "?q=buyer+3999",
        "search, a number": "?q=99999",
        "search, all match": "?q=buyer",
        "search, nothing": "?q=nobody",
        "search, sorted by amount": "?q=buyer+1&sort=amount",
        "search in a status": "?q=buyer+1&status=approved",
        **{f"sort by {name}": f"?sort={name}" for name in ("number", "buyer", "amount", "due")},
        "last page": "?last=1",
        "last page by buyer": "?sort=buyer&last=1",
        "a page in the middle": f"?after={invoice_id(INVOICES // 2)}",
        "to fix": "?status=to-fix",
        "to fix, by due date": "?status=to-fix&sort=due",
        "paid or void": "?status=closed",
        "all": "?status=all",
        "not in Infactor": "?status=not-in-infactor",
        "in Infactor": "?status=in-infactor",
        "waiting for the buyer": "?status=waiting",
        "approved": "?status=approved",
        "a rare status": "?status=proposal-received",
        "a rare status by amount": "?status=proposal-received&sort=amount",
        "a status that none has": "?status=completed",
        "rejected": "?status=rejected",
    }
    pages = [Measured(name, f"/quickbook/{query}", mine) for name, query in queries.items()]
    return [
        *pages,
        Measured("attention", "/quickbook/attention", mine),
        Measured("live, something new", "/quickbook/live", mine),
        Measured("invoice", f"/quickbook/invoices/{invoice_id(4)}", mine),
        Measured("connection", "/quickbook/connections/c1", mine),
        Measured("disconnect?", "/quickbook/connections/c1/disconnect", mine),
        Measured("CSV, first byte", "/quickbook/invoices.csv", mine, first_byte=True),
        Measured("CSV of a search", "/quickbook/invoices.csv?q=buyer+1", mine, first_byte=True),
    ]


def operator_pages(cookie: str) -> list[Measured]:
    """Return every page of the operators that depends on how much there is."""
    mine = {"infactor_ops": cookie}
    pages = {
        "ops: overview": "",
        "ops: overview, 30 days": "?range=30d",
        "ops: live": "live",
        "ops: connections": "connections",
        "ops: connections, a search": "connections?q=company+99",
        "ops: connections, ended": "connections?state=disconnected",
        "ops: connections, late": "connections?state=late",
        "ops: connection": "connections/c1",
        "ops: events": "events",
        "ops: events, failed": "events?status=failed",
        "ops: events, ignored": "events?status=ignored",
        "ops: events, a page far back": "events?before=1000",
        "ops: events, an invoice": "events?q=777",
        "ops: events, a company": "events?q=company+99",
        "ops: events, an intuit_tid": "events?q=tid-5003",
        "ops: events, a delivery": f"events?q={hashlib.md5(b'delivery777').hexdigest()}",
        "ops: an event": "events/5003",
        "ops: runs": "runs",
        "ops: runs, imports": "runs?kind=backfill",
        "ops: runs, failed": "runs?state=failed",
        "ops: runs, under way": "runs?state=active",
        "ops: runs, a company": "runs?company=c1",
        "ops: a run": "runs/1",
        "ops: alerts": "alerts",
        "ops: alerts, on": "alerts?state=on",
        "ops: alerts, not sent": "alerts?state=unsent",
        "ops: audit": "audit",
        "ops: audit, a person": "audit?who=ops:ada",
        "ops: audit, an action": "audit?what=pause",
        "ops: audit, a company": "audit?company=c1",
        "ops: findings": "findings",
        "ops: findings, info": "findings?severity=info",
    }
    return [Measured(name, f"/ops/{path}", mine) for name, path in pages.items()]


def main(rounds: int) -> None:
    """Print the table."""
    logs.configure("ERROR", "console")
    spare_the_collector()
    with postgres() as url:
        database = Database(url.replace("postgresql://", "postgresql+psycopg://"))
        values = environment("http://127.0.0.1:1", url, OPS_USERS=entry("ada"), **INFACTOR)
        services = build_services(settings_from(values), StubBroker())
        supplier, operator = _fill(database, services.settings.ops_users[0])
        meter = Meter(url)
        with running(services) as client:
            for page in [*supplier_pages(supplier), *operator_pages(operator)]:
                asked(client, page)  # the statements are built once in a process
                work = partial(asked, client, page)
                _print(page, [meter.cost(work, time.process_time) for _ in range(rounds)])
        database.close()


def invoice_id(number: int) -> str:
    """Return the id of the invoice with this number."""
    return "qbk-" + hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()[:28]


def _fill(database: Database, operator: Operator) -> tuple[str, str]:
    """Fill the database; return two cookies: of who has all the invoices, and of `operator`."""
    migrate(database)
    source = (PAYLOADS / "typical.json").read_text()
    mapped = decode((PAYLOADS / "typical.infactor.json").read_bytes())["document"]
    values = {
        "invoices": INVOICES,
        "connections": CONNECTIONS,
        "notices": NOTICES,
        "tally": encode(EMPTY_RECONCILE).decode(),
        "source": source,
        "warnings": encode([asdict(warning(WarningCode.NO_DUE_DATE))]).decode(),
        "mapped": encode({**mapped, "invoiceNo": "NUMBER", "companyName": "BUYER"}).decode(),
    }
    with database.write() as session:
        for statement in FILL:
            session.execute(text(statement), values)
        supplier = sessions.SUPPLIERS.begin(session, now(), supplier_id=1)
        theirs = sessions.OPERATORS.begin(session, now(), name=operator.name, mark=operator.mark)
    analyze(database)
    return supplier, theirs


@contextmanager
def running(services: Services) -> Iterator[TestClient]:
    """Run the web application in this process."""
    with TestClient(create_app(services), base_url="http://localhost:3000") as client:
        yield client


def asked(client: TestClient, page: Measured) -> None:
    """Ask for the page; it must be there."""
    assert client.portal is not None
    client.portal.call(_ask, client.app, page, dict(client.app_state))


async def _ask(app: ASGIApp, page: Measured, state: dict[str, Any]) -> None:
    path, _, query = page.path.partition("?")
    cookies = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost:3000"), (b"cookie", cookies.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 3000),
        "state": state,
        "app": app,
    }
    status, gone = 0, asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        if page.first_byte and message.get("body", b"").count(b"\n") > 1:
            gone.set()  # and nobody reads the rest

    await app(scope, receive, send)
    assert status == 200, f"{page.name}: {status}"


def _print(page: Measured, costs: Sequence[Cost]) -> None:
    half, most = _quantiles([cost.own + cost.server for cost in costs])
    ours = statistics.median(cost.own for cost in costs) * 1e3
    clock, longest = _quantiles([cost.wall for cost in costs])
    print(
        f"{page.name:30} CPU p50 {half:6.1f} ({ours:5.1f} ours)   p95 {most:6.1f} ms   clock p50"
        f" {clock:6.1f}   p95 {longest:6.1f} ms{'' if most < AIM_MS else '  !'}",
        flush=True,
    )


def _quantiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 95th of a hundred, in milliseconds."""
    last = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    return statistics.median(seconds) * 1e3, last * 1e3


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
