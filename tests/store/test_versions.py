"""Which version of an invoice may replace which, decided in SQL alone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from service.database.engine import Database
from service.database.tables import Invoice
from service.store import invoices
from service.store.invoices import InvoiceRow

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)


def a_row(connection_id: str = "c1", **fields: Any) -> InvoiceRow:
    """Return version 5 of an invoice, brought by read 10."""
    row = InvoiceRow(
        id="qbk-1",
        connection_id=connection_id,
        quickbooks_id="1",
        sync_token=5,
        last_updated=AT,
        fetch_number=10,
        deleted=False,
        void_noticed=False,
        source={"Id": "1"},
        mapped={"invoiceNo": "1"},
        hold=None,
        warnings=[],
        customer_id="7",
        customer_versions="7:0",
        doc_number="1",
        total=Decimal("100.00"),
        balance=Decimal("100.00"),
        currency="USD",
        created_ms=1,
        revision=1,
        recorded_at=AT,
        buyer_emails=[],
    )
    return replace(row, **fields)


LATER, EARLIER = AT + timedelta(seconds=1), AT - timedelta(seconds=1)

TABLE = [
    ("a higher token wins", {}, {"sync_token": 6, "fetch_number": 1}, True),
    ("tokens are numbers", {"sync_token": 9}, {"sync_token": 10, "fetch_number": 1}, True),
    ("a lower token loses", {}, {"sync_token": 4, "fetch_number": 99}, False),
    (
        "a lower token loses however late",
        {},
        {"sync_token": 4, "fetch_number": 99, "last_updated": LATER},
        False,
    ),
    ("a later time wins", {}, {"last_updated": LATER, "fetch_number": 1}, True),
    ("an earlier time loses", {}, {"last_updated": EARLIER, "fetch_number": 99}, False),
    ("equal versions: the later read wins", {}, {"fetch_number": 11}, True),
    ("equal versions: the same read loses", {}, {"fetch_number": 10}, False),
    ("equal versions: an earlier read loses", {}, {"fetch_number": 9}, False),
    ("a deletion wins by its read", {}, {"deleted": True, "fetch_number": 11}, True),
    ("a deletion loses to a later read", {}, {"deleted": True, "fetch_number": 9}, False),
    (
        "a deletion needs no version",
        {},
        {"deleted": True, "fetch_number": 11, "sync_token": 0, "last_updated": EARLIER},
        True,
    ),
    ("after a deletion a later read wins", {"deleted": True}, {"fetch_number": 11}, True),
    (
        "after a deletion an earlier read loses, whatever its version",
        {"deleted": True},
        {"fetch_number": 9, "sync_token": 99, "last_updated": LATER},
        False,
    ),
    (
        "a second deletion needs a later read",
        {"deleted": True},
        {"deleted": True, "fetch_number": 10},
        False,
    ),
]


@pytest.mark.parametrize(
    ("known", "new", "accepted"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_which_version_replaces_which(
    database: Database,
    connection_id: str,
    known: dict[str, Any],
    new: dict[str, Any],
    accepted: bool,
) -> None:
    with database.write() as session:
        assert invoices.upsert_if_newer(session, [a_row(**known)]) == {"qbk-1"}
    row = a_row(**new, doc_number="new", total=Decimal("7.25"))
    with database.write() as session:
        assert invoices.upsert_if_newer(session, [row]) == ({"qbk-1"} if accepted else set())
    with database.read() as session:
        stored = session.get_one(Invoice, "qbk-1")
    assert (stored.doc_number, stored.total) == (
        ("new", Decimal("7.25")) if accepted else ("1", Decimal("100.00"))
    )


@pytest.mark.parametrize(
    ("fetch_number", "accepted"), [(11, True), (10, True), (9, False)], ids=str
)
def test_a_remap_may_write_with_the_very_read_that_is_recorded(
    database: Database, connection_id: str, fetch_number: int, accepted: bool
) -> None:
    with database.write() as session:
        invoices.upsert_if_newer(session, [a_row()])
        written = invoices.upsert_if_newer(session, [a_row(fetch_number=fetch_number)], remap=True)
    assert written == ({"qbk-1"} if accepted else set())


def test_a_remap_of_a_version_that_is_no_longer_recorded_is_refused(
    database: Database, connection_id: str
) -> None:
    with database.write() as session:
        invoices.upsert_if_newer(session, [a_row(sync_token=6, fetch_number=10)])
        assert invoices.upsert_if_newer(session, [a_row(fetch_number=10)], remap=True) == set()


def test_of_many_rows_each_is_judged_alone(database: Database, connection_id: str) -> None:
    def rows(sync_token: int) -> list[InvoiceRow]:
        return [
            a_row(id=f"qbk-{n}", quickbooks_id=str(n), sync_token=sync_token + n % 2)
            for n in range(1200)
        ]

    with database.write() as session:
        assert len(invoices.upsert_if_newer(session, rows(5))) == 1200
    with database.write() as session:
        accepted = invoices.upsert_if_newer(session, [replace(r, sync_token=6) for r in rows(5)])
    assert accepted == {f"qbk-{n}" for n in range(0, 1200, 2)}
