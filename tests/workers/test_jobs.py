"""Messages: their names and parameters, and what happens while Redis is away."""

import inspect

import pytest
import structlog
from dramatiq.brokers.stub import StubBroker

from service import jobs
from service.jobs import ALL, Jobs, Nudges, message, receiver_broker
from tests.servers import free_port, wait_until
from tests.workers.world import World, asked_for
from workers.process import declare, lanes_for


@pytest.mark.parametrize("job", ALL, ids=[job.name for job in ALL])
def test_every_job_has_an_actor_with_its_parameter(world: World, job: jobs.Job) -> None:
    broker = StubBroker()
    declare(broker, world.services, lanes_for(1))
    actor = broker.get_actor(job.name)
    assert (actor.queue_name, actor.priority) == (job.queue, job.priority)
    assert list(inspect.signature(actor.fn).parameters) == [job.parameter]


def test_a_notice_goes_before_somebodys_backfill(world: World) -> None:
    """Dramatiq takes a lower number first, from all queues together."""
    broker = StubBroker()
    declare(broker, world.services, lanes_for(1))
    assert broker.get_actor("sync_company").priority < broker.get_actor("work_on_run").priority


def test_there_is_no_actor_without_a_job(world: World) -> None:
    broker = StubBroker()
    declare(broker, world.services, lanes_for(1))
    assert sorted(broker.actors) == sorted(job.name for job in ALL)


def test_every_actor_gives_up_soon_and_leaves_the_rest_to_the_sweep(world: World) -> None:
    broker = StubBroker()
    declare(broker, world.services, lanes_for(1))
    for actor in broker.actors.values():
        assert actor.options["max_retries"] == 3
        assert actor.options["max_backoff"] == 30_000
        assert actor.options["time_limit"] == 600_000


def test_a_message_carries_an_id_and_nothing_else() -> None:
    sent = message(jobs.SYNC, "c1")
    assert (sent.actor_name, sent.args, sent.kwargs) == (
        "sync_company",
        (),
        {"connection_id": "c1"},
    )


def test_what_waits_to_be_sent_is_not_queued_twice() -> None:
    broker = StubBroker()
    nudges = Nudges(Jobs(broker))
    for name in ("a", "b", "a"):
        nudges.sync(name)
    nudges.run(7)
    nudges.start()
    nudges.stop()
    wanted = [("sync_company", "a"), ("sync_company", "b"), ("work_on_run", 7)]
    assert sorted(asked_for(broker)) == wanted


def test_a_company_is_nudged_again_once_the_last_nudge_is_a_second_old() -> None:
    """Others are not kept waiting."""
    broker = StubBroker()
    nudges = Nudges(Jobs(broker))
    nudges.start()

    def wait_for(*companies: str) -> None:
        wanted = [("sync_company", company) for company in companies]
        wait_until(lambda: asked_for(broker) == wanted, what=f"nudges of {companies}")

    nudges.sync("a")
    wait_for("a")
    nudges.sync("a")
    nudges.sync("b")
    wait_for("a", "b")
    wait_for("a", "b", "a")
    nudges.stop()


@pytest.mark.timeout(30)
def test_a_redis_that_is_not_there_neither_raises_nor_blocks() -> None:
    nudged(f"redis://127.0.0.1:{free_port()}/0")


@pytest.mark.timeout(30)
def test_a_redis_that_never_answers_neither_raises_nor_blocks(silent_port: int) -> None:
    nudged(f"redis://127.0.0.1:{silent_port}/0")


def nudged(redis_url: str) -> None:
    """Nudge a hundred times: to wait for each, even for Redis' shortest, would take minutes."""
    nudges = Nudges(Jobs(receiver_broker(redis_url)))
    nudges.start()
    for number in range(100):
        nudges.sync(f"c{number % 3}")
    nudges.stop()


def test_a_nudge_that_fails_for_whatever_reason_fails_nothing_else() -> None:
    """What it is about is stored, and is found without it."""

    def fail() -> None:
        raise ValueError("of our own")

    with structlog.testing.capture_logs() as events:
        Jobs(StubBroker()).attempt(fail, jobs.SYNC)
    assert events == [
        {
            "event": "nudge.lost",
            "log_level": "warning",
            "job": "sync_company",
            "error": "ValueError",
        }
    ]


def test_nudges_reach_redis_again_when_it_is_back(redis_database: str) -> None:
    broker = receiver_broker(redis_database)
    nudges = Nudges(Jobs(broker))
    nudges.start()
    nudges.sync("c1")
    wait_until(lambda: waiting(redis_database) == 1, what="the nudge in Redis")
    nudges.stop()
    broker.close()


def waiting(redis_url: str) -> int:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        return int(client.llen("dramatiq:sync"))
