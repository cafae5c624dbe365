"""A full comparison names every difference between QuickBooks and the record."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import delete, update

from service.database.tables import DeliveryState, Document, Invoice, Revision
from service.kit.clock import now
from service.store import runs
from service.wording import gist
from tests.databases import statements
from tests.workers.reconciling import (
    cannot_show,
    finish,
    named,
    reconcile,
    reconciled_long_ago,
    watermark,
)
from tests.workers.world import REALM, World, a_customer, an_invoice


def compare(world: World, *, fix: bool = False) -> dict:
    return reconcile(world, full=True, fix=fix, cause="command")


def record_says(world: World, quickbooks_id: str, **values: object) -> None:
    with world.services.database.write() as session:
        session.execute(
            update(Invoice).where(Invoice.quickbooks_id == quickbooks_id).values(**values)
        )


def record_forgets(world: World, quickbooks_id: str) -> None:
    with world.services.database.write() as session:
        invoice = session.query(Invoice).filter_by(quickbooks_id=quickbooks_id).one()
        for table in (DeliveryState, Document, Revision):
            session.execute(delete(table).where(table.invoice_id == invoice.id))
        session.delete(invoice)


def long_ago(world: World) -> None:
    """Let everything have been recorded before any run."""
    with world.services.database.write() as session:
        session.execute(update(Invoice).values(recorded_at=now() - timedelta(hours=1)))


def load(world: World, seconds: list[int]) -> None:
    """Let invoices 1, 2, … have been changed last in these seconds of a day."""
    start = now() - timedelta(days=2)
    times = [(start + timedelta(seconds=second)).isoformat() for second in seconds]
    world.simulator.simulator.companies[REALM].load(
        "Invoice",
        [
            an_invoice(str(n), MetaData={"CreateTime": t, "LastUpdatedTime": t})
            for n, t in enumerate(times, start=1)
        ],
        start,
    )


def seven_ways_to_differ(world: World) -> None:
    world.put(
        "Invoice",
        *(an_invoice(str(n), TotalAmt=100.5, Balance=40.25, Id=str(n)) for n in range(1, 9)),
    )
    world.backfill()
    world.pass_time_in_quickbooks(seconds=2)
    record_forgets(world, "1")
    world.put("Invoice", an_invoice("2", TotalAmt=90.0, Balance=90.0))
    record_says(world, "3", total=Decimal("99.50"))
    record_says(world, "4", balance=None)
    record_says(world, "5", deleted=True)
    world.delete("Invoice", "6")
    record_says(world, "7", sync_token=9)
    long_ago(world)


def test_a_true_record_is_green_and_the_sums_agree(world: World) -> None:
    world.put(
        "Invoice",
        an_invoice("1", TotalAmt=100.1, Balance=40.2),
        an_invoice("2", TotalAmt=0.2, Balance=0),
    )
    world.backfill()
    ended = compare(world)
    assert (ended["state"], ended["error"], ended["differences"]) == ("done", None, [])
    sums = {"count": 2, "total": Decimal("100.3"), "balance": Decimal("40.2")}
    assert (ended["there"], ended["here"]) == (sums, sums)


@pytest.mark.both_databases("the statements are its own")
def test_every_difference_is_named(world: World) -> None:
    seven_ways_to_differ(world)
    before = world.documents()
    ended = compare(world)
    assert named(ended["differences"]) == [
        ("1", "missing"),
        ("2", "outdated"),
        ("3", "amounts"),
        ("4", "amounts"),
        ("5", "recorded as deleted"),
        ("7", "ahead"),
        ("6", "deleted in QuickBooks"),
    ]
    assert ended["error"] == (
        "7 invoices differ from QuickBooks: Id 1 (missing), 102 (Id 2, outdated),"
        " 103 (Id 3, amounts), 104 (Id 4, amounts), 105 (Id 5, recorded as deleted),"
        " 107 (Id 7, ahead), 106 (Id 6, deleted in QuickBooks)"
    )
    third = ended["differences"][2]
    assert third["number"] == "103"
    assert third["there"].endswith("total 100.5, balance 40.25")
    assert third["here"].endswith("total 99.5, balance 40.25")
    assert ended["there"]["count"] == 7
    assert world.documents() == before  # it only looks


@pytest.mark.both_databases("the statements are its own")
def test_fixing_fixes_all_but_what_quickbooks_has_turned_back(world: World) -> None:
    seven_ways_to_differ(world)
    ended = compare(world, fix=True)
    assert sorted(named(ended["fixed"])) == [
        ("1", "missing"),
        ("2", "outdated"),
        ("3", "amounts"),
        ("4", "amounts"),
        ("5", "recorded as deleted"),
        ("6", "deleted in QuickBooks"),
    ]
    # The guard lets no older version in, wherever it comes from.
    assert named(ended["differences"]) == [("7", "ahead")]
    record_says(world, "7", sync_token=0)
    again = compare(world)
    assert (again["error"], again["there"]) == (None, again["here"])
    assert world.documents()["2"]["invoiceAmount"] == Decimal("90.0")
    assert world.holds()["6"] == "deleted"


def test_what_changes_meanwhile_is_no_difference(world: World) -> None:
    """The newest version is recorded by a notice after the page that showed the older one."""
    world.put("Invoice", an_invoice("1"), an_invoice("2"))
    world.backfill()
    long_ago(world)
    world.pass_time_in_quickbooks(seconds=2)

    def meanwhile() -> None:
        if not done:
            done.append(1)
            world.simulator.simulator.change(
                REALM, lambda ledger: ledger.put("Invoice", an_invoice("3"))
            )

    done: list[int] = []
    with world.during_a_page(meanwhile):
        ended = compare(world, fix=True)
    assert (ended["error"], ended["there"]["count"], ended["here"]["count"]) == (None, 3, 3)


def test_what_came_after_everything_was_read_is_no_difference(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    world.backfill()
    long_ago(world)
    with world.services.database.write() as session:
        order = {"full": True, "fix": False}
        run_id = runs.begin_reconcile(session, world.connection_id, "command", order, now())
    while not (world.run(run_id).cursor or {}).get("page", {}).get("done"):
        assert world.advance(run_id)
    world.arrive(an_invoice("2"))
    ended = finish(world, run_id)
    assert (ended["state"], ended["differences"]) == ("done", [])


def test_a_deletion_is_found_though_its_customer_changes_meanwhile(world: World) -> None:
    """The new name lets the invoice be recorded anew, though nobody has read it."""
    world.put("Invoice", an_invoice("1"), an_invoice("2"))
    world.backfill()
    world.delete("Invoice", "2", event="false")
    with world.services.database.write() as session:
        order = {"full": True, "fix": True}
        run_id = runs.begin_reconcile(session, world.connection_id, "command", order, now())
    assert world.advance(run_id)
    world.put("Customer", a_customer(PrimaryEmailAddr={"Address": "new@example.com"}))
    world.hear("Customer", "7", "updated")
    assert {d["buyerEmail"] for d in world.documents().values()} == {"new@example.com"}
    ended = finish(world, run_id)
    assert named(ended["fixed"]) == [("2", "deleted in QuickBooks")]
    assert world.holds() == {"1": None, "2": "deleted"}


@pytest.mark.both_databases("the statements are its own")
def test_after_a_long_gap_the_watermark_is_quickbooks_time_when_the_reading_began(
    world: World,
) -> None:
    """What is deleted after its page was read is for the next reconcile to find."""
    world.put("Invoice", an_invoice("1"))
    reconciled_long_ago(world, days=50)
    world.pass_time_in_quickbooks(minutes=4)
    with world.services.database.write() as session:
        order = {"full": False, "fix": True}
        run_id = runs.begin_reconcile(session, world.connection_id, "daily", order, now())
    while world.run(run_id).expected is None:
        assert world.advance(run_id)
    world.pass_time_in_quickbooks(minutes=5)
    assert finish(world, run_id)["state"] == "done"
    began = watermark(world) - now()
    assert timedelta(minutes=3) < began <= timedelta(minutes=4)


def test_an_invoice_that_quickbooks_cannot_show_is_a_difference(world: World) -> None:
    world.put("Invoice", *(an_invoice(str(n)) for n in range(1, 6)))
    world.backfill()
    cannot_show(world, "3")
    ended = compare(world)
    place = "the first invoice after 104 (Id 4) in the order of changes"
    # Whether the third is deleted or is the one that cannot be shown, nobody knows.
    assert named(ended["differences"]) == [("3", "not shown"), (place, "unreadable")]
    assert ended["error"] == (
        f"QuickBooks cannot show 1 invoice: {place};"
        " 1 invoice differs from QuickBooks: 103 (Id 3, not shown)"
    )
    assert gist(ended) == ("QuickBooks cannot show 1 invoice; 1 invoice differs from QuickBooks")


def test_what_quickbooks_cannot_show_is_named_and_counted_once_and_never_taken_for_deleted(
    world: World,
) -> None:
    """Among twelve of which many share a second, so that what is read last is read once more."""
    seconds = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    load(world, seconds)
    world.backfill()
    before = world.documents()
    cannot_show(world, "7")
    world.delete("Invoice", "2", event="false")
    places = [one["id"] for one in compare(world)["differences"] if not one["id"].isdigit()]
    assert places == ["the first invoice after 108 (Id 8) in the order of changes"]
    for _ in range(2):
        ended = compare(world, fix=True)
        assert named(ended["differences"]) == [("7", "unreadable")]
        assert ended["error"] == "QuickBooks cannot show 1 invoice: 107 (Id 7)"
        assert (ended["read"], ended["unchanged"]) == (10, 10)
        assert world.documents()["7"] == before["7"]
        assert world.holds()["7"] is None
    assert world.holds()["2"] == "deleted"  # QuickBooks has said so
    (failed,) = [row for row in world.notice_rows() if row.operation == "unreadable"]
    assert failed.reason == f"QuickBooks cannot show {places[0]}"


@pytest.mark.usefixtures("small_pages")
def test_a_large_company_is_compared_page_by_page(world: World) -> None:
    load(world, list(range(210)))
    world.backfill()
    world.forget_calls()
    with statements(world.services.database) as sent:
        ended = compare(world)
    assert (ended["error"], ended["there"]["count"], ended["read"]) == (None, 210, 210)
    assert world.calls() == 5  # a count, three pages, and one more look
    # Each page counts what it shows itself, and only the end all that was shown.
    assert sum("SUM(runs_seen.total" in one for one in sent) == 1


@pytest.mark.both_databases("the statements are its own")
def test_asking_for_more_widens_a_reconcile_under_way(world: World) -> None:
    with world.services.database.write() as session:
        order = {"full": False, "fix": True}
        run_id = runs.begin_reconcile(session, world.connection_id, "daily", order, now())
    with world.services.database.write() as session:
        order = {"full": True, "fix": False}
        joined = runs.begin_reconcile(session, world.connection_id, "command", order, now())
    run = world.run(run_id)
    assert joined == run_id
    assert (run.cursor, run.cause, run.generation) == ({"full": True, "fix": True}, "command", 1)
    with world.services.database.write() as session:
        order = {"full": False, "fix": True}
        assert runs.begin_reconcile(session, world.connection_id, "daily", order, now()) == run_id
    assert world.run(run_id).generation == 1


def test_what_cannot_be_read_of_a_newer_version_is_called_outdated_here(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.pass_time_in_quickbooks(seconds=2)
    world.put("Invoice", an_invoice("1", TotalAmt="ten dollars"))
    ended = reconcile(world, full=True, fix=False)
    (found,) = ended["differences"]
    assert (found["id"], found["kind"]) == ("1", "outdated")
    assert "total none, balance none" in found["there"]
    assert ended["error"] == "1 invoice differs from QuickBooks: 101 (Id 1, outdated)"
