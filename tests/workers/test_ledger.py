"""What the ledger needs of an invoice's past is kept as it arrives, changes and is paid."""

from datetime import UTC, date, datetime

import pytest

from service.database.tables import Invoice
from service.queries.ledger import LedgerEntry, ledger
from tests.workers.world import World, an_invoice


def entry(world: World) -> LedgerEntry:
    with world.services.database.read() as session:
        (found,) = ledger(session, "simulator", "USD", date(2026, 11, 20))
    return found


def record(world: World) -> Invoice:
    with world.services.database.read() as session:
        return session.query(Invoice).one()


@pytest.mark.both_databases("the statement that keeps it is its own")
def test_the_first_total_stays_and_a_payment_is_dated(world: World) -> None:
    world.arrive(an_invoice(TotalAmt=100.0, Balance=100.0))
    world.arrive(an_invoice(TotalAmt=75.0, Balance=75.0))
    assert (entry(world).dilution, entry(world).open) == (0.25, 75)
    assert record(world).settled_at is None
    world.arrive(an_invoice(TotalAmt=75.0, Balance=0.0))
    settled_at = record(world).settled_at
    assert settled_at is not None
    assert abs(settled_at - datetime.now(UTC).timestamp()) < 600
    assert (entry(world).settled, entry(world).open) == (1, 0)
    world.arrive(an_invoice(TotalAmt=75.0, Balance=0.0, DocNumber="9"))
    assert record(world).settled_at == settled_at
    world.arrive(an_invoice(TotalAmt=75.0, Balance=75.0, DocNumber="9"))
    assert record(world).settled_at is None


def test_what_was_paid_when_first_read_was_settled_nobody_knows_when(world: World) -> None:
    world.arrive(an_invoice(TotalAmt=100.0, Balance=0.0))
    world.arrive(an_invoice(TotalAmt=100.0, Balance=0.0, DocNumber="9"))
    assert (record(world).settled_at, entry(world).days_to_pay) == (None, None)


def test_a_deleted_invoice_is_dilution_of_its_buyer(world: World) -> None:
    world.arrive(an_invoice(TotalAmt=100.0, Balance=100.0))
    world.delete("Invoice", "1")
    world.hear("Invoice", "1", "deleted")
    world.sync() if hasattr(world, "sync") else None
    found = entry(world)
    assert (found.customer_id, found.dilution, found.open) == ("7", 1.0, 0)
