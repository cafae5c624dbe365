"""Times of QuickBooks' that lie ahead of the database's clock: not believed, told, put right."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from service.database.tables import Customer, Invoice
from service.kit.clock import now
from service.monitoring.checks import wrong_now
from service.monitoring.condition import Condition
from service.monitoring.facts import Facts
from service.operations import actions
from service.store import watermarks
from tests.workers.reconciling import due, finish, named, reconcile, set_connection
from tests.workers.withdrawing import START, TAKEN, states
from tests.workers.world import REALM, World, a_customer, an_event, an_invoice

FAR = datetime(2099, 1, 1, tzinfo=UTC)
THIS_MORNING = START + timedelta(hours=1)


def meta(at: datetime) -> dict[str, Any]:
    return {"MetaData": {"CreateTime": START.isoformat(), "LastUpdatedTime": at.isoformat()}}


def load(world: World, *records: dict[str, Any], entity: str = "Invoice") -> None:
    """Let QuickBooks say just this, whatever it said before, and tell nobody."""
    world.simulator.simulator.companies[REALM].load(entity, records, START)


def told(world: World) -> list[Condition]:
    """Return of which times ahead an operator is told."""
    with world.services.database.read() as session:
        found = wrong_now(Facts(session, world.services.settings, now()))
    return [one for one in found if one.cause == "time.ahead"]


def recorded(world: World, quickbooks_id: str = "1") -> Invoice:
    with world.services.database.read() as session:
        query = select(Invoice).where(Invoice.quickbooks_id == quickbooks_id)
        return session.scalars(query).one()


def test_a_version_of_the_future_does_not_stand_against_what_is_read_later(world: World) -> None:
    load(world, an_invoice("1", SyncToken="3", **meta(THIS_MORNING)))
    world.backfill()
    load(world, an_invoice("1", SyncToken="3", Balance=0, **meta(FAR)))
    world.hear("Invoice", "1", "updated")
    assert recorded(world).last_updated is None
    assert states(world) == {TAKEN: 1}
    load(world, an_invoice("1", SyncToken="3", **meta(THIS_MORNING)))
    world.hear("Invoice", "1", "updated")
    assert recorded(world).last_updated == THIS_MORNING
    assert states(world) == {"invoice_created": 1}


def test_a_version_of_the_future_is_no_difference_from_what_is_recorded(world: World) -> None:
    """Which nobody could ever fix: QuickBooks goes on saying so."""
    load(world, an_invoice("1", SyncToken="3", **meta(THIS_MORNING)))
    world.backfill()
    load(world, an_invoice("1", SyncToken="3", **meta(FAR)))
    for fix in (False, True, False):
        ended = reconcile(world, full=True, fix=fix)
        assert (ended["read"], ended["differences"], ended["error"]) == (1, [], None)


@pytest.mark.parametrize("first", ["backfill", "payment"])
def test_a_row_of_the_future_moves_no_watermark_there(world: World, first: str) -> None:
    before = world.connection().changes_read_until
    later = (now() + timedelta(minutes=5)).replace(microsecond=0)
    load(
        world,
        an_invoice("1", **meta(later - timedelta(seconds=1))),
        an_invoice("2", **meta(later)),
        an_invoice("3", **meta(FAR)),
    )
    if first == "backfill":
        world.backfill()
    else:
        world.hear("Payment", "900", "created")
    assert sorted(world.documents()) == ["1", "2", "3"]
    assert world.connection().changes_read_until == later > before
    paid = an_invoice("1", Balance=0, **meta(later + timedelta(seconds=1)))
    load(world, paid, an_invoice("3", **meta(FAR)))
    world.hear("Payment", "901", "created")
    assert world.documents()["1"]["state"] == TAKEN


@pytest.mark.usefixtures("small_pages")
def test_pages_end_behind_rows_of_the_future(world: World) -> None:
    """More of them than a page, and each is read once."""
    load(world, *(an_invoice(str(n), **meta(FAR)) for n in range(1, 112)))
    ended = world.backfill()
    assert (ended["created"], ended["error"]) == (111, None)


@pytest.mark.parametrize("entity", ["Invoice", "Customer"])
def test_somebody_is_told_until_a_reconcile_meets_no_such_time(world: World, entity: str) -> None:
    record = an_invoice if entity == "Invoice" else a_customer
    world.arrive(an_invoice("1" if entity == "Invoice" else "2"))
    world.age_customers(days=31)
    load(world, record(SyncToken="5", **meta(FAR)), entity=entity)
    world.hear("Invoice", "1" if entity == "Invoice" else "2", "updated")
    (condition,) = told(world)
    assert condition.subject == world.connection_id
    assert condition.company == "Example Supplies"
    assert condition.text == (
        "QuickBooks has said 2099-01-01 00:00 UTC of this company, more than 10 min ahead of the"
        " database's clock. It is not believed; what changed may be missing until everything is"
        " compared."
    )
    fix = f"infactor-quickbooks reconcile --connection {world.connection_id} --fix"
    assert condition.command == fix
    reconcile(world, full=True)
    assert len(told(world)) == (1 if entity == "Invoice" else 0)
    load(world, record(SyncToken="5", **meta(THIS_MORNING)), entity=entity)
    ended = reconcile(world, full=True)
    assert (ended["differences"], ended["error"]) == ([], None)
    assert told(world) == []


def test_minutes_ahead_are_believed(world: World) -> None:
    """No two clocks agree."""
    at = (now() + timedelta(minutes=9)).replace(microsecond=0)
    load(world, an_invoice("1", **meta(at)))
    world.backfill()
    assert recorded(world).last_updated == at
    assert told(world) == []


def answered_in_8999(world: World) -> None:
    """Let QuickBooks tell a time of its own that cannot be, in one list of changes."""
    body = {"CDCResponse": [{"QueryResponse": [{}]}], "time": "8999-01-01T00:00:00.000-08:00"}
    world.faults({"kind": "cdc", "status": 200, "body": body, "count": 1})


def test_a_clock_of_quickbooks_that_cannot_be_moves_no_watermark(world: World) -> None:
    before = world.connection().reconciled_until
    answered_in_8999(world)
    assert reconcile(world)["state"] == "done"
    assert world.connection().reconciled_until == before
    assert [one.subject for one in told(world)] == [world.connection_id]
    world.put("Invoice", an_invoice("1"))
    reconcile(world)
    assert list(world.documents()) == ["1"]
    assert before < world.connection().reconciled_until <= now()


def stand_ahead(world: World) -> None:
    """Let the watermarks have gone to the future, and changes have been missed since."""
    load(world, an_invoice("1"), an_invoice("2"))
    world.backfill()
    set_connection(
        world,
        changes_read_until=FAR,
        reconciled_until=FAR,
        connected_at=now() - timedelta(days=40),
    )
    world.put("Invoice", an_invoice("1", Balance=0))
    world.put("Customer", a_customer(PrimaryEmailAddr={"Address": "new@example.com"}))


def test_a_watermark_that_stands_ahead_is_told(world: World) -> None:
    stand_ahead(world)
    (condition,) = told(world)
    assert "2099-01-01 00:00 UTC" in condition.text


@pytest.mark.parametrize("full", [True, False])
def test_a_reconcile_puts_watermarks_right_that_stand_ahead(world: World, full: bool) -> None:
    """What was missed is read: invoices, and customers too. So the daily one does."""
    stand_ahead(world)
    ended = reconcile(world, full=full)
    assert (ended["state"], ended["error"]) == ("done", None)
    documents = world.documents()
    assert documents["1"]["state"] == TAKEN
    assert documents["2"]["buyerEmail"] == "new@example.com"
    connection = world.connection()
    assert max(connection.changes_read_until, connection.reconciled_until) <= now()
    assert told(world) == []


def test_a_look_alone_leaves_watermarks_where_they_are(world: World) -> None:
    stand_ahead(world)
    reconcile(world, full=True, fix=False)
    assert world.connection().reconciled_until == FAR


def test_an_operator_resets_watermarks(world: World) -> None:
    database, connection_id = world.services.database, world.connection_id
    assert actions.reset_watermarks(database, connection_id, "cli:anna") is False
    stand_ahead(world)
    assert actions.reset_watermarks(database, connection_id, "cli:anna") is True
    connected_at = world.connection().connected_at
    connection = world.connection()
    assert (connection.changes_read_until, connection.reconciled_until) == (connected_at,) * 2
    assert told(world) == []
    (run,) = due(world)
    finish(world, run.id)
    assert world.documents()["1"]["state"] == TAKEN


def test_payments_are_read_though_the_watermark_stands_ahead(world: World) -> None:
    stand_ahead(world)
    world.hear("Payment", "900", "created")
    assert world.documents()["1"]["state"] == TAKEN
    assert world.connection().changes_read_until == FAR  # what was missed before is not read


def test_many_companies_at_once_are_one_condition(world: World) -> None:
    for number in range(2, 5):
        world.connect(f"934145500000000{number}", f"{number}@example.com")
    with world.services.database.write() as session:
        session.execute(update(watermarks.Connection).values(reconciled_until=FAR))
    (condition,) = told(world)
    assert (condition.subject, condition.command) == ("", "infactor-quickbooks doctor")
    assert "about 4 companies: the clock of the database is behind" in condition.text


def test_an_operator_overrules_what_looks_newer_than_quickbooks(world: World) -> None:
    """Wrong rows were believed, an invoice's and a customer's, with versions of their own."""
    load(world, an_invoice("1", **meta(THIS_MORNING)))
    world.backfill()
    wrong = {"SyncToken": "999", "Balance": 0}
    load(world, an_invoice("1", **wrong, **meta(THIS_MORNING + timedelta(hours=1))))
    astray = {"PrimaryEmailAddr": {"Address": "wrong@example.com"}, "SyncToken": "999"}
    load(world, a_customer(**astray, **meta(THIS_MORNING)), entity="Customer")
    world.webhook(an_event("Invoice", "1", "updated"), an_event("Customer", "7", "updated"))
    world.sync()
    assert (world.documents()["1"]["state"], recorded(world).sync_token) == (TAKEN, 999)
    load(world, an_invoice("1", SyncToken="1", **meta(THIS_MORNING)))
    load(world, a_customer(SyncToken="1", **meta(THIS_MORNING)), entity="Customer")
    assert named(reconcile(world, full=True)["differences"]) == [("1", "ahead")]
    with world.services.database.write() as session:
        run_id = actions.reconcile(session, world.connection_id, True, "cli:anna", overrule=True)
    ended = finish(world, run_id)
    assert (ended["differences"], ended["error"]) == ([], None)
    assert named(ended["fixed"]) == [("1", "ahead")]
    document = world.documents()["1"]
    assert (document["state"], document["buyerEmail"]) == ("invoice_created", "buyer@example.com")
    with world.services.database.read() as session:
        (customer,) = session.scalars(select(Customer))
    assert (recorded(world).sync_token, customer.sync_token) == (1, 1)
