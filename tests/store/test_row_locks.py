"""Rows that are locked while somebody decides about them; SQLite lets in one writer at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.database.tables import Connection, Document, Finding, Run
from service.store import approvals, connections, findings, forgetting, runs
from tests.servers import wait_until
from tests.store.delivery_rows import DeliveryRows

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
T = TypeVar("T")


def meanwhile(
    database: Database, change: Callable[[Session], object], work: Callable[[Session], T]
) -> T:
    """Return what `work` does that begins before `change` is committed, and has to wait for it."""
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            change(session)
            session.flush()
            working = pool.submit(in_a_transaction, database, work)
            wait_until(lambda: working.done() or is_waited_for(database), what="a lock to wait for")
        return working.result()


def in_a_transaction(database: Database, work: Callable[[Session], T]) -> T:
    with database.write() as session:
        return work(session)


def is_waited_for(database: Database) -> bool:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with database.read() as session:
        return bool(session.scalar(query))


@pytest.mark.postgresql("a lock of a row is its own")
def test_a_finding_that_ends_meanwhile_is_not_acknowledged(
    database: Database, connection_id: str
) -> None:
    rows = DeliveryRows(database, connection_id)
    rows.invoice()
    rows.finding("1", "critical")
    acknowledged = meanwhile(
        database,
        lambda session: session.execute(update(Finding).values(closed_at=AT)),
        lambda session: findings.acknowledge(session, 1, "simulator", "called", AT),
    )
    assert acknowledged is None


@pytest.mark.postgresql("a lock of a row is its own")
def test_a_run_that_ends_meanwhile_is_seen_to_have_ended(
    database: Database, connection_id: str
) -> None:
    with database.write() as session:
        run_id = runs.create_or_join(session, connection_id, "command", None, AT)

    def state(session: Session) -> str:
        run = approvals.lock(session, run_id)
        assert run is not None
        return run.state

    ends = update(Run).values(state="done")
    assert meanwhile(database, lambda session: session.execute(ends), state) == "done"


@pytest.mark.postgresql("a lock of a row is its own")
def test_an_invoice_that_is_approved_meanwhile_is_not_forgotten(
    database: Database, connection_id: str
) -> None:
    rows = DeliveryRows(database, connection_id)
    invoice_id = rows.invoice()
    rows.document()
    with database.write() as session:
        session.execute(update(Connection).values(state="disconnected"))
    forgotten = meanwhile(
        database,
        lambda session: session.execute(update(Document).values(state="invoice_accepted")),
        lambda session: forgetting.forget_company(session, connection_id),
    )
    assert (forgotten.documents, forgotten.receipts) == (0, {"invoice_accepted": 1})
    with database.read() as session:
        assert session.scalars(select(Document.invoice_id)).all() == [invoice_id]


@pytest.mark.postgresql("a lock of a row is its own")
@pytest.mark.parametrize("lock", ["company", "supplier"])
def test_who_locks_a_company_or_a_supplier_lets_others_wait(
    database: Database, connection_id: str, lock: str
) -> None:
    with database.read() as session:
        supplier_id = session.scalars(select(Connection.supplier_id)).one()
    ended: list[str] = []

    def locked(session: Session) -> list[str]:
        if lock == "company":
            connections.lock(session, connection_id)
        else:
            connections.lock_supplier(session, supplier_id)
        return [*ended]

    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            locked(session)
            waiting = pool.submit(in_a_transaction, database, locked)
            wait_until(lambda: waiting.done() or is_waited_for(database), what="the other one")
            ended.append("the first")
        assert waiting.result() == ["the first"]
