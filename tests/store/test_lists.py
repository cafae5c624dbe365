"""What operators list of very many rows is found through an index, on either database."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.queries import invoice_totals, invoices, notices, runs
from service.queries.api_lists import InvoiceFilter, invoice_lines
from service.queries.invoice_totals import Portion
from service.store import audit, connections
from tests.builders import a_connection
from tests.databases import empty_as_new, plan_of, statements
from tests.store.delivery_rows import DeliveryRows

NEWEST = "runs_pkey"  # which SQLite does not name
ASKED: dict[str, tuple[Callable[[Session], Any], str]] = {
    "the newest runs": (
        lambda session: runs.page(session, "simulator", before=9, limit=5),
        NEWEST,
    ),
    "runs of a kind": (
        lambda session: runs.page(session, "simulator", kind="backfill", before=9, limit=5),
        "ix_runs_kind",
    ),
    "runs that failed": (
        lambda session: runs.page(session, "simulator", state="failed", limit=5),
        "ix_runs_error",
    ),
    "a person's actions": (
        lambda session: audit.newest(session, 9, 5, actor="ops:ada"),
        "ix_audit_actor",
    ),
    "one kind of action": (
        lambda session: audit.newest(session, 9, 5, action="pause"),
        "ix_audit_action",
    ),
    "a company's actions": (
        lambda session: audit.newest(session, 9, 5, connection_id="c1"),
        "ix_audit_connection",
    ),
    "everyone who acted": (audit.actors, "ix_audit_actor"),
    "everything done": (audit.actions, "ix_audit_action"),
    "failed notices": (
        lambda session: notices.found(session, "simulator", statuses=["failed"], limit=5),
        "ix_notices_failed",
    ),
    "ignored notices": (
        lambda session: notices.found(session, "simulator", statuses=["ignored"], limit=5),
        "ix_notices_ignored",
    ),
    "attempts at a notice": (
        lambda session: notices.failed_attempts(session, 9, 5),
        "ix_notice_attempts_notice",
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_an_index_leads_to_what_is_listed(database: Database, what: str) -> None:
    ask, index = ASKED[what]
    empty_as_new(database)
    with database.read() as session, statements(database) as asked:
        ask(session)
    statement = next(one for one in asked if one.startswith(("SELECT", "WITH")))
    plan = " ".join(plan_of(database, statement, statement.parameters))
    assert index in plan or (index == NEWEST and database.is_sqlite)
    # Of a few rows the order may be made.
    sorts = "Sort" in plan or "TEMP B-TREE" in plan
    assert not sorts or index == "ix_notices_failed"


def test_a_supplier_may_have_more_companies_than_sqlite_takes_parts(
    sqlite_database: Database,
) -> None:
    at = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
    companies = tuple(f"c{n:03}" for n in range(501))
    with sqlite_database.write() as session:
        supplier_id = connections.upsert_supplier(session, "s@example.com", "S", "", at)
        session.add_all(a_connection(one, supplier_id, at) for one in companies)
    for company in ("c000", "c500"):
        DeliveryRows(sqlite_database, company).invoice()
    wanted = invoices.Wanted(connection_ids=companies, supplier_id=supplier_id)
    every = InvoiceFilter(supplier_id=supplier_id)
    with sqlite_database.read() as session:
        page = invoices.page(session, wanted, 10)
        total = invoices.count(session, wanted)
        lines = invoice_lines(session, "simulator", every, after=None, limit=10)
    assert {invoice.id for invoice, _ in page.found} == {"qbk-c000-1", "qbk-c500-1"}
    assert total == 2
    assert [line.invoice.id for line in lines] == ["qbk-c000-1", "qbk-c500-1"]


def test_sums_beyond_sqlites_whole_numbers_are_shown(sqlite_database: Database) -> None:
    at = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
    with sqlite_database.write() as session:
        supplier_id = connections.upsert_supplier(session, "s@example.com", "S", "", at)
        session.add(a_connection("c1", supplier_id, at))
    rows = DeliveryRows(sqlite_database, "c1")
    for quickbooks_id, total in (("1", "5000000000000"), ("2", "5000000000000"), ("3", "-1.05")):
        currency = "CAD" if quickbooks_id == "3" else "USD"
        given = {"total": Decimal(total), "balance": Decimal(1), "hold": "x"}
        rows.invoice(quickbooks_id, currency=currency, **given)
    with sqlite_database.read() as session:
        totals = invoice_totals.of_companies(session, ["c1"], supplier_id)["c1"]
    assert {one.currency: one.amount for one in totals[Portion.OUTSIDE]} == {
        "USD": Decimal("10000000000000"),
        "CAD": Decimal("-1.05"),
    }
