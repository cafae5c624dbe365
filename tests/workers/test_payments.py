"""What notices of payments and credit memos lead to: one query for whatever changed."""

from datetime import timedelta

import pytest

from service.domain import OwnNotice
from service.kit.clock import now
from service.store import own_notices, watermarks
from tests.workers.world import World, an_event, an_invoice


def paid(world: World, amount: float | None = None, quickbooks_id: str = "1") -> None:
    """Pay an invoice, in part if an amount is given, and hear of the payment alone."""
    world.pay(quickbooks_id, amount)
    world.hear("Payment", "900", "created")


def test_a_full_payment_withdraws_the_invoice(world: World) -> None:
    world.arrive(an_invoice("1"))
    paid(world)
    assert world.holds() == {"1": "paid"}
    assert world.documents()["1"]["state"] == "invoice_rejected"
    text = "the company's changed invoices were read"
    assert world.notices()[-1] == ("done", text)
    assert world.revisions()[-1] == (2, "payment")


def test_a_part_payment_withdraws_the_invoice(world: World) -> None:
    world.arrive(an_invoice("1"))
    paid(world, 40.0)
    assert world.holds() == {"1": "partly_paid"}
    assert world.documents()["1"]["qbkWithdrawn"] == "partly_paid"


def test_a_credit_memo_leads_to_the_same_query(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.pay("1")
    world.hear("CreditMemo", "901", "created")
    assert world.holds() == {"1": "paid"}


def test_a_deleted_payment_restores_the_invoice(world: World) -> None:
    world.arrive(an_invoice("1"))
    paid(world)
    world.put("Invoice", an_invoice("1", Balance=100.0))
    world.hear("Payment", "900", "deleted")
    assert world.holds() == {"1": None}
    assert world.documents()["1"]["state"] == "invoice_created"


def test_many_payments_are_one_query(world: World) -> None:
    world.put("Invoice", *[an_invoice(str(n)) for n in range(1, 5)])
    world.webhook(*[an_event("Invoice", str(n), "created") for n in range(1, 5)])
    world.sync()
    for number in range(1, 5):
        world.pay(str(number))
    world.forget_calls()
    world.webhook(*[an_event("Payment", str(900 + n), "created") for n in range(4)])
    world.sync()
    assert set(world.holds().values()) == {"paid"}
    assert world.calls() == 1


def test_an_invoice_among_the_changes_is_not_read_a_second_time(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.pay("1")
    world.forget_calls()
    world.webhook(an_event("Payment", "900", "created"), an_event("Invoice", "1", "updated"))
    world.sync()
    assert world.calls() == 1
    assert [status for status, _ in world.notices()] == ["done", "done", "done"]
    assert ("done", "withdrawn: paid") in world.notices()


def test_the_watermark_moves_to_the_last_change_that_was_recorded(world: World) -> None:
    world.arrive(an_invoice("1"))
    at = (now() + timedelta(minutes=5)).replace(microsecond=0)
    meta = {"CreateTime": at.isoformat(), "LastUpdatedTime": at.isoformat()}
    world.put("Invoice", an_invoice("2", MetaData=meta))
    world.hear("Payment", "900", "created")
    assert sorted(world.holds()) == ["1", "2"]
    assert world.connection().changes_read_until == at


@pytest.mark.both_databases("the statements are its own")
def test_the_watermark_stays_where_nothing_could_be_recorded(world: World) -> None:
    world.arrive(an_invoice("1"))
    before = world.connection().changes_read_until
    at = (now() + timedelta(minutes=5)).isoformat(timespec="seconds")
    world.put("Invoice", an_invoice("2", MetaData={"CreateTime": at, "LastUpdatedTime": at}))
    world.faults({"preset": "503-html", "kind": "query", "entity": "Customer", "count": 1})
    world.age_customers(days=31)
    world.hear("Payment", "900", "created")
    assert world.connection().changes_read_until == before
    assert world.notices()[-1][0] == "pending"


@pytest.mark.both_databases("the statements are its own")
def test_the_watermark_never_moves_back(world: World) -> None:
    before = world.connection().changes_read_until
    with world.services.database.write() as session:
        watermarks.changes_read(session, world.connection_id, before - timedelta(hours=1))
    assert world.connection().changes_read_until == before


@pytest.mark.usefixtures("small_pages")
def test_more_than_a_page_of_changes_is_read_page_by_page(world: World) -> None:
    at = now() + timedelta(minutes=5)
    times = [(at + timedelta(seconds=n // 3)).isoformat(timespec="seconds") for n in range(110)]
    world.put(
        "Invoice",
        *[
            an_invoice(str(n + 1), MetaData={"CreateTime": time, "LastUpdatedTime": time})
            for n, time in enumerate(times)
        ],
    )
    world.forget_calls()
    world.hear("Payment", "900", "created")
    assert len(world.documents()) == 110
    assert world.calls() == 3  # two pages and the customer


def test_a_query_for_changes_that_quickbooks_calls_invalid_spoils_no_other_notice(
    world: World,
) -> None:
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Payment", "900", "created"), an_event("Invoice", "1", "created"))
    world.faults({"fault": "4001", "kind": "query", "entity": "Invoice", "count": 1})
    world.sync()
    rows = {row.entity: row for row in world.notice_rows()}
    assert (rows["Payment"].status, rows["Invoice"].status) == ("pending", "done")
    assert rows["Payment"].error_class == "Poisoned"


def test_a_renewed_connection_reads_what_changed_while_nobody_noticed(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    with world.services.database.write() as session:
        own_notices.ask_for_changes(session, world.connection_id, "renewed", now())
    world.sync()
    assert world.documents()["1"]["state"] == "invoice_created"
    assert world.notices() == [("done", "the company's changed invoices were read")]


@pytest.mark.parametrize("reported", [False, True])
def test_what_we_asked_for_is_not_called_a_payment(world: World, reported: bool) -> None:
    """Where QuickBooks has reported one as well, nobody can tell which of them it was."""
    world.arrive(an_invoice("1"))
    world.put("Invoice", an_invoice("1", TotalAmt=80.0, Balance=80.0))
    with world.services.database.write() as session:
        own_notices.ask_for_changes(session, world.connection_id, OwnNotice.SYNC, now())
    if reported:
        world.hear("Payment", "900", "created")
    else:
        world.sync()
    assert world.revisions()[-1] == (2, "check")
