"""One id leads through the log, from the webhook to the write and to the notice's end."""

import re
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import update

from service.database.tables import Notice
from service.quickbooks.webhooks import sign
from tests.workers.world import (
    ENDS_OF_NOTICES,
    REALM,
    VERIFIER,
    World,
    a_customer,
    an_event,
    an_invoice,
)

Line = dict[str, Any]


def named(lines: list[Line], event: str) -> list[Line]:
    return [line for line in lines if line["event"] == event]


def the_only(lines: list[Line], event: str) -> Line:
    (line,) = named(lines, event)
    return line


def invoice_id(world: World, quickbooks_id: str) -> str:
    found: str = world.documents()[quickbooks_id]["invoiceId"]
    return found


def test_one_id_leads_from_the_webhook_to_the_write(world: World) -> None:
    world.put("Invoice", an_invoice("1"), an_invoice("2"))
    with structlog.testing.capture_logs() as lines:
        events = [an_event("Invoice", "1", "created"), an_event("Invoice", "2", "created")]
        assert world.webhook(*events).status_code == 200
        world.sync()
        world.hear("Invoice", "1", "updated")
    first, second = named(lines, "webhook.stored")
    (delivery,), (another,) = first["deliveries"], second["deliveries"]
    assert re.fullmatch("[0-9a-f]{32}", delivery)
    assert (first["events"], second["events"]) == (2, 1)
    assert another != delivery
    written = named(lines, "invoice.recorded")
    assert {line["invoice"]: line["revision"] for line in written} == {
        invoice_id(world, "1"): 1,
        invoice_id(world, "2"): 1,
    }
    assert [(w["action"], w["cause"], w["deliveries"]) for w in written] == [
        ("create", "notice", [delivery]),
        ("create", "notice", [delivery]),
    ]
    ends = {n["notice"]: (n["delivery"], n["outcome"]) for n in named(lines, "notice.done")}
    assert ends == {
        1: (delivery, "created"),
        2: (delivery, "created"),
        3: (another, "unchanged"),
    }
    assert [row.webhook_id for row in world.notice_rows()] == [
        delivery,
        delivery,
        another,
    ]
    private = [REALM, "supplier@example.com", "buyer@example.com", "Buyer Seven"]
    assert [value for value in private if value in str(lines)] == []


def test_a_payment_leads_to_the_invoice_that_it_changed(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.pay("1")
    with structlog.testing.capture_logs() as lines:
        world.webhook(an_event("Payment", "9", "created"), an_event("Invoice", "1", "updated"))
        world.sync()
    written = the_only(lines, "invoice.recorded")
    assert (written["revision"], written["cause"]) == (2, "payment")
    assert written["deliveries"] == the_only(lines, "webhook.stored")["deliveries"]
    assert sorted(line["notice"] for line in named(lines, "notice.done")) == [2, 3]


def test_what_is_mapped_anew_is_told_too(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.put("Customer", a_customer(PrimaryEmailAddr={"Address": "new@example.com"}))
    with structlog.testing.capture_logs() as lines:
        world.hear("Customer", "7", "updated")
    written = the_only(lines, "invoice.recorded")
    assert (written["invoice"], written["revision"], written["action"]) == (
        invoice_id(world, "1"),
        2,
        "refresh",
    )


def test_a_notice_that_waits_or_fails_says_so_with_quickbooks_trace_id(world: World) -> None:
    world.put("Invoice", an_invoice("1", TotalAmt="no number"), an_invoice("2"))
    with structlog.testing.capture_logs() as lines:
        for quickbooks_id in ("1", "2"):
            world.webhook(an_event("Invoice", quickbooks_id, "created"))
        world.faults({"kind": "query", "status": 503, "count": 1})
        world.sync()
        world.sync()
    first, second = (line["deliveries"][0] for line in named(lines, "webhook.stored"))
    waiting = named(lines, "notice.postponed")
    assert [(line["notice"], line["delivery"]) for line in waiting] == [(1, first), (2, second)]
    assert {line["error"] for line in waiting} == {"TransientError"}
    assert all(line["intuit_tid"] for line in waiting)
    failed = the_only(lines, "notice.failed")
    assert (failed["notice"], failed["delivery"], failed["error"]) == (1, first, "Unmappable")
    assert the_only(lines, "notice.done")["notice"] == 2


def test_a_notice_that_killed_its_worker_too_often_says_so(world: World) -> None:
    world.webhook(an_event("Invoice", "1", "created"))
    with world.services.database.write() as session:
        session.execute(update(Notice).values(losses=5))
    with structlog.testing.capture_logs() as lines:
        world.sync()
    assert the_only(lines, "notice.failed")["error"] == "Unforeseen"


@pytest.mark.both_databases("a failed transaction ends differently")
def test_nothing_is_told_of_a_transaction_that_was_undone(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))
    with structlog.testing.capture_logs() as lines, world.refusing(ENDS_OF_NOTICES):
        world.sync()
    assert named(lines, "invoice.recorded") + named(lines, "notice.done") == []


def test_intuits_own_trace_id_is_logged_when_it_looks_like_one(world: World) -> None:
    def deliver(trace_id: str) -> httpx.Response:
        headers = {"intuit-signature": sign(b"[]", VERIFIER), "intuit-t-id": trace_id}
        return world.web.post("/quickbook/webhook", content=b"[]", headers=headers)

    with structlog.testing.capture_logs() as lines:
        for trace_id in ("1-65a1b2c3-4f", "x" * 65, "a b", "supplier@example.com"):
            assert deliver(trace_id).status_code == 200
    stored = named(lines, "webhook.stored")
    assert [line["intuit_tids"] for line in stored] == [["1-65a1b2c3-4f"], [], [], []]


def test_many_that_end_alike_share_a_line_which_names_them_all(world: World) -> None:
    numbers = [str(number) for number in range(1, 22)]
    world.put("Invoice", *(an_invoice(number) for number in numbers))
    with structlog.testing.capture_logs() as lines:
        world.webhook(*(an_event("Invoice", number, "created") for number in numbers))
        world.sync()
    deliveries = the_only(lines, "webhook.stored")["deliveries"]
    written, done = the_only(lines, "invoices.recorded"), the_only(lines, "notices.done")
    assert sorted(written["invoices"]) == sorted(invoice_id(world, n) for n in numbers)
    assert (written["action"], written["cause"]) == ("create", "notice")
    assert (sorted(done["notices"]), done["outcome"]) == ([*range(1, 22)], "created")
    assert written["deliveries"] == done["deliveries"] == deliveries
    assert named(lines, "invoice.recorded") + named(lines, "notice.done") == []
