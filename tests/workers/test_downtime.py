"""After a downtime each company is asked what it missed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from service.coordination import heartbeats
from service.database.tables import Heartbeat, Run
from service.kit.clock import now
from service.kit.metrics import AnswerCounter
from service.web.webhook.heartbeat import HeartbeatThread as Beats
from tests.servers import wait_until
from tests.workers.world import World, an_invoice
from workers.runs.reconcile import begin_due
from workers.runs.run import advance
from workers.schedule import PERIODIC, ticking


def receiver_was_away(world: World, minutes: float) -> None:
    """Let no receiver have been alive for so long, and one come back."""
    with world.services.database.write() as session:
        heartbeats.beat(session, "receiver")
        session.execute(update(Heartbeat).values(at=Heartbeat.at - 60 * minutes))
    beats = Beats(world.services.database, "simulator", AnswerCounter())
    beats.start()
    beats.stop()


def begun(world: World) -> list[tuple[int, str]]:
    begin_due(world.services)
    with world.services.database.read() as session:
        rows = session.scalars(select(Run).where(Run.kind == "reconcile"))
        return [(run.id, run.cause) for run in rows]


def test_what_changed_while_no_receiver_listened_is_found_at_once(world: World) -> None:
    """Its notice was never delivered, and the daily reconcile is most of a day away."""
    world.put("Invoice", an_invoice("1"))
    receiver_was_away(world, minutes=6)
    ((run_id, cause),) = begun(world)
    assert cause == "downtime"
    while advance(world.services, run_id):
        pass
    assert list(world.documents()) == ["1"]
    assert world.connection().reconcile_due_at > now() + timedelta(hours=23)


@pytest.mark.both_databases("the statements are its own")
def test_a_receiver_that_was_away_for_a_moment_costs_no_read(world: World) -> None:
    receiver_was_away(world, minutes=4)
    assert begun(world) == []


def test_workers_beat_too(world: World) -> None:
    (beat,) = [job for job in PERIODIC if job.name == "heartbeat"]
    assert beat.seconds == 10

    def ages() -> dict[str, float]:
        with world.services.database.read() as session:
            return heartbeats.ages(session)

    with ticking(world.services, [replace(beat, seconds=0.05)]):
        wait_until(lambda: ages().get("clock", 100) < 60, what="the clock's beat")
