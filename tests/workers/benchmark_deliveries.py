"""10,000 recorded invoices delivered into Infactor's own database, against plain `bulk_write`.

`python -m tests.workers.benchmark_deliveries [--invoices N] [--postgresql]` starts servers of its
own and prints both, and their ratio, several times over in one run: of the time, and of the CPU
that this process and the servers took together, which other work on the machine disturbs less.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from dramatiq.brokers.stub import StubBroker
from pymongo import InsertOne, MongoClient, WriteConcern
from sqlalchemy import delete, func, select, update

from service.config.loading import settings_from
from service.database.schema import migrate
from service.database.tables import DeliveryState, Document, Invoice, Receipt
from service.infactor.mapping import SupplierDetails, invoice_id, map_invoice
from service.infactor.mongo import to_bson
from service.kit import logs
from service.kit.clock import now
from service.kit.memory import spare_the_collector
from service.services import Services, build_services
from service.store import connections, infactor_outbox, invoices
from service.store.invoices import InvoiceRow
from tests.builders import a_connection
from tests.databases import an_own_database
from tests.processes import cpu_of_all
from tests.servers import mongodb_server
from tests.workers.world import REALM, environment
from workers.delivery.deliver import deliver_company

_ROUNDS = 3
_BULK = 1000
_AT = datetime(2026, 11, 20, tzinfo=UTC)
_CONNECTION = "c" * 32


def main() -> None:
    """Print how long both take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=10_000)
    parser.add_argument("--postgresql", action="store_true", help="instead of a SQLite file")
    options = parser.parse_args()
    logs.configure("WARNING", "json")
    spare_the_collector()
    with mongodb_server() as mongodb, an_own_database(options.postgresql) as database:
        services = _services(database, mongodb)
        rows = [_row(number) for number in range(options.invoices)]
        _record(services, rows)
        _compare(services, MongoClient(mongodb), rows)
        services.close()


def _compare(
    services: Services, client: MongoClient[dict[str, Any]], rows: list[InvoiceRow]
) -> None:
    documents = [{**to_bson(row.mapped), "_id": row.id, "qbkRevision": 1} for row in rows]
    durable = WriteConcern(w="majority", j=True)
    plain = client["plain"]["invoices"].with_options(write_concern=durable)
    created, again, bulk = [], [], []
    for _ in range(_ROUNDS):
        client.drop_database("plain")
        client.drop_database("ifactor")
        bulk.append(_timed(lambda: _plain(plain, documents)))
        _forget_deliveries(services, 0)
        created.append(_timed(lambda: _deliver(services)))
        assert client["ifactor"]["invoices"].count_documents({}) == len(rows)
        _forget_deliveries(services, 1)
        again.append(_timed(lambda: _deliver(services)))
    bases = [statistics.median(one) for one in zip(*bulk, strict=True)]
    print(f"{len(rows):,} invoices, median of {_ROUNDS} rounds")
    for name, times in (
        ("plain bulk_write, 1,000 at once", bulk),
        ("delivered: created", created),
        ("delivered again: nothing to write", again),
    ):
        clock, cpu, own = (statistics.median(one) for one in zip(*times, strict=True))
        print(
            f"  {name:<36}{clock:7.2f} s {clock / bases[0]:5.1f} times"
            f"   CPU {cpu / len(rows) * 1e6:5.0f} µs each {cpu / bases[1]:5.1f} times"
            f"   of this process {own / len(rows) * 1e6:5.0f} µs {own / bases[2]:5.1f} times"
        )


def _plain(collection: Any, documents: list[dict[str, Any]]) -> None:
    for start in range(0, len(documents), _BULK):
        part = documents[start : start + _BULK]
        collection.bulk_write([InsertOne(document) for document in part], ordered=False)


def _deliver(services: Services) -> None:
    """Deliver all: a company that has more than a turn's worth gets another turn."""
    with services.database.read() as session:
        waiting = infactor_outbox.due(session, _CONNECTION, now(), 1)
    while waiting:
        deliver_company(services, _CONNECTION)
        with services.database.read() as session:
            waiting = infactor_outbox.due(session, _CONNECTION, now(), 1)


def _timed(work: Callable[[], object]) -> tuple[float, float, float]:
    """Return the seconds that the work takes: of the clock, of CPU, and of CPU of this process."""
    begun, used, own = time.perf_counter(), cpu_of_all(os.getpid()), time.process_time()
    work()
    own = time.process_time() - own
    return time.perf_counter() - begun, cpu_of_all(os.getpid()) - used, own


def _forget_deliveries(services: Services, revision: int) -> None:
    """Let nothing be delivered yet; with a `revision`, let the documents be there already."""
    with services.database.write() as session:
        session.execute(delete(Receipt))
        if not revision:
            session.execute(delete(Document))
        session.execute(update(DeliveryState).values(delivered_revision=0))
        assert session.scalar(select(func.count()).select_from(Invoice))


def _services(database: str, mongodb: str) -> Services:
    more = {"INFACTOR_MONGODB_URL": mongodb, "INFACTOR_MONGODB_DATABASE": "ifactor"}
    services = build_services(
        settings_from(environment("http://127.0.0.1:1", database, **more)), StubBroker()
    )
    migrate(services.database)
    return services


def _record(services: Services, rows: list[InvoiceRow]) -> None:
    with services.database.write() as session:
        supplier = connections.upsert_supplier(session, "supplier@example.com", "S", "", _AT)
        session.add(a_connection(_CONNECTION, supplier, _AT))
        session.flush()
        invoices.upsert_if_newer(session, rows)


def _row(number: int) -> InvoiceRow:
    """Return an invoice of five lines."""
    quickbooks_id = str(number + 1)
    line = {
        "DetailType": "SalesItemLineDetail",
        "Amount": Decimal("19.98"),
        "Description": "WithdrawalLimit disc, vented, front",
        "SalesItemLineDetail": {"Qty": Decimal(2), "UnitPrice": Decimal("9.99")},
    }
    raw = {
        "Id": quickbooks_id,
        "SyncToken": "0",
        "DocNumber": str(1000 + number),
        "DueDate": "2026-12-20",
        "TotalAmt": Decimal("99.90"),
        "MetaData": {"CreateTime": "2026-11-20T08:00:00-08:00"},
        "CustomerRef": {"value": "7", "name": "Buyer Seven"},
        "BillEmail": {"Address": "buyer@example.com"},
        "Line": [{**line, "Id": str(i)} for i in range(5)],
    }
    key = invoice_id(REALM, quickbooks_id)
    mapped = map_invoice(raw, [], SupplierDetails("supplier@example.com", "S", ""), key)
    return InvoiceRow(
        id=key,
        connection_id=_CONNECTION,
        quickbooks_id=quickbooks_id,
        sync_token=0,
        last_updated=_AT,
        fetch_number=1,
        deleted=False,
        void_noticed=False,
        source=raw,
        mapped=mapped.document,
        hold=None,
        warnings=[],
        customer_id="7",
        customer_versions="7:0",
        doc_number=str(1000 + number),
        total=mapped.total,
        balance=mapped.balance,
        currency=None,
        created_ms=mapped.document["created"],
        revision=1,
        recorded_at=_AT,
        buyer_emails=["buyer@example.com"],
    )


if __name__ == "__main__":
    main()
