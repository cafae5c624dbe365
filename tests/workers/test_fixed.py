"""What a supplier fixed in QuickBooks is remembered."""

import pytest
from sqlalchemy import select

from service.database.tables import Document, Invoice
from tests.workers.world import World, an_invoice


def recorded(world: World) -> Invoice:
    """Return the only invoice."""
    with world.services.database.read() as session:
        return session.scalars(select(Invoice)).one()


def offered(world: World) -> Document:
    """Return its document."""
    with world.services.database.read() as session:
        return session.scalars(select(Document)).one()


@pytest.mark.both_databases("each is given the warnings in another way")
def test_the_warnings_before_a_fix_are_kept_with_its_moment(world: World) -> None:
    broken = an_invoice(DueDate=None, DocNumber=None)
    world.arrive(broken)
    assert (recorded(world).fixed, recorded(world).fixed_at) == ([], None)
    world.arrive({**broken, "TotalAmt": 120.0, "Balance": 120.0})  # which fixes nothing
    assert recorded(world).fixed_at is None
    world.arrive({**broken, "DocNumber": "101"})
    fixed = recorded(world)
    assert [one["code"] for one in fixed.fixed] == ["no_invoice_number", "no_due_date"]
    assert [one["code"] for one in fixed.warnings] == ["no_due_date"]
    assert fixed.fixed_at == fixed.recorded_at
    world.arrive({**broken, "DocNumber": "101", "BillEmail": {"Address": "see website"}})
    world.arrive({**broken, "DocNumber": "101", "BillEmail": {"Address": "see our website"}})
    last = recorded(world)
    assert [one["code"] for one in last.warnings] == ["no_due_date", "unusable_bill_email"]
    assert (last.fixed, last.fixed_at) == (fixed.fixed, fixed.fixed_at)  # nothing was fixed
    world.arrive({**broken, "DocNumber": "101"})
    assert [one["code"] for one in recorded(world).fixed] == ["no_due_date", "unusable_bill_email"]
    world.arrive(an_invoice(TotalAmt=70.0, Balance=70.0))
    assert [one["code"] for one in recorded(world).fixed] == ["no_due_date"]


def test_what_quickbooks_has_in_place_of_an_address_is_kept(world: World) -> None:
    world.arrive(an_invoice(BillEmail={"Address": "see website"}))
    [warning] = recorded(world).warnings
    assert (warning["code"], warning["value"]) == ("unusable_bill_email", "see website")


@pytest.mark.both_databases("amounts are stored differently")
def test_a_document_has_its_amount_and_currency_for_sums(world: World) -> None:
    world.arrive(an_invoice(TotalAmt=1234.56, Balance=1234.56, CurrencyRef={"value": "USD"}))
    document = offered(world)
    assert (str(document.total), document.currency) == ("1234.560000", "USD")
    world.arrive(an_invoice(TotalAmt=99.5, Balance=99.5, CurrencyRef={"value": "USD"}))
    assert str(offered(world).total) == "99.500000"
