"""What becomes of notices whose worker was killed, and of work whose message was lost."""

from dataclasses import replace
from uuid import uuid4

import pytest

from service.jobs import Jobs
from service.kit.clock import now
from service.store import inbox
from tests.workers.world import DOCUMENTS, ENDS_OF_NOTICES, World, an_event, an_invoice
from workers.process import worker_broker
from workers.upkeep import requeue_due


def heard(world: World, *quickbooks_ids: str) -> None:
    """Put invoices into QuickBooks, and let their notices come one after the other."""
    world.put("Invoice", *[an_invoice(i) for i in quickbooks_ids])
    for quickbooks_id in quickbooks_ids:
        world.webhook(an_event("Invoice", quickbooks_id, "created"))


def be_killed_at_work(world: World) -> list[str | None]:
    """Claim the next batch, as a worker does that is killed then; return whose notices it had."""
    with world.services.database.write() as session:
        batch, _ = inbox.claim(session, world.connection_id, f"killed-{uuid4().hex}", now())
    return [notice.entity_id for notice in batch]


@pytest.mark.both_databases("locks work differently")
def test_what_a_killed_worker_had_is_done_by_the_next(world: World) -> None:
    heard(world, "1", "2")
    be_killed_at_work(world)
    world.sync()
    assert world.notices() == [("done", "created"), ("done", "created")]
    assert [(row.attempts, row.losses) for row in world.notice_rows()] == [(2, 0), (2, 0)]


def test_a_batch_that_was_lost_twice_is_taken_one_by_one(world: World) -> None:
    heard(world, "1", "2", "3")
    assert be_killed_at_work(world) == ["1", "2", "3"]
    assert be_killed_at_work(world) == ["1", "2", "3"]
    assert be_killed_at_work(world) == ["1"]
    world.forget_calls()
    world.sync()
    assert [status for status, _ in world.notices()] == ["done", "pending", "pending"]
    world.sync()
    world.sync()
    assert [status for status, _ in world.notices()] == ["done", "done", "done"]


def test_suspects_wait_for_what_came_meanwhile(world: World) -> None:
    heard(world, "1")
    be_killed_at_work(world)
    be_killed_at_work(world)
    heard(world, "2")
    assert be_killed_at_work(world) == ["2"]
    assert be_killed_at_work(world) == ["2"]
    assert be_killed_at_work(world) == ["1"]


def test_what_kills_its_worker_each_time_is_failed_and_nothing_else(world: World) -> None:
    heard(world, "1", "2")
    be_killed_at_work(world)
    be_killed_at_work(world)
    for _ in range(3):
        assert be_killed_at_work(world) == ["1"]
    world.sync()
    rows = {row.entity_id: row for row in world.notice_rows()}
    assert (rows["1"].status, rows["1"].attempts) == ("failed", 5)
    assert rows["1"].error_message == "the worker died each time that it worked on this notice"
    assert rows["2"].status == "done"


def test_an_answer_of_quickbooks_is_no_loss(world: World) -> None:
    heard(world, "1")
    world.faults({"preset": "503-html"})
    for _ in range(7):
        world.sync()
    (row,) = world.notice_rows()
    assert (row.status, row.attempts, row.losses) == ("pending", 7, 0)


@pytest.mark.both_databases("a failed transaction ends differently")
@pytest.mark.parametrize("step", [DOCUMENTS, ENDS_OF_NOTICES], ids=["result", "end"])
def test_a_notice_ends_in_the_transaction_of_its_result(world: World, step: str) -> None:
    """Whichever of the two fails, neither stays."""
    heard(world, "1")
    with world.refusing(step):
        world.sync()
    assert world.holds() == {}
    assert [status for status, _ in world.notices()] == ["pending"]
    world.sync()
    assert world.notices() == [("done", "created")]


@pytest.mark.both_databases("locks work differently")
def test_no_other_worker_may_take_a_company_that_is_being_worked_on(world: World) -> None:
    heard(world, "1")
    world.forget_calls()
    other = world.another_process()
    with other.leases.hold(f"sync:{world.connection_id}") as mine:
        assert mine
        world.sync_at_once()
        assert world.calls() == 0
    world.sync()
    assert world.notices() == [("done", "created")]


def test_the_sweep_finds_due_work_whose_message_was_lost(world: World) -> None:
    heard(world, "1")
    run_id = world.begin_backfill()
    wanted = [("sync_company", world.connection_id), ("work_on_run", run_id)]
    assert sorted(world.sweep()) == wanted


def test_the_sweep_leaves_alone_what_is_not_due(world: World) -> None:
    heard(world, "1")
    world.begin_backfill()
    world.faults({"preset": "503-html"})
    world.sync()
    assert world.sweep() == []


def test_the_sweep_asks_for_nothing_where_nothing_is_to_be_done(world: World) -> None:
    heard(world, "1")
    world.sync()
    world.webhook(an_event("Estimate", "1", "created"))
    assert world.sweep() == []


@pytest.mark.timeout(30)
def test_a_sweep_does_not_wait_for_a_queue_that_never_answers(
    world: World, silent_port: int
) -> None:
    """The heartbeat shares its clock: after two minutes, workers would be called silent."""
    heard(world, "1")
    jobs = Jobs(worker_broker(f"redis://127.0.0.1:{silent_port}/0", 8))
    requeue_due(replace(world.services, jobs=jobs))  # a worker's client alone waits for a minute
    jobs.close()
