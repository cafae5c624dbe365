"""Notices that fail: for how long they are tried, and how those that were given up come back."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.exc import OperationalError

from service.database.tables import Notice
from service.kit.clock import now
from service.simulator.faults import CATALOGUE, poisoned
from service.store import inbox
from tests.workers.world import DOCUMENTS, World, an_event, an_invoice
from workers.retry import insist

# What is no answer about one record, though it is no 5xx either.
ODD_ANSWERS: list[dict[str, Any]] = [
    *({"fault": code} for code in ("500", "2010", "2020", "2500", "4000", "4001", "6000", "6140")),
    *({"status": status} for status in (302, 400, 403, 404, 405, 413, 414, 418)),
    {"status": 404, "body": "<html>no such page</html>"},
    {"status": 200, "body": {"QueryResponse": "surely not"}},
]


def heard(world: World, *quickbooks_ids: str) -> None:
    """Put invoices into QuickBooks, and let their notices come."""
    world.put("Invoice", *[an_invoice(i) for i in quickbooks_ids])
    world.webhook(*[an_event("Invoice", i, "created") for i in quickbooks_ids])


def minutes_left(notice: Notice) -> float:
    assert notice.due_at is not None
    return (notice.due_at - now()).total_seconds() / 60


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        *((answer, 3) for answer in ODD_ANSWERS),
        *((answer, 1) for answer in ({"fault": "500"}, {"status": 404}, ODD_ANSWERS[-1])),
    ],
    ids=str,
)
def test_an_answer_that_is_about_no_record_fails_nothing(
    world: World, answer: dict[str, Any], times: int
) -> None:
    heard(world, "1", "2")
    world.faults({**answer, "kind": "query", "count": times})
    for _ in range(4):
        world.sync()
        statuses = {status for status, _ in world.notices()}
        assert "failed" not in statuses
    assert world.notices() == [("done", "created")] * 2


@pytest.mark.parametrize("answer", ODD_ANSWERS[:-1], ids=str)
def test_nor_does_one_to_the_read_of_an_invoice_alone(world: World, answer: dict[str, Any]) -> None:
    """A read follows where the query did not show an invoice, as when it was deleted."""
    heard(world, "1", "2")
    world.sync()
    world.delete("Invoice", "2")
    world.webhook(*[an_event("Invoice", i, "updated") for i in ("1", "2")])
    world.faults({**answer, "kind": "read", "count": 1})
    world.sync()
    statuses = [status for status, _ in world.notices()]
    assert sorted(statuses) == ["done", "done", "done", "pending"]
    world.sync()
    assert world.holds() == {"1": None, "2": "deleted"}


def test_a_paid_invoice_is_withdrawn_as_soon_as_a_short_outage_is_over(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.pay("1")
    world.webhook(an_event("Invoice", "1", "updated"))
    world.faults({"fault": "6000", "count": 1})
    world.sync()
    assert world.holds() == {"1": None}
    world.sync()
    assert world.holds() == {"1": "paid"}


@pytest.mark.parametrize("code", ["6000", "2010", "10000"])
def test_one_record_that_always_fails_keeps_no_other_waiting(world: World, code: str) -> None:
    heard(world, *"12345678")
    world.poison("Invoice", "5", fault=CATALOGUE[code](""))
    world.sync()
    rows = {row.entity_id: row.status for row in world.notice_rows()}
    assert rows == {**dict.fromkeys("1234678", "done"), "5": "pending"}
    assert world.connection().paused_until is None


@pytest.mark.parametrize("answer", [{"fault": "6000"}, {"status": 404}, {"fault": "4001"}], ids=str)
def test_an_outage_costs_a_few_reads_an_attempt_and_pauses_the_company(
    world: World, answer: dict[str, Any]
) -> None:
    heard(world, *map(str, range(1, 101)))
    world.faults({**answer, "kind": "query"})
    world.forget_calls()
    world.sync()
    assert world.calls() == 12
    assert {status for status, _ in world.notices()} == {"pending"}
    assert world.connection().paused_until is not None


@pytest.mark.parametrize("answer", [{"fault": "6000"}, {"status": 418}], ids=str)
def test_it_is_given_up_after_three_days_and_comes_back_by_itself(
    world: World, answer: dict[str, Any]
) -> None:
    heard(world, "1")
    world.faults({**answer, "kind": "query"})
    world.be_tried(times=30, since=timedelta(days=2, hours=23))
    world.sync()
    world.be_tried(times=18, since=timedelta(days=4))
    world.sync()
    assert [status for status, _ in world.notices()] == ["pending"]
    world.sync()
    (row,) = world.notice_rows()
    assert row.status == "failed"
    assert 29 < minutes_left(row) <= 60
    assert world.sweep() == []
    world.no_faults()
    come_back(world)
    assert world.notices() == [("done", "created")]


def come_back(world: World) -> None:
    """Let the time of what is failed have come, and do what the sweep asks for then."""
    world.let_time_pass()
    world.let_failed_come_back()
    assert world.sweep() == [("sync_company", world.connection_id)]
    world.sync_at_once()


@pytest.mark.both_databases("the statements are its own")
def test_what_a_record_is_to_blame_for_comes_back_after_a_minute_then_hourly(
    world: World,
) -> None:
    world.simulator.simulator.switch({"requests_per_second": None})
    heard(world, "1", "2")
    world.poison("Invoice", "2", fault=poisoned())
    world.sync()
    (first,) = [row for row in world.notice_rows() if row.entity_id == "2"]
    assert (first.status, first.error_class) == ("failed", "Poisoned")
    assert 0.4 < minutes_left(first) <= 1
    pauses = []
    for _ in range(8):
        come_back(world)
        (row,) = [row for row in world.notice_rows() if row.entity_id == "2"]
        assert (row.status, row.handled_at) == ("failed", first.handled_at)
        pauses.append(minutes_left(row))
    assert 0.9 < pauses[0] <= 2
    assert all(29 < pause <= 60 for pause in pauses[5:])
    shelves = world.simulator.simulator.companies["9341455000000001"].shelves
    shelves["Invoice"]._poisoned = ()
    come_back(world)
    assert world.notices() == [("done", "created")] * 2
    assert sorted(world.documents()) == ["1", "2"]


def test_what_cannot_be_mapped_is_looked_at_once_a_day_in_the_end(world: World) -> None:
    world.put("Invoice", an_invoice("1", TotalAmt="a lot"))
    world.webhook(an_event("Invoice", "1", "created"))
    world.be_tried(times=40, since=timedelta(0))
    world.sync()
    (row,) = world.notice_rows()
    assert row.status == "failed"
    assert 12 * 60 - 1 < minutes_left(row) <= 24 * 60


def test_a_failed_one_that_meets_an_outage_stays_failed(world: World) -> None:
    heard(world, "1")
    world.poison("Invoice", "1")
    world.sync()
    world.faults({"preset": "503-html"})
    come_back(world)
    (row,) = world.notice_rows()
    assert (row.status, row.error_class) == ("failed", "TransientError")
    assert minutes_left(row) <= 60


def test_one_whose_worker_died_each_time_comes_back_alone_and_dies_once(world: World) -> None:
    heard(world, "1")

    def die() -> int:
        """Claim as a process that is killed then; return how many were claimed."""
        with world.services.database.write() as session:
            owner = uuid4().hex
            return len(inbox.claim(session, world.connection_id, owner, now())[0])

    assert [die() for _ in range(5)] == [1] * 5
    world.sync()
    assert [status for status, _ in world.notices()] == ["failed"]
    world.let_failed_come_back()
    assert die() == 1
    assert die() == 0
    world.sync()
    (row,) = world.notice_rows()
    assert (row.status, row.error_class) == ("failed", "Unforeseen")
    come_back(world)
    assert world.notices() == [("done", "created")]


@pytest.mark.both_databases("their errors differ")
def test_an_error_of_our_database_is_no_loss_and_fails_nothing(world: World) -> None:
    world.simulator.simulator.switch({"requests_per_second": None})
    heard(world, "1", "2")
    for number in range(1, 8):
        with world.refusing(DOCUMENTS):
            world.sync()
        rows = world.notice_rows()
        assert {row.status for row in rows} == {"pending"}
        assert {row.error_class for row in rows if row.attempts} == {"StoreFailed"}
        # A record may be to blame: they are soon taken one by one, and no further.
        assert max(row.losses for row in rows) == min(number, 2)
    assert world.connection().paused_until is None
    world.sync()
    world.sync()
    assert world.notices() == [("done", "created")] * 2


@pytest.mark.both_databases("the statements are its own")
def test_what_its_own_process_could_not_even_give_back_is_no_loss(world: World) -> None:
    heard(world, "1")
    for _ in range(7):
        with world.services.database.write() as session:
            assert len(inbox.claim(session, world.connection_id, "the same", now())[0]) == 1
    assert [row.losses for row in world.notice_rows()] == [0]


def test_work_is_given_back_though_the_database_is_away_for_a_moment() -> None:
    attempts = []

    def give_back() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise OperationalError("UPDATE runs", {}, Exception("terminating connection"))

    insist(give_back)
    assert len(attempts) == 3
