"""Rows that are locked while somebody decides about them; SQLite lets in one writer at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.database.tables import (
    Connection,
    Customer,
    Document,
    Finding,
    Invoice,
    Notice,
    Run,
)
from service.domain import FindingKind
from service.operations import actions
from service.store import (
    approvals,
    connections,
    counters,
    customers,
    findings,
    forgetting,
    infactor_outbox,
    invoices,
    judging_queue,
    runs,
)
from service.store.counters import Counted
from tests.databases import is_waited_for
from tests.servers import wait_until
from tests.store.delivery_rows import DeliveryRows

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
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


@pytest.mark.postgresql("a lock of a row is its own")
def test_a_run_that_ends_meanwhile_is_not_claimed(database: Database, connection_id: str) -> None:
    with database.write() as session:
        run_id = runs.create_or_join(session, connection_id, "command", None, AT)
    claimed = meanwhile(
        database,
        lambda session: session.execute(update(Run).values(state="done")),
        lambda session: runs.claim(session, run_id, "simulator", "a worker", AT),
    )
    assert claimed == (None, False)


@pytest.mark.postgresql("a lock of a row is its own")
def test_what_two_count_at_once_is_counted_once(database: Database, connection_id: str) -> None:
    with database.write() as session:
        ended = {"status": "done", "reason": "created", "handled_at": AT}
        session.add(Notice(format="own", connection_id=connection_id, received_at=AT, **ended))
    meanwhile(
        database,
        lambda session: counters.count_up(session, LATER),
        lambda session: counters.count_up(session, LATER),
    )
    with database.read() as session:
        totals = counters.totals(session, Counted.NOTICES_ENDED)
    assert totals == {("done", "created"): 1}


@pytest.mark.postgresql("a lock of a row is its own")
def test_a_replay_locks_the_company_before_its_notices(
    database: Database, connection_id: str
) -> None:
    with database.write() as session:
        ended = {"status": "failed", "handled_at": AT}
        session.add(Notice(format="own", connection_id=connection_id, received_at=AT, **ended))
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            connections.lock(session, connection_id)
            replay = pool.submit(actions.replay, database, [connection_id], "operator", {})
            wait_until(lambda: is_waited_for(database), what="the replay to wait")
            session.execute(update(Notice).values(attempts=9))
        assert replay.result() == (1, {connection_id})


def a_customer_row(session: Session, connection_id: str) -> Customer:
    row = Customer(
        connection_id=connection_id,
        quickbooks_id="7",
        sync_token=1,
        last_updated=AT,
        fetch_number=1,
        source={},
        read_at=AT,
    )
    session.add(row)
    return row


# What each reads of the only row under a lock, before and after it was changed by somebody else.
LOCKED: dict[str, tuple[Callable[[Session], object], Callable[[Session], object], object]] = {
    "versions of invoices": (
        lambda session: session.execute(update(Invoice).values(digest="theirs")),
        lambda session: [v.digest for v in invoices.lock_versions(session, ["qbk-c1-1"]).values()],
        ["theirs"],
    ),
    "invoices of a company": (
        lambda session: (
            connections.lock(session, "c1"),
            session.execute(update(Invoice).values(revision=2)),
        ),
        lambda session: [
            i.revision for i in infactor_outbox.lock_invoices(session, "c1", ["qbk-c1-1"]).values()
        ],
        [2],
    ),
    "documents": (
        lambda session: session.execute(update(Document).values(document={"state": "theirs"})),
        lambda session: [d.document for d in invoices.documents(session, ["qbk-c1-1"]).values()],
        [{"state": "theirs"}],
    ),
    "customers": (
        lambda session: session.execute(update(Customer).values(sync_token=2)),
        lambda session: [
            c.sync_token for c in customers.load(session, "c1", ["7"], lock=True).values()
        ],
        [2],
    ),
    "findings": (
        lambda session: session.execute(update(Finding).values(closed_at=AT)),
        # Nothing is found any more: the finding that has ended meanwhile does not end again.
        lambda session: (
            findings.keep(session, "c1", {FindingKind.CHANGED: {"qbk-c1-1": []}}, LATER),
            session.scalars(select(Finding.closed_at)).all(),
        )[1],
        [AT],
    ),
}


@pytest.mark.postgresql("a lock of a row is its own")
@pytest.mark.parametrize("what", LOCKED)
def test_who_locks_rows_reads_what_is_committed_meanwhile(
    database: Database, connection_id: str, what: str
) -> None:
    rows = DeliveryRows(database, connection_id)
    rows.invoice()
    rows.document()
    rows.finding("1", "critical")
    with database.write() as session:
        a_customer_row(session, connection_id)
    change, read, expected = LOCKED[what]
    assert meanwhile(database, change, read) == expected


@pytest.mark.postgresql("a lock of a row is its own")
def test_who_answers_and_who_asks_again_lock_in_one_order(
    database: Database, connection_id: str
) -> None:
    """Else each waits for what the other holds, and one of them fails."""
    DeliveryRows(database, connection_id).invoice("1")
    DeliveryRows(database, connection_id).invoice("2")
    first, second = "qbk-c1-1", "qbk-c1-2"
    # Rows are found in the order in which they were written: not the one that is meant.
    for id_ in (second, first):
        with database.write() as session:
            judging_queue.ask(session, connection_id, [id_])
    answer = partial(judging_queue.answered, connection_id=connection_id, ids=[first, second])
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            judging_queue.ask(session, connection_id, [first])
            answering = pool.submit(in_a_transaction, database, answer)
            wait_until(lambda: is_waited_for(database), what="a lock to wait for")
            judging_queue.ask(session, connection_id, [second])
        answering.result()
    with database.read() as session:
        assert judging_queue.asked(session, connection_id, 10) == []
