"""What somebody else writes into Redis: only an id of a row gets as far as an actor."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from redis import Redis

from service import jobs
from service.jobs import is_ours
from tests.servers import wait_until
from workers.process import worker_broker

PRIVATE = "private-text"
OURS: dict[str, Any] = {
    "queue_name": "sync",
    "actor_name": "sync_company",
    "args": [],
    "kwargs": {"connection_id": "c1"},
    "options": {"redis_message_id": "1"},
    "message_id": "1",
    "message_timestamp": 1_796_000_000_000,
}
RUN: dict[str, Any] = {
    "queue_name": "runs",
    "actor_name": "work_on_run",
    "kwargs": {"run_id": 7},
}


def written(**other: Any) -> bytes:
    return json.dumps({**OURS, **other}).encode()


def options(**more: Any) -> dict[str, Any]:
    return {"options": {"redis_message_id": "1", **more}}


FOREIGN = {
    "no JSON": PRIVATE.encode(),
    "no UTF-8": b'"\xff' + PRIVATE.encode(),
    "a pickle": b"\x80\x04c" + PRIVATE.encode(),
    "no object": json.dumps([PRIVATE]).encode(),
    "very deep": b"[" * 100_000,
    "nothing in it": b"{}",
    "one more field": written(more=PRIVATE),
    "an unknown actor": written(actor_name=PRIVATE),
    "another queue's actor": written(**RUN),
    "an argument without a name": written(args=[PRIVATE]),
    "another parameter": written(kwargs={PRIVATE: "c1"}),
    "one more parameter": written(kwargs={"connection_id": "c1", PRIVATE: "c1"}),
    "no id": written(kwargs={}),
    "an id with a line's end": written(kwargs={"connection_id": "c1\n"}),
    "an empty id": written(kwargs={"connection_id": ""}),
    "a number as a company's id": written(kwargs={"connection_id": 1}),
    "an operator of a query as an id": written(kwargs={"connection_id": {"$ne": PRIVATE}}),
    "a list of ids": written(kwargs={"connection_id": [PRIVATE]}),
    "an id with NUL": written(kwargs={"connection_id": "c1\x00"}),
    "an id with a line of its own": written(kwargs={"connection_id": f"c1\n{PRIVATE}"}),
    "a very long id": written(kwargs={"connection_id": "c" * 1_000_000}),
    "tries without end": written(**options(max_retries=10**9, min_backoff=0)),
    "no time to work": written(**options(time_limit=1)),
    "somebody to call": written(**options(on_success=PRIVATE)),
    "a message to follow": written(**options(pipe_target={**OURS, "args": [PRIVATE]})),
    "a time that is none": written(**options(eta=PRIVATE)),
    "a time in a queue that has none": written(**options(eta=1_796_000_000_000)),
    "times tried that are none": written(**options(retries=-1)),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_message_of_another_form_is_not_ours(what: str) -> None:
    assert not is_ours(FOREIGN[what], "sync")


def test_what_redis_has_lost_is_not_ours() -> None:
    assert not is_ours(None, "sync")


@pytest.mark.parametrize("run_id", ["7", 0, -1, 2**63, 1.5, None])
def test_what_numbers_no_run_is_not_ours(run_id: object) -> None:
    assert is_ours(written(**RUN), "runs")
    assert not is_ours(written(**{**RUN, "kwargs": {"run_id": run_id}}), "runs")


def test_what_dramatiq_adds_to_a_message_that_is_tried_again_is_ours() -> None:
    tried = options(retries=1, requeue_timestamp=1_796_000_000_000, eta=1_796_000_000_000)
    assert is_ours(written(queue_name="sync.DQ", **tried), "sync.DQ")


def delayed(milliseconds: int) -> bytes:
    eta = current_millis() + milliseconds
    return written(queue_name="sync.DQ", **options(eta=eta))


def test_a_message_is_delayed_for_a_week_at_most_as_dramatiq_does_it() -> None:
    week = 7 * 24 * 60 * 60 * 1000
    assert is_ours(delayed(week), "sync.DQ")
    assert not is_ours(delayed(week + 60_000), "sync.DQ")
    assert not is_ours(written(queue_name="sync.DQ"), "sync.DQ")


def declare(broker: RedisBroker, do: Callable[[str], None], **options: int) -> None:
    """Let the broker's messages for `sync_company` be done so."""
    dramatiq.Actor(
        do,
        broker=broker,
        actor_name="sync_company",
        queue_name="sync",
        priority=0,
        options=options,
    )


@contextmanager
def a_worker(redis_url: str, done: list[str], threads: int = 4) -> Iterator[RedisBroker]:
    """Run a worker that notes the companies it is told of."""
    broker = worker_broker(redis_url, threads)

    def sync_company(connection_id: str) -> None:
        done.append(connection_id)

    declare(broker, sync_company)
    worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=100)
    worker.start()
    try:
        yield broker
    finally:
        worker.stop(timeout=5_000)
        broker.close()
        broker.client.connection_pool.disconnect()


def test_what_is_never_due_takes_nobodys_place(redis_database: str) -> None:
    """A worker with one thread takes one message at a time, and would wait for these for ever."""
    done: list[str] = []
    with closing(worker_broker(redis_database, 1)) as broker:
        for number in range(2):
            never = {"redis_message_id": f"{number}", "eta": 2**53}
            broker.do_enqueue("sync", f"{number}", written(message_id=f"{number}", options=never))
        broker.enqueue(jobs.message(jobs.SYNC, "ours"))
    with a_worker(redis_database, done, threads=1):
        wait_until(lambda: done == ["ours"], timeout=20, what="the message behind them")


def kept(client: Redis) -> set[str]:
    """Return which keys hold messages."""
    names = (key.decode() for key in client.keys("dramatiq:*"))
    return {name for name in names if name.endswith(".msgs") or "__acks__" in name}


def test_what_is_not_ours_is_removed_and_comes_to_no_other_worker(redis_database: str) -> None:
    done: list[str] = []
    with closing(worker_broker(redis_database, 4)) as broker:
        for data in (b"garbage", b"[]", written(**options(on_success=PRIVATE))):
            broker.do_enqueue("sync", str(uuid4()), data)
    with structlog.testing.capture_logs() as logs, a_worker(redis_database, done) as broker:
        wait_until(lambda: not kept(broker.client), timeout=20, what="the removal")
    foreign = [line for line in logs if line["event"] == "queue.foreign_message"]
    assert [(line["queue"], line["messages"]) for line in foreign] == [("sync", 3)]
    with structlog.testing.capture_logs() as logs, a_worker(redis_database, done) as broker:
        broker.enqueue(jobs.message(jobs.SYNC, "ours"))
        wait_until(lambda: done == ["ours"], timeout=20, what="ours")
    assert logs == []


def test_a_stream_of_them_is_logged_once_a_minute(redis_database: str) -> None:
    done: list[str] = []
    with structlog.testing.capture_logs() as logs, a_worker(redis_database, done) as broker:
        for number in range(30):
            broker.do_enqueue("sync", str(uuid4()), b"garbage")
            broker.enqueue(jobs.message(jobs.SYNC, f"{number}"))
            wait_until(lambda number=number: f"{number}" in done, timeout=20, what="ours")
    assert [line["event"] for line in logs] == ["queue.foreign_message"]


def test_a_worker_goes_on_among_messages_that_are_not_ours(
    redis_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It tries its own again, takes them all, and says nothing of what is in the others."""
    caplog.set_level(logging.DEBUG)
    broker, done, failed = worker_broker(redis_database, 4), [], []

    def sync_company(connection_id: str) -> None:
        if connection_id == "again" and not failed:
            failed.append(connection_id)
            raise OSError
        done.append(connection_id)

    options = {"min_backoff": 1, "max_backoff": 1, "max_retries": 1}
    declare(broker, sync_company, **options)
    broker.enqueue(jobs.message(jobs.SYNC, "again"))
    for data in FOREIGN.values():
        broker.do_enqueue("sync", str(uuid4()), data)
        broker.do_enqueue("sync.DQ", str(uuid4()), data)
    broker.enqueue(jobs.message(jobs.SYNC, "last"))
    worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=100)
    with structlog.testing.capture_logs() as logs:
        worker.start()
        try:
            wait_until(lambda: sorted(done) == ["again", "last"], what="both of ours")
        finally:
            worker.stop(timeout=5_000)
            broker.close()
            broker.client.connection_pool.disconnect()
    said = [(line["event"], line["queue"]) for line in logs if line["log_level"] == "warning"]
    assert ("queue.foreign_message", "sync") in said
    assert failed == ["again"]
    assert PRIVATE not in caplog.text + repr(logs)
