"""What each buyer owes: ageing, share, dilution, days to pay, from rows of the record."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from service.database.engine import Database
from service.database.tables import SettlementRow
from service.queries.ledger import LedgerEntry, ledger
from service.store import connections
from tests.builders import a_connection
from tests.store.delivery_rows import DeliveryRows

pytestmark = pytest.mark.both_databases("the sums are its own")
TODAY = date(2026, 11, 20)
ENTERED = datetime(2026, 9, 1, tzinfo=UTC)


@pytest.fixture
def rows(database: Database) -> DeliveryRows:
    """Company c1 of a supplier who has another, c2."""
    with database.write() as session:
        supplier_id = connections.ensure_supplier(session, "s@example.com", "S", "", ENTERED)
        for name in ("c1", "c2"):
            session.add(a_connection(name, supplier_id, ENTERED))
    return DeliveryRows(database, "c1")


def add(rows: DeliveryRows, number: str, total: str, *, due: str = "~", **fields: Any) -> None:
    """Add an invoice of which all is due, unless the fields say otherwise."""
    amount = Decimal(total)
    given = {"balance": amount, "first_total": amount, "customer_id": "7", "currency": "USD"}
    mapped = {"companyName": f"Buyer {fields.get('customer_id', '7')}"}
    created = int(ENTERED.timestamp() * 1000)
    rows.invoice(
        number, total=amount, due_key=due, mapped=mapped, created_ms=created, **{**given, **fields}
    )


def entries(rows: DeliveryRows, **which: Any) -> list[LedgerEntry]:
    with rows.database.read() as session:
        return list(ledger(session, "simulator", "USD", TODAY, **which))


@pytest.mark.parametrize(
    ("due", "place"),
    [
        ("~", 0),
        ("2026-11-21", 0),
        ("2026-11-20", 1),
        ("2026-10-21", 1),
        ("2026-10-20", 2),
        ("2026-09-21", 2),
        ("2026-09-20", 3),
        ("2026-08-22", 3),
        ("2026-08-21", 4),
        ("1999-01-01", 4),
    ],
)
def test_age_is_counted_in_days_past_the_due_date(rows: DeliveryRows, due: str, place: int) -> None:
    add(rows, "1", "12.34", due=due)
    (entry,) = entries(rows)
    expected = [Decimal(0)] * 5
    expected[place] = Decimal("12.34")
    assert list(entry.ages) == expected
    assert entry.open == Decimal("12.34")


def test_amounts_are_exact_where_all_together_is_more_than_one_can_be(rows: DeliveryRows) -> None:
    for number, customer in enumerate(["7", "7", "8"]):
        add(rows, str(number), "8999999999999.99", customer_id=customer, due="2026-11-20")
    found = [(one.buyer, one.open, one.ages[1], round(one.share, 4)) for one in entries(rows)]
    assert found == [
        ("Buyer 7", Decimal("17999999999999.98"), Decimal("17999999999999.98"), 0.6667),
        ("Buyer 8", Decimal("8999999999999.99"), Decimal("8999999999999.99"), 0.3333),
    ]


def test_a_buyer_is_a_customer_of_one_company_and_a_currency(rows: DeliveryRows) -> None:
    add(rows, "1", "60")
    add(rows, "2", "15", customer_id="8")
    add(rows, "3", "40", currency="EUR")
    add(rows, "4", "5", customer_id=None, currency=None)
    add(DeliveryRows(rows.database, "c2"), "1", "20")
    found = [
        (one.connection_id, one.buyer, one.currency, one.open, one.share) for one in entries(rows)
    ]
    assert found == [
        ("c1", "Buyer 7", "USD", 60, 0.6),
        ("c1", "Buyer 7", "EUR", 40, 1.0),
        ("c2", "Buyer 7", "USD", 20, 0.2),
        ("c1", "Buyer 8", "USD", 15, 0.15),
        ("c1", "Buyer None", "USD", 5, 0.05),
    ]
    assert [one.open for one in entries(rows, connection_ids=["c2"])] == [20]
    assert [one.share for one in entries(rows, connection_ids=["c2"])] == [0.2]
    assert [one.open for one in entries(rows, offset=1, limit=2)] == [40, 20]


def test_dilution_is_what_was_reduced_voided_or_deleted_of_what_was_invoiced(
    rows: DeliveryRows,
) -> None:
    add(rows, "1", "80", first_total=Decimal(100))
    add(rows, "2", "0", first_total=Decimal(50))
    add(rows, "3", "30", deleted=True)
    add(rows, "4", "220", first_total=Decimal(200))
    (entry,) = entries(rows)
    assert entry.dilution == pytest.approx((20 + 50 + 30) / 380)
    assert (entry.open, entry.invoices, entry.largest) == (300, 4, 220)
    assert entry.first == date(2026, 9, 1)


def credited(rows: DeliveryRows, number: str, **amounts: str) -> None:
    """Let these amounts have settled the invoice, each in its way: its shares of larger ones."""
    with rows.database.write() as session:
        session.add_all(
            SettlementRow(
                invoice_id=rows.id(number),
                payment_id="9",
                source_id=f"9{n}",
                kind=kind,
                amount=Decimal(1000),
                share=Decimal(amount),
                **dict.fromkeys(("paid_on", "payer", "account", "number", "dated"), ""),
                read_at=ENTERED,
            )
            for n, (kind, amount) in enumerate(amounts.items())
        )


def test_credits_and_write_offs_that_were_read_are_dilution_and_cash_is_not(
    rows: DeliveryRows,
) -> None:
    settled = ENTERED.timestamp() + 86_400
    for number in ("1", "2", "3"):
        add(rows, number, "100", balance=Decimal(0), settled_at=settled)
    add(rows, "4", "0", first_total=Decimal(100))  # void, so it was lost once and for all
    credited(rows, "1", cash="50", credit_note="30", write_off="20")
    credited(rows, "2", cash="100")
    credited(rows, "4", credit_note="30")
    (entry,) = entries(rows)
    assert entry.dilution == pytest.approx((50 + 100) / 400)
    # Nobody paid the whole of the first one.
    assert (entry.settled, entry.days_to_pay) == (2, pytest.approx(1))


def test_days_to_pay_is_the_mean_of_those_that_were_seen_to_be_settled(rows: DeliveryRows) -> None:
    for number, days in (("1", 10), ("2", 40)):
        settled = (ENTERED + timedelta(days=days)).timestamp()
        add(rows, number, "5", balance=Decimal(0), settled_at=settled)
    add(rows, "3", "5", balance=Decimal(0))  # so when it was first read
    (entry,) = entries(rows)
    assert (entry.days_to_pay, entry.settled, entry.open) == (pytest.approx(25), 2, 0)


def test_without_sales_there_is_no_dilution(rows: DeliveryRows) -> None:
    add(rows, "1", "0")
    (entry,) = entries(rows)
    assert (entry.dilution, entry.days_to_pay, entry.share) == (None, None, 0.0)
