"""What becomes of a company's notices when QuickBooks does not answer as it should."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from service.database.tables import Notice
from service.kit.clock import now
from service.operations import actions
from service.simulator.faults import system_error
from tests.workers.reconciling import catch_up, set_connection
from tests.workers.world import World, a_customer, an_event, an_invoice

WAITS = "waiting for the next attempt"


def heard(world: World, *quickbooks_ids: str) -> None:
    """Put invoices into QuickBooks, and let their notices come."""
    world.put("Invoice", *[an_invoice(i) for i in quickbooks_ids])
    world.webhook(*[an_event("Invoice", i, "created") for i in quickbooks_ids])


def seconds_of_pause(world: World) -> int:
    until = world.connection().paused_until
    return 0 if until is None else round((until - now()).total_seconds())


def test_an_expired_token_is_renewed_once_and_the_work_is_done(world: World) -> None:
    heard(world, "1")
    world.pass_time_in_quickbooks(hours=2)
    world.count_refreshes()
    world.sync()
    assert world.notices() == [("done", "created")]
    assert world.refreshes() == 1


def test_a_401_is_answered_with_another_token(world: World) -> None:
    heard(world, "1")
    world.faults({"preset": "401", "count": 1})
    world.sync()
    assert world.notices() == [("done", "created")]


def test_a_401_that_stays_is_tried_again_later(world: World) -> None:
    heard(world, "1")
    world.faults({"preset": "401"})
    world.sync()
    (row,) = world.notice_rows()
    assert (row.status, row.error_class) == ("pending", "TransientError")
    assert world.connection().state == "connected"
    assert 1 <= seconds_of_pause(world) <= 2


def test_a_dead_grant_disconnects_and_keeps_the_notices(world: World) -> None:
    heard(world, "1")
    world.faults({"preset": "401", "count": 1}, {"preset": "invalid_grant"})
    world.sync()
    connection = world.connection()
    assert connection.state == "disconnected"
    assert connection.problem == "QuickBooks no longer accepts the refresh token"
    (row,) = world.notice_rows()
    assert (row.status, row.reason, row.error_class) == ("pending", WAITS, "Disconnected")


def test_notices_of_a_disconnected_company_wait_without_a_call(world: World) -> None:
    heard(world, "1")
    world.faults({"preset": "401", "count": 1}, {"preset": "invalid_grant"})
    world.sync()
    world.no_faults()
    world.put("Invoice", an_invoice("2"))
    world.webhook(an_event("Invoice", "2", "created"))
    world.forget_calls()
    world.sync()
    assert world.calls() == 0
    assert world.sweep() == []
    assert [status for status, _ in world.notices()] == ["pending", "pending"]
    world.reconnect()
    assert world.sweep() == [("sync_company", world.connection_id)]
    world.sync()
    assert world.notices() == [("done", "held: unproven"), ("done", "held: unproven")]
    set_connection(world, reconcile_due_at=now())
    catch_up(world)
    assert sorted(world.documents()) == ["1", "2"]


@pytest.mark.both_databases("the statements are its own")
def test_a_company_that_does_not_let_us_in_keeps_its_notices_waiting(world: World) -> None:
    heard(world, "1", "2")
    world.faults({"preset": "403-3100", "headers": {"intuit_tid": "1-trace-me"}})
    world.sync()
    rows = world.notice_rows()
    assert [(row.status, row.error_class) for row in rows] == [("pending", "Barred")] * 2
    assert rows[0].error_message == (
        "QuickBooks does not let this app into the company (HTTP 403, code 3100)"
    )
    assert rows[0].intuit_tid is not None
    assert world.connection().state == "connected"
    assert abs(seconds_of_pause(world) - 3600) <= 1
    world.http.delete(f"{world.simulator.url}/_sim/faults")
    world.sync()
    assert world.notices() == [("done", "created"), ("done", "created")]


@pytest.mark.parametrize(
    ("rule", "seconds"),
    [
        ({"preset": "429-json"}, 60),
        ({"preset": "429-xml"}, 60),
        ({"preset": "429-json", "headers": {"Retry-After": "17"}}, 17),
        ({"preset": "429-xml", "headers": {"Retry-After": "300"}}, 300),
        ({"preset": "429-json", "headers": {"Retry-After": "86400"}}, 900),
    ],
)
def test_a_429_pauses_the_company(world: World, rule: dict[str, Any], seconds: int) -> None:
    heard(world, "1")
    world.faults({**rule, "count": 1})
    world.sync()
    assert abs(seconds_of_pause(world) - seconds) <= 1
    (row,) = world.notice_rows()
    assert (row.status, row.reason, row.error_class) == ("pending", WAITS, "Throttled")
    world.forget_calls()
    world.sync_at_once()
    assert world.calls() == 0
    assert world.sweep() == []
    world.sync()
    assert world.notices() == [("done", "created")]


@pytest.mark.parametrize(
    ("asked", "seconds"), [("86400", 900), ("900", 900), ("7", 7), ("0", 2), ("Mon, 1", None)]
)
@pytest.mark.parametrize("kind", ["query", "token"])
def test_an_outage_that_says_how_long_is_believed_for_fifteen_minutes_at_most(
    world: World, asked: str, seconds: int | None, kind: str
) -> None:
    heard(world, "1")
    if kind == "token":
        world.pass_time_in_quickbooks(hours=2)
    world.faults({"status": 503, "headers": {"Retry-After": asked}, "kind": kind, "count": 1})
    world.sync()
    assert abs(seconds_of_pause(world) - (seconds or 1)) <= 1
    world.sync()
    assert world.notices() == [("done", "created")]


def test_notices_that_are_retried_do_not_wait_for_a_pause(world: World) -> None:
    heard(world, "1")
    world.sync()
    world.pause(seconds=900)
    database, mine = world.services.database, world.connection_id
    assert actions.replay(database, [mine], "operator", {}) == (1, {mine})
    assert seconds_of_pause(world) == 0
    assert world.sweep() == [("sync_company", mine)]


def test_a_pause_holds_for_the_backfill_too(world: World) -> None:
    heard(world, "1")
    run_id = world.begin_backfill()
    world.faults({"preset": "429-json", "count": 1})
    world.sync()
    world.forget_calls()
    assert world.advance(run_id) is False
    assert world.calls() == 0


@pytest.mark.both_databases("the statements are its own")
def test_a_success_that_was_under_way_does_not_end_a_pause(world: World) -> None:
    """A page of a backfill may be recorded after the sync beside it was told to wait."""
    world.pause(seconds=60)
    world.note_success()
    assert 58 <= seconds_of_pause(world) <= 60


@pytest.mark.parametrize(
    "rule",
    [
        {"preset": "503-html"},
        {"status": 502, "body": "bad gateway"},
        {"status": 500},
        {"status": 408},
        {"drop": True},
        {"preset": "truncated"},
        {"body": "surely no JSON"},
        {"body": [1, 2]},
        {"body": {"QueryResponse": {"Invoice": "not a list"}}},
    ],
)
def test_what_may_pass_is_tried_again_and_its_error_is_kept(
    world: World, rule: dict[str, Any]
) -> None:
    heard(world, "1")
    world.faults({**rule, "count": 1})
    world.sync()
    (row,) = world.notice_rows()
    assert (row.status, row.reason) == ("pending", WAITS)
    assert (row.error_class, row.attempts, row.losses) == ("TransientError", 1, 0)
    assert row.error_message
    assert 1 <= seconds_of_pause(world) <= 2
    world.sync()
    assert world.notices() == [("done", "created")]
    assert world.connection().paused_until is None


def test_pauses_grow_while_it_goes_on_failing_and_end_at_fifteen_minutes(
    world: World,
) -> None:
    heard(world, "1")
    world.faults({"preset": "503-html"})
    pauses = []
    for _ in range(12):
        world.sync()
        pauses.append(seconds_of_pause(world))
    assert all(2**n <= 2 * pauses[n] + 1 and pauses[n] <= 2 * 2**n for n in range(8))
    assert all(450 <= pause <= 900 for pause in pauses[9:])


def test_a_fault_inside_a_200_is_not_an_answer(world: World) -> None:
    heard(world, "1")
    world.faults({"preset": "fault-in-200", "count": 1})
    world.sync()
    (row,) = world.notice_rows()
    assert (row.status, row.error_class) == ("pending", "Poisoned")
    world.sync()
    assert world.notices() == [("done", "created")]


def test_an_empty_answer_deletes_nothing(world: World) -> None:
    heard(world, "1", "2", "3")
    world.sync()
    world.faults({"preset": "empty", "kind": "query", "entity": "Invoice", "count": 1})
    world.webhook(*[an_event("Invoice", i, "updated") for i in ("1", "2", "3")])
    world.forget_calls()
    world.sync()
    assert world.holds() == {"1": None, "2": None, "3": None}
    assert (world.calls("query"), world.calls("read")) == (1, 3)


def test_a_610_to_a_query_deletes_nothing(world: World) -> None:
    heard(world, "1")
    world.sync()
    world.faults({"preset": "610", "kind": "query", "entity": "Invoice", "count": 1})
    world.hear("Invoice", "1", "updated")
    assert world.holds() == {"1": None}
    assert world.notices()[-1] == ("done", "unchanged")


def test_one_poisoned_invoice_is_found_and_failed_alone(world: World) -> None:
    heard(world, *map(str, range(1, 9)))
    world.poison("Invoice", "5")
    world.sync()
    rows = {row.entity_id: row for row in world.notice_rows()}
    assert {i: row.status for i, row in rows.items()} == {
        **dict.fromkeys("1234678", "done"),
        "5": "failed",
    }
    assert rows["5"].error_class == "Poisoned"
    assert rows["5"].intuit_tid
    assert sorted(world.documents()) == list("1234678")


@pytest.mark.parametrize(
    ("status", "format"),
    [(200, "json"), (404, "xml"), (500, "gateway"), (200, "list"), (500, "batch")],
)
def test_a_code_decides_whatever_the_status_and_the_envelope(
    world: World, status: int, format: str
) -> None:
    """4002 is halved at once, and a throttled company left alone; neither is an outage."""
    odd = {"status": status, "format": format, "kind": "query", "entity": "Invoice", "count": 1}
    heard(world, "1", "2")
    world.faults({**odd, "fault": "4002"})
    world.sync()
    assert world.notices() == [("done", "created")] * 2
    world.webhook(an_event("Invoice", "1", "updated"))
    world.faults({**odd, "fault": "3001"})
    world.sync()
    assert abs(seconds_of_pause(world) - 60) <= 1
    assert world.notice_rows()[-1].error_class == "Throttled"


@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_invoice_is_gone_by_its_code_under_any_status(world: World, status: int) -> None:
    heard(world, "1")
    world.sync()
    world.delete("Invoice", "1")
    world.faults({"fault": "610", "status": status, "kind": "read", "count": 1})
    world.hear("Invoice", "1", "deleted")
    assert world.holds() == {"1": "deleted"}


@pytest.mark.parametrize("kind", ["query", "token"])
@pytest.mark.parametrize(("code", "status"), [("120", 200), ("3100", 404), ("6190", 500)])
def test_a_company_is_barred_by_the_code_under_any_status(
    world: World, status: int, code: str, kind: str
) -> None:
    heard(world, "1")
    if kind == "token":
        world.pass_time_in_quickbooks(hours=2)
    world.faults({"fault": code, "status": status, "kind": kind})
    world.sync()
    (row,) = world.notice_rows()
    assert (row.status, row.error_class) == ("pending", "Barred")
    assert abs(seconds_of_pause(world) - 3600) <= 1


def test_a_query_that_is_too_large_is_halved(world: World) -> None:
    for rule in ({"preset": "4000"}, {"status": 413}, {"status": 414}):
        world.faults({**rule, "kind": "query", "entity": "Invoice", "count": 1})
    heard(world, *"12345678")
    world.sync()
    assert sorted(world.documents()) == list("12345678")


def test_an_ambiguous_fault_of_one_invoice_is_tried_again_while_the_others_are_done(
    world: World,
) -> None:
    """10000 is what QuickBooks says of a bad record, and of itself when it is down."""
    heard(world, "1", "2", "3", "4")
    world.poison("Invoice", "2", fault=system_error())
    world.sync()
    rows = {row.entity_id: row for row in world.notice_rows()}
    assert {i: row.status for i, row in rows.items()} == {
        **dict.fromkeys("134", "done"),
        "2": "pending",
    }
    assert (rows["2"].error_class, rows["2"].losses) == ("Poisoned", 0)
    assert rows["2"].due_at is not None
    assert world.connection().paused_until is None


def test_an_outage_is_not_bisected_to_the_last_invoice(world: World) -> None:
    heard(world, *map(str, range(1, 101)))
    world.faults({"preset": "5xx", "kind": "query"})
    world.forget_calls()
    world.sync()
    assert world.calls() == 12
    assert {(row.status, row.error_class) for row in world.notice_rows()} == {
        ("pending", "TransientError")
    }


def test_an_ambiguous_fault_is_given_up_after_three_days(world: World) -> None:
    heard(world, "1")
    world.poison("Invoice", "1", fault=system_error())
    world.be_tried(times=19, since=timedelta(days=4))
    world.sync()
    (row,) = world.notice_rows()
    assert (row.status, row.error_class, row.attempts) == ("failed", "Poisoned", 20)


def test_an_outage_of_three_days_fails_what_was_tried_all_the_time(world: World) -> None:
    heard(world, "1")
    world.webhook(an_event("Invoice", "2", "created"))
    world.be_tried("1", times=19, since=timedelta(days=4))
    world.faults({"preset": "503-html"})
    world.sync()
    assert {row.entity_id: row.status for row in world.notice_rows()} == {
        "1": "failed",
        "2": "pending",
    }


def test_what_waited_for_its_supplier_for_long_is_still_tried_again(world: World) -> None:
    heard(world, "1")
    world.be_tried(times=1, since=timedelta(days=30))
    world.faults({"preset": "503-html", "count": 1})
    world.sync()
    assert world.notices() == [("pending", WAITS)]


@pytest.mark.both_databases("the statements are its own")
def test_an_invoice_that_cannot_be_mapped_is_failed_and_the_others_are_done(
    world: World,
) -> None:
    heard(world, "1", "3")
    world.put("Invoice", an_invoice("2", TotalAmt="a lot"))
    world.webhook(an_event("Invoice", "2", "created"))
    world.sync()
    rows = {row.entity_id: row for row in world.notice_rows()}
    assert {i: row.status for i, row in rows.items()} == {"1": "done", "2": "failed", "3": "done"}
    assert (rows["2"].error_class, rows["2"].error_message) == (
        "Unmappable",
        "TotalAmt: invalid decimal string",
    )


@pytest.mark.both_databases("columns hold different values")
@pytest.mark.parametrize(
    "field",
    [{"TotalAmt": 1e30}, {"Balance": 1e18}, {"MetaData": {"CreateTime": "2026-11-01"}}],
)
def test_a_value_that_no_column_holds_is_the_invoices_own_error(
    world: World, field: dict[str, Any]
) -> None:
    heard(world, "1")
    world.put("Invoice", an_invoice("2", **field))
    world.webhook(an_event("Invoice", "2", "created"))
    world.sync()
    assert {row.entity_id: row.status for row in world.notice_rows()} == {
        "1": "done",
        "2": "failed",
    }


def test_a_failed_re_read_after_a_merge_is_the_merge_notices_error(world: World) -> None:
    world.put("Customer", a_customer("27"))
    world.arrive(an_invoice("1", CustomerRef={"value": "27", "name": "Loser"}))
    world.delete("Customer", "27", mergedInto="7")
    world.poison("Invoice", "1")
    world.hear("Customer", "7", "merged", data={"deletedid": "27"})
    assert world.notice_rows()[-1].status == "failed"


def test_no_token_is_in_any_stored_error(world: World) -> None:
    """QuickBooks repeats the access token in its 401."""
    heard(world, "1")
    token = world.services.access.access_token(world.connection_id)
    for preset in ("401", "401-120", "403-3100", "5xx", "truncated", "429-xml"):
        world.faults({"preset": preset, "count": 2})
        world.sync()
        world.no_faults()
        (row,) = world.notice_rows()
        connection = world.connection()
        kept = f"{row.error_message} {row.reason} {connection.problem}"
        assert token not in kept
        assert "eyJ" not in kept
        with world.services.database.write() as session:
            session.execute(update(Notice).values(status="pending", attempts=0))


def test_wrong_keys_of_the_app_keep_the_notices_and_the_connection(world: World) -> None:
    """An operator fixes that for all companies at once; nothing may have been given up by then."""
    heard(world, "1")
    world.faults({"preset": "401", "count": 1}, {"preset": "invalid_client"})
    world.sync()
    (row,) = world.notice_rows()
    assert (row.status, row.error_class) == ("pending", "KeysRefused")
    assert "QUICKBOOKS_CLIENT_SECRET" in (row.error_message or "")
    assert world.connection().state == "connected"


@pytest.mark.parametrize("entity", ["Invoice", "Customer"])
def test_a_610_to_a_page_is_tried_again_and_fails_nothing(world: World, entity: str) -> None:
    """A query for changes, or for customers, asks for no object that could be gone."""
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Payment", "900", "created"), an_event("Invoice", "1", "created"))
    world.faults({"preset": "610", "kind": "query", "entity": entity, "count": 1})
    world.sync()
    assert {row.status for row in world.notice_rows()} <= {"pending", "done"}
    world.sync()
    assert {row.status for row in world.notice_rows()} == {"done"}
    assert list(world.documents()) == ["1"]


def test_a_610_to_a_count_does_not_end_a_backfill(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    run_id = world.begin_backfill()
    world.faults({"preset": "610", "kind": "query", "count": 1})
    world.advance(run_id)
    assert world.run(run_id).state == "active"
