"""A run that waits for approval, until an operator approves or rejects it, or it is begun anew."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from service.database.tables import Run
from service.kit.clock import now
from service.store import runs
from tests.workers.reconciling import due, finish, set_connection
from tests.workers.withdrawing import (
    LET,
    START,
    TAKEN,
    a_waiting_backfill,
    approve,
    begin_reconcile,
    books,
    offered,
    paid_now,
    reject,
    states,
    stops,
)
from tests.workers.world import World


def test_nobody_works_on_a_run_that_waits(world: World) -> None:
    run_id = a_waiting_backfill(world)
    world.let_time_pass()
    world.forget_calls()
    assert world.sweep() == []
    assert world.advance(run_id) is False
    assert world.calls() == 0
    approve(world, run_id)
    assert world.sweep() == [("work_on_run", run_id)]


def test_an_approved_run_goes_on_and_withdraws_all(world: World) -> None:
    run_id = a_waiting_backfill(world)
    approve(world, run_id)
    run = world.run(run_id)
    assert (run.confirmed, run.halted_at, run.error, run.due_at) == (True, None, None, None)
    ended = finish(world, run_id)
    assert (ended["state"], ended["error"], ended["withdrawn"]) == ("done", None, 10)
    assert states(world) == {TAKEN: 10}


def test_an_approved_run_is_not_stopped_by_a_later_page(world: World) -> None:
    offered(world, 1010)
    books(world, 1010, *range(1, 31), *range(1001, 1011))
    run_id = world.begin_backfill()
    assert world.advance(run_id) is False
    approve(world, run_id)
    assert finish(world, run_id)["withdrawn"] == 40


def test_a_rejected_run_ends_and_nothing_is_withdrawn(world: World) -> None:
    run_id = a_waiting_backfill(world)
    reject(world, run_id)
    run = world.run(run_id)
    assert run.state == "failed"
    assert run.finished_at is not None
    assert run.error == (
        "an operator ended it, because it would withdraw 10 of the company's 10 undecided invoices"
        " (10 paid in QuickBooks; more than 4 need an operator's confirmation)"
    )
    assert world.sweep() == []
    assert world.advance(run_id) is False
    assert states(world) == {LET: 10}
    assert stops(world) == []


def test_a_reconcile_that_was_rejected_is_begun_again_in_a_day(world: World) -> None:
    offered(world, 10)
    paid_now(world, 10)
    run_id = begin_reconcile(world)
    finish(world, run_id)
    set_connection(world, reconcile_due_at=now())  # it was, when it began
    reject(world, run_id)
    wait = world.connection().reconcile_due_at - now()
    assert timedelta(hours=23) < wait <= timedelta(hours=24)
    assert due(world) == []


@pytest.mark.parametrize("confirmed", [False, True])
def test_asking_a_backfill_for_more_begins_it_anew(world: World, confirmed: bool) -> None:
    offered(world, 10)
    paid_now(world, 10)
    run_id = world.begin_backfill(START + timedelta(seconds=5))
    finish(world, run_id)
    assert world.begin_backfill(START + timedelta(seconds=6)) == run_id
    assert world.run(run_id).halted_at is not None  # that was no more
    if confirmed:
        approve(world, run_id)
    assert world.begin_backfill() == run_id
    run = world.run(run_id)
    assert (run.halted_at, run.confirmed, run.error, run.generation) == (None, False, None, 1)
    assert finish(world, run_id)["state"] == "active"
    assert world.run(run_id).halted_at is not None
    assert states(world) == {LET: 10}


@pytest.mark.parametrize("confirmed", [False, True])
def test_asking_a_reconcile_for_more_begins_it_anew(world: World, confirmed: bool) -> None:
    offered(world, 10)
    paid_now(world, 10)
    run_id = begin_reconcile(world)
    finish(world, run_id)
    if confirmed:
        approve(world, run_id)
    assert begin_reconcile(world, full=True) == run_id
    run = world.run(run_id)
    assert (run.halted_at, run.confirmed, run.error, run.generation) == (None, False, None, 1)
    assert finish(world, run_id)["state"] == "active"
    assert states(world) == {LET: 10}


def test_a_run_that_is_asked_for_more_while_it_is_being_stopped_goes_on(world: World) -> None:
    offered(world, 10)
    paid_now(world, 10)
    run_id = world.begin_backfill(START)
    with world.during_a_page(world.begin_backfill):
        assert world.advance(run_id) is True
    run = world.run(run_id)
    assert (run.halted_at, run.generation) == (None, 1)
    assert states(world) == {LET: 10}


def test_somebody_is_told_until_it_is_decided(world: World) -> None:
    run_id = a_waiting_backfill(world)
    told = (world.connection_id, f"infactor-quickbooks confirm --run {run_id} --dry-run")
    assert stops(world) == [told]
    assert due(world) == []  # no reconcile begins meanwhile
    approve(world, run_id)
    assert stops(world) == []


def test_a_run_that_waits_ends_when_the_company_is_handed_over(world: World) -> None:
    run_id = a_waiting_backfill(world)
    with world.services.database.write() as session:
        runs.abandon(session, world.connection_id, "handed over", now())
    assert world.run(run_id).state == "failed"
    assert stops(world) == []


def test_losses_before_a_stop_are_given_back(world: World) -> None:
    offered(world, 10)
    paid_now(world, 10)
    run_id = world.begin_backfill()
    with world.services.database.write() as session:
        session.execute(update(Run).where(Run.id == run_id).values(losses=4))
    world.advance(run_id)
    assert world.run(run_id).losses == 0
