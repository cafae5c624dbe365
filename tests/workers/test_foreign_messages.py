"""What somebody else writes into Redis: only an id of a row gets as far as an actor."""

import json
import logging
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import structlog

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
    dramatiq.Actor(
        sync_company,
        broker=broker,
        actor_name="sync_company",
        queue_name="sync",
        priority=0,
        options=options,
    )
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
