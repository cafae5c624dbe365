"""A buyer's whole account: counted from the record, and what follows for their open invoices."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from service.database.tables import BuyerAccount, Connection, Invoice
from service.kit.clock import now
from service.store import judging as judging_store
from tests.workers.world import World, a_customer, an_invoice
from workers import judging

LONG_AGO = {"CreateTime": "2026-11-01T08:00:00-08:00", "LastUpdatedTime": "2026-11-01T08:00:00Z"}


def owed(quickbooks_id: str, customer: str, amount: float, **fields: Any) -> dict[str, Any]:
    """Return an open invoice of this customer."""
    return an_invoice(
        quickbooks_id,
        TotalAmt=amount,
        Balance=amount,
        CustomerRef={"value": customer, "name": f"Buyer {customer}"},
        **fields,
    )


def buyers(*ids: str, **fields: Any) -> list[dict[str, Any]]:
    names = [{"DisplayName": f"Buyer {i}", "FullyQualifiedName": f"Buyer {i}"} for i in ids]
    return [a_customer(i, **name, **fields) for i, name in zip(ids, names, strict=True)]


def judge(world: World) -> None:
    """Do what the periodic job asks for, as half a minute after the last change."""
    with world.services.database.write() as session:
        due = Connection.accounts_due_at.is_not(None)
        session.execute(update(Connection).where(due).values(accounts_due_at=now()))
    judging.judge_company(world.services, world.connection_id)


def signals(world: World, code: str) -> dict[str, dict[str, str]]:
    """Return the figures of each invoice to which this rule applies, by QuickBooks id."""
    with world.services.database.read() as session:
        rows = session.execute(select(Invoice.quickbooks_id, Invoice.signals)).all()
    return {i: one["figures"] for i, reasons in rows for one in reasons if one["code"] == code}


def accounts(world: World) -> dict[str, tuple[str, int | None, int | None, int | None]]:
    with world.services.database.read() as session:
        rows = session.scalars(select(BuyerAccount))
        return {
            row.customer_id: (row.buyer_id, row.concentration, row.overdue, row.credit)
            for row in rows
        }


def is_due(world: World) -> bool:
    """Return whether the periodic job asks for the company."""
    settings = world.services.settings
    with world.services.database.read() as session:
        wanted, at = judging.judged_by(settings), now() + timedelta(seconds=31)
        return bool(judging_store.due(session, "simulator", wanted, at, 50))


@pytest.mark.both_databases("counts in SQL, over amounts and texts of dates")
def test_the_account_of_each_buyer_is_counted(world: World) -> None:
    world.put("Customer", *buyers("8", "9"))
    late = {"DueDate": "2026-11-10"}
    world.put("Invoice", owed("1", "7", 400.0), owed("2", "7", 200.0, **late))
    world.put(
        "Invoice", owed("3", "8", 200.0, **late), owed("4", "9", 100.0), owed("5", "9", 100.0)
    )
    world.put("Invoice", owed("6", "9", 5000.0, CurrencyRef={"value": "EUR"}))
    world.backfill()

    judge(world)

    assert accounts(world) == {
        "7": ("7", 60, 34, 0),
        "8": ("8", 20, None, 0),
        "9": ("9", 20, 0, 0),
    }
    assert signals(world, "concentration") == {"1": {"share": "55"}, "2": {"share": "55"}}
    assert signals(world, "cross_aged") == {}
    # Once it is done, nothing is left to do.
    assert not is_due(world)
