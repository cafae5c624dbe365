"""A run that fails is told of and goes on by itself, whatever it was that it failed with."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import update

from service.database.tables import Connection, Run
from service.errors import ConfigurationError
from service.jobs import Jobs
from service.kit.clock import now
from service.monitoring.checks import current_status
from service.monitoring.condition import Condition
from service.monitoring.refusals import Refusals
from service.monitoring.summary import Summary
from service.store import runs
from tests.workers.reconciling import set_connection
from tests.workers.world import CHECKPOINTS, DOCUMENTS, World, an_invoice
from workers.runs.run import advance

# How an outage answers that is no plain 5xx, and how often in a row.
CODE, STATUS = ({"fault": "6000"}, 1), ({"status": 404}, 3)
MORE_ODD_ANSWERS: list[tuple[dict[str, Any], int]] = [
    ({"fault": "6140"}, 1),
    ({"fault": "500"}, 1),
    ({"fault": "2010"}, 1),
    ({"status": 404, "body": "no such page"}, 3),
    ({"status": 405}, 3),
    ({"status": 302, "headers": {"Location": "https://example.com/"}}, 1),
    ({"status": 418, "body": "a teapot"}, 3),
    ({"status": 403, "body": "<html>blocked</html>"}, 3),
]
BARRED = ["3100", "6190", "120"]
KINDS = ["import", "daily", "full"]


def begin(world: World, kind: str) -> int:
    """Put five invoices into QuickBooks and begin a run of this kind over them."""
    world.put("Invoice", *[an_invoice(str(n)) for n in range(1, 6)])
    world.pass_time_in_quickbooks(minutes=1)
    with world.services.database.write() as session:
        if kind == "import":
            return runs.create_or_join(session, world.connection_id, "connect", None, now())
        order = {"full": kind == "full", "fix": True}
        return runs.begin_reconcile(session, world.connection_id, "daily", order, now())


def seen(world: World) -> tuple[dict[str, Condition], Summary]:
    """Return what `status` says: each condition by its cause, and the figures."""
    with world.services.database.read() as session:
        wrong, figures = current_status(session, world.services.settings, now(), Refusals())
    return {condition.cause: condition for condition in wrong}, figures


def go_on(world: World, run_id: int) -> Run:
    """Do every step that may be done now, or after the pauses that failures bring."""
    for _ in range(30):
        world.let_time_pass()
        while world.advance(run_id):
            pass
        run = world.run(run_id)
        if run.state != "active":
            break
    return run


@pytest.mark.parametrize(
    ("kind", "answer", "times"),
    [
        *((kind, *odd) for kind in KINDS for odd in (CODE, STATUS)),
        *(("daily", *odd) for odd in MORE_ODD_ANSWERS),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_odd_answer_is_told_and_the_run_goes_on_by_itself(
    world: World, kind: str, answer: dict[str, Any], times: int
) -> None:
    run_id = begin(world, kind)
    before = world.connection().reconciled_until
    world.faults({**answer, "count": times})
    for _ in range(times):
        world.let_time_pass()
        assert world.advance(run_id) is False
        assert world.run(run_id).state == "active"
        assert world.connection().reconciled_until == before
        told, figures = seen(world)
        condition = told["run.failing"]
        assert condition.subject == world.connection_id
        assert condition.severity == "critical"
        assert condition.command.startswith("infactor-quickbooks connections retry")
        assert (figures.complete_until is None) is (kind == "import")
    run = go_on(world, run_id)
    assert (run.state, run.error) == ("done", None)
    assert sorted(world.documents()) == list("12345")
    told, figures = seen(world)
    assert "run.failing" not in told
    assert figures.complete_until is not None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", BARRED)
def test_a_barred_company_is_told_as_such_and_its_run_goes_on_by_itself(
    world: World, kind: str, code: str
) -> None:
    run_id = begin(world, kind)
    world.faults({"fault": code, "count": 1})
    assert world.advance(run_id) is False
    told, figures = seen(world)
    assert "run.failing" not in told
    assert (figures.complete_until is None) is (kind == "import")
    barred = told["connection.barred"]
    assert (barred.severity, barred.subject) == ("critical", world.connection_id)
    assert f"code {code}" in barred.text
    assert barred.command == (
        f"infactor-quickbooks connections retry --connection {world.connection_id}"
    )
    paused_until = world.connection().paused_until
    assert paused_until is not None
    assert timedelta(minutes=59) < paused_until - now() <= timedelta(hours=1)
    assert go_on(world, run_id).state == "done"
    assert sorted(world.documents()) == list("12345")
    assert "connection.barred" not in seen(world)[0]


def test_an_import_that_was_shown_too_little_is_compared_until_it_agrees(
    world: World,
) -> None:
    """Pages come empty though the count is not, for longer than the import looks again."""
    run_id = begin(world, "import")
    as_usual = {"kind": "query", "count": 1}
    world.faults(*[as_usual, {**as_usual, "preset": "empty"}] * 4)
    assert go_on(world, run_id).state == "done"
    assert world.documents() == {}
    figures = seen(world)[1]
    assert (figures.complete_until, figures.importing) == (None, 1)
    ((_, reconcile_id),) = world.sweep()
    assert reconcile_id != run_id
    run = go_on(world, reconcile_id)
    assert (run.kind, run.state, run.error) == ("reconcile", "done", None)
    assert sorted(world.documents()) == list("12345")
    assert seen(world)[1].complete_until is not None


def test_its_pauses_grow_from_a_minute_to_an_hour(world: World) -> None:
    run_id = begin(world, "import")
    world.faults({"status": 404})
    pauses = []
    for _ in range(9):
        assert world.advance(run_id) is False
        due_at = world.run(run_id).due_at
        assert due_at is not None
        pauses.append((due_at - now()).total_seconds() / 60)
        assert world.sweep() == []
        world.let_time_pass()
        assert world.sweep() == [("work_on_run", run_id)]
    assert 0.4 < pauses[0] <= 1
    assert 1.9 < pauses[2] <= 4
    assert all(29 < pause <= 60 for pause in pauses[6:])


def test_it_goes_on_from_its_checkpoint(world: World) -> None:
    run_id = begin(world, "import")
    assert world.advance(run_id) is True
    cursor = world.run(run_id).cursor
    world.faults({"fault": "6000", "count": 1})
    assert world.advance(run_id) is False
    assert world.run(run_id).cursor == cursor
    world.forget_calls()
    assert go_on(world, run_id).state == "done"
    assert world.calls() == 1  # the count at the end


def test_an_outage_of_a_moment_is_not_told_and_one_that_lasts_is(world: World) -> None:
    run_id = begin(world, "import")
    world.faults({"preset": "503-html"})
    assert world.advance(run_id) is False
    assert "run.failing" not in seen(world)[0]
    before = now() - timedelta(minutes=11)
    with world.services.database.write() as session:
        session.execute(update(Run).values(failing_since=before))
        session.execute(update(Connection).values(outage_since=before))
    # The outage is named, and not what follows from it.
    assert seen(world)[0].keys() == {"quickbooks.away"}
    world.no_faults()
    assert go_on(world, run_id).state == "done"


@pytest.mark.both_databases("the statements are its own")
@pytest.mark.parametrize("hindrance", [{"preset": "503-html"}, {"fault": "3100"}])
def test_when_quickbooks_is_back_it_is_tried_at_once_and_not_told_before(
    world: World, hindrance: dict[str, Any]
) -> None:
    run_id = begin(world, "import")
    world.faults({"fault": "6000", "count": 1})
    assert world.advance(run_id) is False
    assert "run.failing" in seen(world)[0]
    world.faults({**hindrance, "count": 9})
    world.hear("Invoice", "1", "updated")
    world.sync()
    assert "run.failing" not in seen(world)[0]
    world.no_faults()
    world.let_time_pass()
    with world.services.database.write() as session:
        session.execute(update(Run).values(due_at=now() + timedelta(minutes=30)))
    world.sync_at_once()
    assert "run.failing" not in seen(world)[0]
    assert world.run(run_id).due_at is None


def test_what_waits_for_its_turn_does_not_fail(world: World) -> None:
    run_id = begin(world, "import")
    world.faults({"preset": "429-json"})
    for _ in range(6):
        world.let_time_pass()
        world.advance(run_id)
    assert world.run(run_id).failing_since is None
    assert "run.failing" not in seen(world)[0]


@pytest.mark.parametrize(
    "hindrance", [{"state": "disconnected"}, {"suspended_at": now()}, {"environment": "production"}]
)
def test_a_run_fails_only_while_its_company_may_be_read(
    world: World, hindrance: dict[str, Any]
) -> None:
    run_id = begin(world, "import")
    world.faults({"fault": "6000", "count": 1})
    world.advance(run_id)
    assert "run.failing" in seen(world)[0]
    set_connection(world, **hindrance)
    assert "run.failing" not in seen(world)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_our_database_is_no_loss_of_a_worker(world: World, kind: str) -> None:
    """As when the disk is full, or writers are killed."""
    world.simulator.simulator.switch({"requests_per_second": None})
    run_id = begin(world, kind)
    for _ in range(6):
        world.let_time_pass()
        with world.refusing(DOCUMENTS):
            while world.advance(run_id):
                pass
        run = world.run(run_id)
        assert (run.state, run.losses) == ("active", 0)
        assert run.error == "this service's own database failed (IntegrityError)"
    assert seen(world)[0]["run.failing"].text.startswith(
        f"The {'first backfill' if kind == 'import' else 'reconcile'} fails: this service's own"
    )
    assert go_on(world, run_id).state == "done"
    assert sorted(world.documents()) == list("12345")


@pytest.mark.both_databases("their errors differ")
def test_an_error_that_the_database_lets_nobody_note_is_no_loss_either(world: World) -> None:
    """The step fails, and so does giving it back: the same process claims it again."""
    world.simulator.simulator.switch({"requests_per_second": None})
    run_id = begin(world, "import")
    for _ in range(6):
        world.let_time_pass()
        with world.services.database.write() as session:
            claimed = runs.claim(session, run_id, "simulator", world.services.leases.owner, now())
        assert claimed[1] is False
    assert go_on(world, run_id).state == "done"


@pytest.mark.both_databases("their errors differ")
def test_two_processes_whose_database_fails_in_turn_lose_nothing(world: World) -> None:
    world.simulator.simulator.switch({"requests_per_second": None})
    other = world.another_process()
    run_id = begin(world, "import")
    for number in range(8):
        world.let_time_pass()
        with world.refusing(CHECKPOINTS):
            advance(other if number % 2 else world.services, run_id)
        assert world.run(run_id).losses == 0
    assert go_on(world, run_id).state == "done"


def test_a_worker_that_dies_each_time_is_told_and_tried_once_an_hour_at_most(
    world: World,
) -> None:
    run_id = begin(world, "import")

    def die() -> bool:
        """Claim the step as a process does that is killed at it; return whether it may."""
        with world.services.database.write() as session:
            owner = f"killed-{now().timestamp()}"
            return not runs.claim(session, run_id, "simulator", owner, now())[1]

    assert [die() for _ in range(6)] == [True] * 5 + [False]
    world.forget_calls()
    assert world.advance(run_id) is False
    assert world.calls() == 0
    assert "the worker died each time" in seen(world)[0]["run.failing"].text
    world.let_time_pass()
    assert die() is True  # one more
    assert world.advance(run_id) is False
    assert world.calls() == 0
    assert go_on(world, run_id).state == "done"


def test_a_fault_of_our_own_is_told_and_the_run_goes_on_once_it_is_fixed(
    world: World,
) -> None:
    """As with ENCRYPTION_KEYS that are not the right ones."""
    run_id = begin(world, "import")
    sealed = world.connection().realm_sealed
    set_connection(world, realm_sealed="v1:none:x")
    for _ in range(6):
        world.let_time_pass()
        with pytest.raises(ConfigurationError) as raised:
            world.advance(run_id)
        assert world.run(run_id).state == "active"
    assert world.run(run_id).error == str(raised.value)
    assert "run.failing" in seen(world)[0]
    set_connection(world, realm_sealed=sealed)
    assert go_on(world, run_id).state == "done"


def test_a_clock_asks_for_it_again_without_anybody(world: World) -> None:
    """The message is lost; the row is all that there is."""
    run_id = begin(world, "import")
    world.faults({"fault": "6000", "count": 1})
    broker = StubBroker()
    services = replace(world.services, jobs=Jobs(broker))
    assert advance(services, run_id) is False
    assert world.sweep() == []
    with world.services.database.write() as session:
        session.execute(update(Run).values(due_at=now()))
        session.execute(update(Connection).values(paused_until=None))
    assert world.sweep() == [("work_on_run", run_id)]
