"""What it costs to look for the twins of one more invoice, beside a million recorded ones.

`python -m tests.store.benchmark_twins [--invoices N] [--postgresql]` inserts invoices of many
companies by SQL, and then judges single new ones by the duplicates' rules: such as have no twin,
one, and twenty. The reference is the read of one invoice by its id.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from dramatiq.brokers.stub import StubBroker
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from service.config.loading import settings_from
from service.database.engine import Database
from service.database.schema import migrate
from service.database.tables import Invoice
from service.database.upsert import insert_all
from service.infactor.rules.facts import InvoiceFacts, encoded
from service.infactor.rules.twins import twin_keys
from service.kit.clock import now
from service.services import Services, build_services
from service.store import connections
from tests.builders import a_connection
from tests.copies import analyze, copy_row, without_indexes
from tests.costs import Meter, median
from tests.databases import an_own_database
from tests.workers.world import environment
from workers.recording.judge_batch import Judge

_COMPANIES = 200
_REAL = 200
_KEY = {"sqlite": "random()", "postgresql": "floor((random() - 0.5) * 1.8e19)::bigint"}
_MADE = {
    dialect: {
        **dict.fromkeys(("twin_number", "twin_buyer", "twin_name", "twin_email"), key),
        **dict.fromkeys(("id", "quickbooks_id"), "'qbk-made-' || n"),
        **{"created_ms": "n", "doc_number": "'INV-' || n"},
    }
    for dialect, key in _KEY.items()
}
RULES = {"INFACTOR_PROFILE": "guide", "INFACTOR_RULES": "duplicate=hold,duplicate_elsewhere=hold"}


def main() -> None:
    """Print what each costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=1_000_000)
    parser.add_argument("--postgresql", action="store_true", help="instead of a SQLite file")
    options = parser.parse_args()
    with an_own_database(options.postgresql) as url:
        values = environment("http://127.0.0.1:9", url, **RULES)
        services = build_services(settings_from(values), StubBroker())
        migrate(services.database)
        begun = time.monotonic()
        fill(services.database, options.invoices)
        where = "PostgreSQL" if options.postgresql else "SQLite"
        took = time.monotonic() - begun
        print(f"{options.invoices:,} invoices on {where}, inserted in {took:.0f} s")
        report(services, options.invoices)
        services.close()


def report(services: Services, count: int) -> None:
    """Print the medians of each kind; on a busy machine, the clock says how busy it is."""
    meter = Meter(services.settings.database_url.get_secret_value())
    for name, work in works(services, count):
        with services.database.read() as session:
            work(session, 1)  # the statements are built once in a process
            costs = [meter.cost(partial(work, session, n)) for n in range(1, _REAL)]
        print(f"  {name:<33}{median(costs).milliseconds}")


def works(services: Services, count: int) -> Iterator[tuple[str, Callable[[Session, int], object]]]:
    """Yield each kind of work, on the n-th of the invoices that have twins."""

    def judge(session: Session, known: InvoiceFacts) -> str | None:
        judge = Judge(session, services.settings, company(0), now())
        return judge.judgements({"qbk-new": known})["qbk-new"].hold

    def expect(hold: str | None, found: str | None) -> None:
        assert found == hold, found

    one = select(Invoice.facts).where(Invoice.id == bindparam("id"))
    yield (
        "reference: one by its id",
        lambda session, n: session.execute(one, {"id": f"qbk-{n}"}).scalar_one(),
    )
    yield (
        "without a twin",
        lambda session, n: expect(None, judge(session, facts(n, prefix="new", day=7))),
    )
    yield (
        "a twin of another supplier's",
        lambda session, n: expect("duplicate_elsewhere", judge(session, facts(n, late=True))),
    )
    yield (
        "one of a thousand that are alike",
        lambda session, n: expect("duplicate", judge(session, facts(0, late=True))),
    )


def facts(n: int, *, prefix: str = "INV", day: int = 1, late: bool = False) -> InvoiceFacts:
    """Return the n-th invoice of those that have twins."""
    return InvoiceFacts(
        total=Decimal(100 + n),
        currency="USD",
        txn_date=date(2026, 11, day),
        number=f"{prefix}-{n}",
        buyer=f"Buyer {n}",
        emails=(f"ap@buyer{n}.test",),
        created_ms=10**13 if late else n + 1,
    )


def company(n: int) -> str:
    return f"{n % _COMPANIES:032}"


def fill(database: Database, count: int) -> None:
    """Insert the companies, as many invoices with keys of their own, and some that have twins."""
    at = now()
    with database.write() as session:
        for n in range(_COMPANIES):
            supplier = connections.upsert_supplier(session, f"s{n}@supplier{n}.test", "S", "", at)
            session.add(a_connection(company(n), supplier, at))
        session.flush()
        insert_all(session, Invoice, [row(n, f"qbk-{n}", n + 1) for n in range(_REAL)])
        insert_all(session, Invoice, [row(0, f"qbk-alike-{n}", n) for n in range(1_000)])
    with without_indexes(database, Invoice), database.write() as session:
        own = _MADE[database.engine.dialect.name]
        copy_row(session, Invoice, (1, count), own, where="one.id = 'qbk-0'")
    analyze(database)


def row(n: int, id_: str, created_ms: int) -> dict[str, Any]:
    """Return the columns that a lookup reads, and those that must not be empty."""
    known = facts(n)
    keys = twin_keys(known)
    return {
        "id": id_,
        "connection_id": company(0 if "alike" in id_ else n % (_COMPANIES - 1) + 1),
        "quickbooks_id": id_,
        "sync_token": 0,
        "fetch_number": 1,
        "deleted": False,
        "void_noticed": False,
        "source": {},
        "facts": encoded(known),
        "warnings": [],
        "customer_versions": "",
        "doc_number": known.number,
        "created_ms": created_ms,
        "revision": 1,
        "recorded_at": now(),
        "buyer_emails": list(known.emails),
        "delivery_warnings": [],
        "holds": [],
        "signals": [],
        "twin_number": keys.number,
        "twin_buyer": keys.buyer,
        "twin_name": keys.name,
        "twin_email": keys.email,
    }


if __name__ == "__main__":
    main()
