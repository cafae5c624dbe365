"""One bad record in a page: it is stepped over, the rest flows."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from service.database.tables import Notice
from service.errors import SyncError
from service.kit.clock import now
from service.quickbooks import client
from service.simulator.faults import SPOILS
from service.simulator.records import Record
from tests.workers.paging import START, fill, pages
from tests.workers.reconciling import cannot_show, reconcile
from tests.workers.world import REALM, World, a_customer, an_event, an_invoice
from workers.company import CompanyContext
from workers.reading.by_change import Cursor, read_page


@pytest.mark.parametrize(
    ("fault", "bad", "places"),
    [
        ("4002", ["1"], ["the first invoice of all"]),
        ("10000", ["5"], ["the first invoice after 104 (Id 4)"]),
        ("4002", ["20"], ["the first invoice after 1019 (Id 19)"]),
        (
            "10000",
            ["5", "11"],
            ["the first invoice after 104 (Id 4)", "the first invoice after 1010 (Id 10)"],
        ),
        (
            "4002",
            ["5", "6", "7"],
            [f"the {nth} invoice after 104 (Id 4)" for nth in ("first", "second", "third")],
        ),
    ],
)
def test_a_bad_row_is_stepped_over(
    world: World, fault: str, bad: list[str], places: list[str]
) -> None:
    fill(world, list(range(20)))
    cannot_show(world, *bad, fault=fault)
    found, unnamed = pages(world)
    assert found == [str(n) for n in range(1, 21) if str(n) not in bad]
    assert unnamed == [f"{place} in the order of changes" for place in places]


@pytest.mark.parametrize("bad", ["1", "2", "4", "5", "6", "123", "45"])
def test_bad_rows_among_others_of_their_second_are_named_once(world: World, bad: str) -> None:
    fill(world, [1, 1, 1, 1, 2, 2])
    cannot_show(world, *bad)
    found, unnamed = pages(world)
    assert sorted(found) == [i for i in "123456" if i not in bad]
    assert len(unnamed) == len(bad)


def test_when_nothing_can_be_shown_it_is_quickbooks_that_is_unwell(world: World) -> None:
    fill(world, list(range(20)))
    world.faults({"fault": "10000", "kind": "query"})
    with pytest.raises(SyncError) as raised:
        pages(world)
    assert type(raised.value).__name__ == "TransientError"


@pytest.mark.parametrize("fault", ["4002", "10000"])
@pytest.mark.parametrize("times", [9, 10, 11, 12])
def test_a_row_is_not_stepped_over_because_of_an_outage_that_ends(
    world: World, fault: str, times: int
) -> None:
    """Nine halvings lead down to one row; the next rows are asked for before that is believed."""
    fill(world, [1, 2, 3])
    world.faults({"fault": fault, "kind": "query", "count": times})
    found, unnamed = pages(world)
    assert (found, unnamed) == (["1", "2", "3"], [])


@pytest.mark.parametrize("rule", [{"fault": "4002"}, {"fault": "4000"}, {"fault": "610"}])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_page_is_made_smaller_by_the_code_under_any_status(
    world: World, rule: dict[str, Any], status: int
) -> None:
    fill(world, list(range(20)))
    world.faults({**rule, "status": status, "kind": "query", "count": 2})
    company = CompanyContext.of(world.services, world.connection_id)
    page = read_page(company, Cursor(None))
    assert (len(page.reads.found), page.cursor.size) == (20, 500)


def test_a_query_that_is_called_invalid_is_not_tried_in_parts(world: World) -> None:
    fill(world, [1, 2])
    world.forget_calls()
    world.faults({"preset": None, "fault": "4001", "kind": "query", "count": 1})
    with pytest.raises(SyncError, match="calls the query invalid"):
        pages(world)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that waits a second for an answer."""
    timeout = client.httpx.Timeout(1.0, connect=5)
    monkeypatch.setattr(client, "_PATIENT", timeout)
    monkeypatch.setattr(client, "_QUICK", timeout)


def test_a_page_that_takes_too_long_is_made_smaller_and_stays_so(
    world: World, impatient: None
) -> None:
    fill(world, list(range(20)))
    world.faults({"kind": "query", "delay": 20.0, "count": 2})
    company = CompanyContext.of(world.services, world.connection_id)
    page = read_page(company, Cursor(None))
    assert (len(page.reads.found), page.cursor.size, page.cursor.slow) == (20, 250, True)


@pytest.mark.parametrize("rule", [{"drip": 0.05}, {"endless": True}])
def test_an_answer_without_end_waits_for_its_turn_and_stops_nobody(
    world: World, impatient: None, rule: dict[str, Any]
) -> None:
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))
    world.faults({**rule, "kind": "query"})
    world.sync()
    (row,) = world.notice_rows()
    assert (row.status, row.error_class) == ("pending", "TransientError")
    assert row.error_message in (
        "QuickBooks did not answer in time",
        "QuickBooks' answer is longer than 16 MiB; the rest was not read",
    )
    world.no_faults()
    world.sync()
    assert world.notices() == [("done", "created")]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads 8 KiB of an answer."""
    monkeypatch.setattr(client, "_LONGEST_ANSWER", 8192)


def test_a_page_of_too_many_bytes_is_made_smaller_and_stays_so(short: None, world: World) -> None:
    fill(world, list(range(40)))
    company = CompanyContext.of(world.services, world.connection_id)
    page = read_page(company, Cursor(None, size=40))
    assert (len(page.reads.found), page.cursor.size, page.cursor.slow) == (20, 20, True)


def test_invoices_of_too_many_bytes_come_by_their_ids_in_parts(short: None, world: World) -> None:
    ids = [str(n) for n in range(1, 41)]
    world.put("Invoice", *map(an_invoice, ids))
    world.webhook(*(an_event("Invoice", i, "created") for i in ids))
    world.sync()
    assert {row.status for row in world.notice_rows()} == {"done"}


def test_an_invoice_by_id_that_takes_too_long_is_found_alone(world: World, impatient: None) -> None:
    """Asked for together, then in halves, each too slow for the bad one."""
    world.put("Invoice", *(an_invoice(str(n)) for n in (1, 2)))
    world.webhook(*(an_event("Invoice", str(n), "created") for n in (1, 2)))
    slow: dict[str, Any] = {"kind": "query", "entity": "Invoice", "delay": 20.0}
    # The two together, and the first alone.
    world.faults({**slow, "count": 2})
    world.sync()
    rows = {row.entity_id: (row.status, row.error_class) for row in world.notice_rows()}
    assert rows == {"1": ("pending", "TransientError"), "2": ("done", None)}


def test_a_backfill_goes_on_past_a_bad_invoice_and_fails_it(world: World) -> None:
    fill(world, list(range(30)))
    cannot_show(world, "17")
    tally = world.backfill()
    assert len(world.documents()) == 29
    place = "the first invoice after 1016 (Id 16) in the order of changes"
    assert (tally["failed"], tally["failures"][0]["id"]) == (1, place)
    assert tally["error"] is None
    (row,) = world.notice_rows()
    assert (row.status, row.entity, row.error_class) == ("failed", "Connection", "Poisoned")
    assert row.reason == f"QuickBooks cannot show {place}"


@pytest.mark.parametrize("bad", ["1", "2", "5", "30"])
def test_a_place_that_could_not_be_shown_is_looked_at_again_by_itself(
    world: World, bad: str
) -> None:
    world.simulator.simulator.switch({"requests_per_second": None})
    fill(world, [0, *([1] * 6), *range(2, 25)])
    cannot_show(world, bad)
    world.backfill()
    assert len(world.documents()) == 29

    def come_back() -> Notice:
        world.let_time_pass()
        world.let_failed_come_back()
        assert world.sweep() == [("sync_company", world.connection_id)]
        world.sync_at_once()
        (row,) = world.notice_rows()
        return row

    (first,) = world.notice_rows()
    assert first.due_at is not None
    assert first.due_at - now() <= timedelta(minutes=1)
    row = come_back()
    assert (row.status, row.reason, row.attempts) == ("failed", first.reason, 1)
    assert (row.reason or "").startswith("QuickBooks cannot show the first invoice ")
    with world.services.database.write() as session:
        session.execute(update(Notice).values(attempts=40))
    row = come_back()
    assert row.due_at is not None
    assert timedelta(hours=11) < row.due_at - now() <= timedelta(days=1)
    world.simulator.simulator.behave()
    world.simulator.simulator.switch({"requests_per_second": None})
    assert come_back().status == "done"
    assert len(world.documents()) == 30


def test_a_place_that_is_met_again_after_it_was_read_is_told_of_again(world: World) -> None:
    fill(world, list(range(5)))
    cannot_show(world, "3")
    world.backfill()
    world.simulator.simulator.behave()
    world.simulator.simulator.switch({"requests_per_second": None})
    world.let_time_pass()
    world.let_failed_come_back()
    world.sync()
    assert [row.status for row in world.notice_rows()] == ["done"]
    cannot_show(world, "3")
    world.backfill()
    (row,) = world.notice_rows()
    assert (row.status, row.duplicates) == ("failed", 1)
    assert row.due_at is not None


@pytest.mark.both_databases("the statements are its own")
def test_a_payment_brings_what_changed_though_one_invoice_is_bad(world: World) -> None:
    world.put("Invoice", *(an_invoice(str(n)) for n in range(1, 8)))
    cannot_show(world, "3")
    world.hear("Payment", "900", "created")
    assert sorted(world.documents()) == ["1", "2", "4", "5", "6", "7"]
    statuses = sorted((row.entity, row.status) for row in world.notice_rows())
    assert statuses == [("Connection", "failed"), ("Payment", "done")]


@pytest.mark.parametrize("rows", ["as recorded", "reversed"])
def test_everything_else_is_read_whichever_way_equal_seconds_are_ordered(
    world: World, rows: str
) -> None:
    """The bad one shares its second with others, so pages are cut inside that second."""
    world.simulator.simulator.switch({"rows": rows})
    fill(world, [n // 6 for n in range(1, 13)])
    cannot_show(world, "8")
    world.backfill()
    assert sorted(map(int, world.documents())) == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]
    (failed,) = world.notice_rows()
    neighbour = {"as recorded": "109 (Id 9)", "reversed": "107 (Id 7)"}[rows]
    assert f"the first invoice after {neighbour} in the order" in str(failed.reason)


def test_a_bad_invoice_that_is_met_again_stays_one_failed_notice(world: World) -> None:
    world.put("Invoice", *(an_invoice(str(n)) for n in (1, 2)))
    cannot_show(world, "1")
    world.backfill()
    (first,) = world.notice_rows()
    world.backfill()
    (again,) = world.notice_rows()
    assert (again.id, again.status, again.duplicates) == (first.id, "failed", 1)
    assert again.intuit_tid != first.intuit_tid  # Intuit finds the newest the soonest
    assert again.reason == (
        "QuickBooks cannot show the first invoice after 102 (Id 2) in the order of changes"
    )


def test_a_bad_customer_is_called_a_customer(world: World) -> None:
    company = CompanyContext.of(world.services, world.connection_id)
    world.put("Customer", a_customer("7"), a_customer("8", DisplayName="Other"))
    cannot_show(world, "7", entity="Customer")
    cursor, places = Cursor(START), []
    while not cursor.done:
        page = read_page(company, cursor, "Customer")
        places += page.reads.unnamed
        cursor = page.cursor
    assert places == ["the first customer after Id 8 in the order of changes"]


def test_the_bad_customer_comes_back_when_it_is_fixed(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.pass_time_in_quickbooks(seconds=2)
    world.put("Customer", a_customer(PrimaryEmailAddr={"Address": "mended@example.com"}))
    cannot_show(world, "7", entity="Customer")
    reconcile(world)
    (_, failed) = world.notice_rows()
    assert (failed.status, failed.entity, failed.entity_id) == ("failed", "Customer", None)
    world.let_failed_come_back()
    world.sync()
    (_, failed) = world.notice_rows()
    assert failed.status == "failed"  # still so
    world.order("DELETE", "poison")
    world.let_failed_come_back()
    world.sync()
    assert world.notices()[1:] == [("done", "what is there was read")]
    assert world.documents()["1"]["buyerEmail"] == "mended@example.com"


def test_the_bad_invoice_comes_back_when_it_is_fixed(world: World) -> None:
    world.put("Invoice", an_invoice("1"), an_invoice("2"))
    cannot_show(world, "1")
    world.backfill()
    world.order("DELETE", "poison")
    world.pass_time_in_quickbooks(seconds=2)
    world.arrive(an_invoice("1", TotalAmt=80.0, Balance=80.0))
    assert world.documents()["1"]["invoiceAmount"] == 80.0


SPOILT = [text.decode().strip('"') for text in SPOILS]


def test_an_answer_that_one_invoice_spoils_is_halved_down_to_it(world: World) -> None:
    """By id, whatever it is that cannot be decoded."""
    notes = dict(enumerate(SPOILT, start=1))
    world.put("Invoice", *(an_invoice(str(n)) for n in range(20, 30)))
    world.put("Invoice", *(an_invoice(str(n), PrivateNote=notes[n]) for n in notes))
    ids = [str(n) for n in (*notes, *range(20, 30))]
    world.webhook(*(an_event("Invoice", i, "created") for i in ids))
    world.sync()
    rows = {row.entity_id: row for row in world.notice_rows()}
    assert {i: rows[i].status for i in ids} == {
        **{str(n): "failed" for n in notes},
        **{str(n): "done" for n in range(20, 30)},
    }
    assert {rows[str(n)].error_class for n in notes} == {"Poisoned"}
    assert rows["1"].intuit_tid
    assert rows["1"].error_message == (
        "QuickBooks sent JSON that cannot be decoded: a record of it holds an invalid value"
    )
    assert world.connection().paused_until is None


@pytest.mark.parametrize("note", SPOILT)
def test_a_page_that_one_invoice_spoils_is_stepped_over(world: World, note: str) -> None:
    fill(world, list(range(6)))
    spoil(world, "4", note)
    found, unnamed = pages(world, size=4)
    assert found == ["1", "2", "3", "5", "6"]
    assert unnamed == ["the first invoice after 103 (Id 3) in the order of changes"]


def spoil(world: World, quickbooks_id: str, note: str = SPOILT[0], entity: str = "Invoice") -> None:
    """Let the record hold what is no JSON, without a change of its time."""
    shelf = world.simulator.simulator.companies[REALM].shelves[entity]
    record = shelf.get(quickbooks_id)
    assert record is not None
    shelf.put(Record({**record.data, "PrivateNote": note, "Notes": note}))


@pytest.mark.parametrize("fault", [None, "4002"])
def test_many_bad_neighbours_do_not_stop_the_company(world: World, fault: str | None) -> None:
    """As when the name of a customer spoils all of its invoices."""
    fill(world, list(range(8)))
    bad = ["2", "3", "4", "5", "6"]
    if fault:
        cannot_show(world, *bad, fault=fault)
    else:
        for quickbooks_id in bad:
            spoil(world, quickbooks_id)
    found, unnamed = pages(world, size=2)
    assert (found, len(unnamed)) == (["1", "7", "8"], 5)


@pytest.mark.parametrize("full", [False, True])
def test_a_reconcile_brings_what_changed_beside_a_spoilt_invoice(world: World, full: bool) -> None:
    world.put("Invoice", *(an_invoice(str(n)) for n in range(1, 6)))
    spoil(world, "3")
    tally = reconcile(world, full=full)
    assert sorted(world.documents()) == ["1", "2", "4", "5"]
    assert tally["state"] == "done"
    (row,) = world.notice_rows()
    assert (row.status, row.error_class) == ("failed", "Poisoned")


def test_a_backfill_goes_on_past_a_spoilt_customer_and_invoice(world: World) -> None:
    world.put("Customer", a_customer("7"), a_customer("8", DisplayName="Other"))
    world.put("Invoice", *(an_invoice(str(n)) for n in range(1, 4)))
    world.put("Invoice", an_invoice("4", CustomerRef={"value": "8"}))
    spoil(world, "8", entity="Customer")
    spoil(world, "2")
    world.backfill()
    assert sorted(world.documents()) == ["1", "3", "4"]
    assert world.documents()["1"]["buyerEmail"] == "buyer@example.com"


def test_when_every_answer_is_spoilt_it_is_no_invoice_s_fault(world: World) -> None:
    ids = [str(n) for n in range(1, 41)]
    world.put("Invoice", *map(an_invoice, ids))
    world.webhook(*(an_event("Invoice", i, "created") for i in ids))
    world.faults({"body": '{"QueryResponse":{"Invoice":[NaN]}}', "kind": "query"})
    world.sync()
    assert {row.status for row in world.notice_rows()} == {"pending"}
    world.no_faults()
    world.sync()
    assert len(world.documents()) == 40


@pytest.mark.parametrize("answer", [{"preset": "truncated"}, {"body": "<html>well</html>"}])
def test_an_answer_that_is_cut_or_no_json_fails_nothing(
    world: World, answer: dict[str, Any]
) -> None:
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))
    world.faults({**answer, "kind": "query"})
    for _ in range(4):
        world.sync()
    assert [row.status for row in world.notice_rows()] == ["pending"]
