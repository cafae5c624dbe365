"""A buyer's whole account: counted from the record, and what follows for their open invoices."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from service.database.tables import BuyerAccount, Connection, Invoice, InvoiceToJudge
from service.infactor.mapping import invoice_id
from service.kit.clock import now
from service.simulator.app import RunningSimulator
from service.store import judging_queue as judging_store
from tests.databases import statements
from tests.workers.conftest import connected
from tests.workers.world import REALM, World, a_customer, an_invoice
from workers import rejudging
from workers.accounts import count_accounts
from workers.company import RecordedCompany

OTHER = "9341455000000002"
LONG_AGO = {"CreateTime": "2026-11-01T08:00:00-08:00", "LastUpdatedTime": "2026-11-01T08:00:00Z"}


def owed(quickbooks_id: str, customer: str, amount: float, **fields: Any) -> dict[str, Any]:
    """Return an open invoice of this customer."""
    reference = {"value": customer, "name": f"Buyer {customer}"}
    given = {"TotalAmt": amount, "Balance": amount, "CustomerRef": reference, **fields}
    return an_invoice(quickbooks_id, **given)


def buyers(*ids: str, **fields: Any) -> list[dict[str, Any]]:
    names = [{"DisplayName": f"Buyer {i}", "FullyQualifiedName": f"Buyer {i}"} for i in ids]
    return [a_customer(i, **name, **fields) for i, name in zip(ids, names, strict=True)]


def judge(world: World) -> None:
    """Do what the periodic job asks for, as half a minute after the last change."""
    with world.services.database.write() as session:
        due = Connection.accounts_due_at.is_not(None)
        session.execute(update(Connection).where(due).values(accounts_due_at=now()))
    rejudging.judge_company(world.services, world.connection_id)


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
        basis = rejudging.basis_of(settings, now() + timedelta(seconds=31))
        return bool(judging_store.due(session, "simulator", basis, 50))


@pytest.mark.both_databases("counts in SQL, over amounts and texts of dates")
def test_the_account_of_each_buyer_is_counted(world: World) -> None:
    world.put("Customer", *buyers("8", "9"))
    late = {"DueDate": "2026-11-10"}
    world.put("Invoice", owed("1", "7", 400.0), owed("2", "7", 200.0, **late))
    world.put("Invoice", owed("3", "8", 200.0, **late))
    world.put("Invoice", owed("4", "9", 100.0), owed("5", "9", 100.0))
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


@pytest.mark.both_databases("the statements are its own")
def test_invoices_are_asked_for_without_an_id_coming_out_of_the_database(world: World) -> None:
    """After a first import they may be all of a million."""
    world.put("Customer", *buyers("8", "9"))
    world.put("Invoice", owed("1", "7", 400.0), owed("2", "7", 200.0))
    world.put("Invoice", owed("3", "7", 200.0, Balance=0), owed("4", "8", 200.0))
    world.put("Invoice", owed("5", "9", 100.0), owed("6", "9", 100.0))
    world.backfill()
    company = RecordedCompany.recorded(world.services, world.connection_id)
    with statements(world.services.database) as sent:
        count_accounts(company)
    assert not any(one.startswith("SELECT invoices.id") for one in sent)
    with world.services.database.read() as session:
        asked = set(session.scalars(select(InvoiceToJudge.invoice_id)))
    assert asked == {invoice_id(REALM, "1"), invoice_id(REALM, "2")}


def three_buyers(world: World) -> None:
    """Let three buyers have the same open, each with two invoices, and let that be judged."""
    world.put("Customer", *buyers("8", "9"))
    for number, customer in enumerate(("7", "7", "8", "8", "9", "9"), 1):
        world.put("Invoice", owed(str(number), customer, 100.0))
    world.backfill()
    judge(world)


def test_a_new_invoice_is_judged_at_once_by_the_account_as_last_counted(world: World) -> None:
    three_buyers(world)
    assert set(signals(world, "concentration")) == {"1", "2", "3", "4", "5", "6"}

    world.arrive(owed("11", "7", 50.0))
    world.put("Customer", *buyers("10"))
    world.arrive(owed("12", "10", 50.0))

    # Of a new buyer nothing has been counted yet.
    assert signals(world, "concentration")["11"] == {"share": "30"}
    assert "12" not in signals(world, "concentration")


def test_accounts_are_counted_half_a_minute_after_a_change_and_then_no_more(world: World) -> None:
    three_buyers(world)
    assert world.connection().accounts_due_at is None

    world.arrive(owed("11", "7", 2000.0))
    due_at = world.connection().accounts_due_at
    assert due_at is not None
    assert timedelta(0) < due_at - now() <= timedelta(seconds=30)
    assert is_due(world)
    # Whatever follows does not put it off.
    world.arrive(owed("12", "7", 1.0))
    assert world.connection().accounts_due_at == due_at

    judge(world)

    assert accounts(world)["7"][1] == 85
    assert signals(world, "concentration") == {i: {"share": "80"} for i in ("1", "2", "11", "12")}
    assert not is_due(world)


def test_a_read_that_changes_nothing_asks_for_no_counting(world: World) -> None:
    three_buyers(world)
    world.hear("Invoice", "1", "updated")
    assert world.connection().accounts_due_at is None


def test_a_swing_around_the_limit_writes_nothing(world: World) -> None:
    three_buyers(world)
    world.put("Customer", *buyers("10"))
    world.arrive(owed("11", "10", 200.0))  # a quarter each
    judge(world)
    assert signals(world, "concentration") == {}
    written = len(world.revisions())

    for amount in (205.0, 195.0, 203.0):
        world.arrive(owed("11", "10", amount))
        judge(world)

    assert signals(world, "concentration") == {}
    assert len(world.revisions()) == written + 3


def test_what_waits_to_be_judged_is_not_lost_with_a_process(world: World) -> None:
    three_buyers(world)
    world.arrive(owed("11", "7", 2000.0))
    company = RecordedCompany.recorded(world.services, world.connection_id)
    assert company is not None

    count_accounts(company)  # and then the process ends

    with world.services.database.read() as session:
        waiting = set(session.scalars(select(InvoiceToJudge.invoice_id)))
    assert waiting == {invoice_id(REALM, i) for i in ("1", "2", "3", "4", "5", "6", "11")}
    assert is_due(world)
    rejudging.judge_company(world.services, world.connection_id)
    assert set(signals(world, "concentration")) == {"1", "2", "11"}


def test_nothing_is_counted_during_an_import_but_at_its_end(world: World) -> None:
    three_buyers(world)
    run_id = world.begin_backfill()
    world.arrive(owed("11", "7", 2000.0))
    assert not is_due(world)
    judge(world)
    assert accounts(world)["7"][1] == 34

    while world.advance(run_id):
        pass

    assert is_due(world)
    judge(world)
    assert accounts(world)["7"][1] == 85


def test_customers_who_bill_their_parent_are_one_buyer_with_it(world: World) -> None:
    child = {"ParentRef": {"value": "7"}, "Job": True}
    world.put("Customer", *buyers("8", **child, BillWithParent=True))
    world.put("Customer", *buyers("9", **child, BillWithParent=False), *buyers("10"))
    for number, customer in enumerate(("7", "8", "8", "9", "10"), 1):
        world.put("Invoice", owed(str(number), customer, 100.0))
    world.backfill()

    judge(world)

    assert accounts(world) == {
        "7": ("7", 60, 0, 0),
        "8": ("7", 60, 0, 0),
        "9": ("9", 20, None, 0),
        "10": ("10", 20, None, 0),
    }


def test_the_share_is_of_all_companies_of_the_supplier(world: World) -> None:
    three_buyers(world)
    world.connect(OTHER)
    world.put("Customer", *buyers("7"), realm=OTHER)
    world.put("Invoice", *(owed(i, "7", 300.0) for i in ("1", "2")), realm=OTHER)
    world.backfill()

    judge(world)

    # Another company's customer with the same Id is another buyer.
    assert [shares for _, *shares in every_account(world, world.connection_id)] == [[50, 0, 0]]


def test_another_suppliers_companies_do_not_count(world: World) -> None:
    three_buyers(world)
    world.connect(OTHER, "another@example.com")
    world.put("Customer", *buyers("7"), realm=OTHER)
    world.put("Invoice", *(owed(str(i), "7", 300.0) for i in range(1, 7)), realm=OTHER)
    world.backfill()

    judge(world)

    assert [shares for _, *shares in every_account(world, world.connection_id)] == [[None, 0, 0]]


def test_credits_that_are_applied_to_no_invoice(world: World) -> None:
    """QuickBooks says that the buyer owes less than the invoices that it has seen."""
    world.put("Customer", *buyers("7", Balance=150.0))
    before = {"MetaData": LONG_AGO}
    world.put("Invoice", owed("1", "7", 100.0, **before), owed("2", "7", 100.0, **before))
    world.put("Customer", *buyers("7", Balance=150.0))
    world.backfill()
    judge(world)
    assert accounts(world)["7"] == ("7", None, 0, 25)
    assert signals(world, "set_off") == {"1": {"share": "20"}, "2": {"share": "20"}}

    # What has changed since the customer was read is of no account: the payment used the credit.
    world.arrive(owed("1", "7", 100.0, Balance=50.0))
    judge(world)
    assert accounts(world)["7"][3] == 0
    assert signals(world, "set_off") == {}

    # A new invoice is in no balance that was read before it.
    world.arrive(owed("3", "7", 500.0))
    judge(world)
    assert accounts(world)["7"][3] == 0


def test_a_balance_of_more_than_the_invoices_is_no_credit(world: World) -> None:
    world.put("Invoice", owed("1", "7", 100.0, MetaData=LONG_AGO))
    world.put("Customer", *buyers("7", Balance=150.0))
    world.backfill()
    judge(world)
    assert accounts(world)["7"][3] == 0


def test_a_lender_is_not_offered_what_a_buyer_owes_too_much_of(
    simulator: RunningSimulator, migrated_url: str
) -> None:
    with connected(simulator, migrated_url, INFACTOR_RULES="concentration=hold:40") as world:
        three_buyers(world)
        assert set(world.documents()) == {"1", "2", "3", "4", "5", "6"}

        world.arrive(owed("11", "7", 200.0))
        judge(world)

        assert world.holds()["1"] == world.holds()["11"] == "concentration"
        assert world.holds()["3"] is None
        assert world.documents()["1"]["state"] == "invoice_rejected"

        world.arrive(owed("11", "7", 200.0, Balance=0.0))
        judge(world)

        assert world.holds()["1"] is None
        assert world.documents()["1"]["state"] == "invoice_created"


def test_without_such_a_rule_nothing_is_counted(
    simulator: RunningSimulator, migrated_url: str
) -> None:
    with connected(simulator, migrated_url, INFACTOR_PROFILE="guide") as world:
        three_buyers(world)
        world.arrive(owed("11", "7", 200.0))
        assert world.connection().accounts_due_at is None
        assert accounts(world) == {}


@pytest.mark.parametrize(
    "customer",
    [
        {"Balance": "much", "BillWithParent": "yes"},
        {"Balance": 99999999999999999.0},
        {"Balance": True, "ParentRef": {"value": "7"}, "BillWithParent": True},
    ],
)
def test_an_odd_customer_is_counted_all_the_same(world: World, customer: dict[str, Any]) -> None:
    world.put("Customer", a_customer("7", **customer))
    world.put("Invoice", owed("1", "7", 100.0, MetaData=LONG_AGO))
    world.put("Invoice", {**owed("2", "7", 100.0), "CustomerRef": {}, "DueDate": None})
    world.backfill()
    judge(world)
    assert accounts(world) == {"7": ("7", None, None, 0)}


@pytest.mark.both_databases("the statements are its own")
def test_far_more_invoices_than_usual_within_an_hour(world: World) -> None:
    entered = [f"2026-11-{day:02}T08:30:00Z" for day in range(1, 12)]
    world.put("Invoice", *(entered_at(str(n), at) for n, at in enumerate(entered, 1)))
    many = [entered_at(str(n), f"2026-11-20T09:{n - 20:02}:00Z") for n in range(20, 41)]
    world.put("Invoice", *many[:20])
    world.backfill()
    judge(world)
    assert signals(world, "burst") == {}

    world.arrive(many[20])
    judge(world)

    hour = {"hour": "2026-11-20 09:00 UTC"}
    assert signals(world, "burst") == {str(n): hour for n in range(20, 41)}
    # The next of that hour is told at once.
    world.arrive(entered_at("41", "2026-11-20T09:59:59Z"))
    assert "41" in signals(world, "burst")


def entered_at(quickbooks_id: str, at: str) -> dict[str, Any]:
    meta = {"CreateTime": at, "LastUpdatedTime": at}
    return an_invoice(quickbooks_id, MetaData=meta)


def every_account(world: World, connection_id: str) -> list[tuple[Any, ...]]:
    with world.services.database.read() as session:
        mine = select(BuyerAccount).where(BuyerAccount.connection_id == connection_id)
        rows = session.scalars(mine)
        return [(row.customer_id, row.concentration, row.overdue, row.credit) for row in rows]
