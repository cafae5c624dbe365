"""The group commit of webhooks."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import structlog
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import event, select, text
from starlette.testclient import TestClient

from service.app import create_app
from service.config.loading import settings_from
from service.database.engine import Database
from service.database.tables import Notice
from service.jobs import Jobs, Nudges
from service.quickbooks.webhooks import sign
from service.services import build_services
from service.store.inbox import NewNotice
from service.web.webhook.intake import TIMEOUT_SECONDS, Intake, NotStored
from tests import databases
from tests.servers import wait_until
from tests.workers.world import VERIFIER, environment


def a_new_notice(key: str, webhook_id: str | None = None) -> NewNotice:
    return NewNotice(
        dedupe_key=key,
        format="cloudevents",
        event_id=key,
        entity="Invoice",
        webhook_id=webhook_id,
    )


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    made = databases.opened(sqlite_url)
    yield made
    made.close()


@pytest.fixture
def intake(database: Database) -> Iterator[Intake]:
    nudges = Nudges(Jobs(StubBroker()))
    nudges.start()
    made = Intake(database, "simulator", nudges, most_waiting=60, timeout_seconds=60.0)
    yield made
    made.stop()
    nudges.stop()


def stored(database: Database) -> list[str | None]:
    with database.read() as session:
        return list(session.scalars(select(Notice.dedupe_key).order_by(Notice.dedupe_key)))


@contextmanager
def hanging(database: Database) -> Iterator[None]:
    """Keep SQLite's one writer for ourselves, so that nobody else can commit."""
    with database.write() as session:
        session.execute(text("SELECT 1"))
        yield


async def until(true: Callable[[], bool]) -> None:
    """Let the others go on until this is so."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


def inserts(database: Database) -> list[str]:
    """Return the statements that store notices, to which SQLite itself adds each that it runs."""
    seen: list[str] = []

    def note(statement: str) -> None:
        if statement.startswith("INSERT INTO notices"):
            seen.append(statement)

    database.close()
    event.listen(database.engine, "connect", lambda driver, _: driver.set_trace_callback(note))
    return seen


def test_webhooks_that_wait_together_share_one_commit(database: Database, intake: Intake) -> None:
    seen = inserts(database)

    async def post() -> None:
        waiting = [asyncio.create_task(intake.store([a_new_notice(f"k{n}")])) for n in range(50)]
        await asyncio.sleep(0)  # all are in the queue before the writer begins
        intake.start()
        await asyncio.gather(*waiting)

    asyncio.run(post())
    assert len(stored(database)) == 50
    assert len(seen) == 1


def test_a_webhook_is_answered_only_when_it_is_committed(
    database: Database, intake: Intake
) -> None:
    intake.start()

    async def post() -> list[str | None]:
        await intake.store([a_new_notice("k1"), a_new_notice("k2")])
        return stored(database)

    assert asyncio.run(post()) == ["k1", "k2"]


def test_a_commit_has_only_so_many_events(database: Database, intake: Intake) -> None:
    seen = inserts(database)

    async def post() -> None:
        waiting = [
            asyncio.create_task(intake.store([a_new_notice(f"k{n}-{i}") for i in range(1000)]))
            for n in range(6)
        ]
        await asyncio.sleep(0)
        intake.start()
        await asyncio.gather(*waiting)

    asyncio.run(post())
    assert len(stored(database)) == 6000
    assert len(seen) == 2


def test_what_was_told_to_come_again_before_its_turn_is_not_stored(
    database: Database, intake: Intake
) -> None:
    async def post() -> None:
        intake._timeout_seconds = 0.1
        with pytest.raises(NotStored, match="did not commit in time"):
            await intake.store([a_new_notice("late")])
        intake._timeout_seconds = 60.0
        waiting = asyncio.create_task(intake.store([a_new_notice("in time")]))
        await asyncio.sleep(0)
        intake.start()
        await waiting

    asyncio.run(post())
    assert stored(database) == ["in time"]


def test_a_full_queue_refuses_at_once(intake: Intake) -> None:
    async def post() -> None:
        waiting = [asyncio.create_task(intake.store([a_new_notice(f"k{n}")])) for n in range(60)]
        await asyncio.sleep(0)
        with pytest.raises(NotStored, match="too many deliveries"):
            await intake.store([a_new_notice("one too many")])
        intake.start()
        await asyncio.gather(*waiting)

    asyncio.run(post())


def test_a_database_that_hangs_is_not_waited_for(database: Database, intake: Intake) -> None:
    intake._timeout_seconds = 0.5
    intake.start()

    async def post() -> None:
        with pytest.raises(NotStored, match="did not commit in time"):
            await intake.store([a_new_notice("k1")])

    with hanging(database):
        asyncio.run(post())
    intake.stop()
    assert stored(database) == ["k1"]  # it was stored after all, and its repetition will count


def test_stopping_stores_what_is_waiting(database: Database, intake: Intake) -> None:
    """One webhook is being stored, another one waits behind it, and none is let in any more."""
    intake.start()

    async def post() -> None:
        with hanging(database):
            waiting = [asyncio.create_task(intake.store([a_new_notice("k1")]))]
            await asyncio.sleep(0)
            await until(lambda: not intake._waiting)
            waiting.append(asyncio.create_task(intake.store([a_new_notice("k2")])))
            await until(lambda: len(intake._waiting) == 1)
            stopping = asyncio.create_task(asyncio.to_thread(intake.stop))
            await until(lambda: intake._stopping)
            with pytest.raises(NotStored, match="too many deliveries"):
                await intake.store([a_new_notice("too late")])
        await asyncio.gather(*waiting, stopping)

    asyncio.run(post())
    assert stored(database) == ["k1", "k2"]


def test_two_thousand_webhooks_wait_at_most(database: Database) -> None:
    nudges = Nudges(Jobs(StubBroker()))
    intake = Intake(database, "simulator", nudges)

    async def post() -> None:
        waiting = [asyncio.create_task(intake.store([a_new_notice(f"k{n}")])) for n in range(2000)]
        await asyncio.sleep(0)
        with pytest.raises(NotStored, match="too many deliveries"):
            await intake.store([a_new_notice("one too many")])
        for task in waiting:
            task.cancel()

    asyncio.run(post())


def test_one_webhook_that_the_database_refuses_does_not_spoil_the_others(
    database: Database, intake: Intake
) -> None:
    bad = NewNotice(dedupe_key="bad", format=None)  # type: ignore[arg-type]

    async def post() -> list[BaseException | None]:
        waiting = [
            asyncio.create_task(intake.store([notice]))
            for notice in (a_new_notice("k1"), bad, a_new_notice("k2"))
        ]
        await asyncio.sleep(0)
        intake.start()
        return await asyncio.gather(*waiting, return_exceptions=True)

    first, second, third = asyncio.run(post())
    assert (first, third) == (None, None)
    assert isinstance(second, NotStored)
    assert stored(database) == ["k1", "k2"]


def test_a_webhook_that_nobody_foresaw_does_not_end_the_writer(
    database: Database, intake: Intake
) -> None:
    odd = NewNotice(dedupe_key="k0", format="cloudevents", event_id=object())  # type: ignore[arg-type]

    async def post() -> None:
        with pytest.raises(NotStored, match="did not take the delivery"):
            await intake.store([odd, a_new_notice("k1")])  # a TypeError: it is no JSON
        await intake.store([a_new_notice("k2")])

    intake.start()
    asyncio.run(post())
    assert stored(database) == ["k2"]


def test_a_hanging_database_is_answered_before_intuits_three_seconds_are_over(
    database: Database,
) -> None:
    settings = settings_from(environment("http://127.0.0.1:1", str(database.engine.url)))
    body = b"[]"
    headers = {"intuit-signature": sign(body, VERIFIER)}
    with TestClient(create_app(build_services(settings, StubBroker()))) as web, hanging(database):
        answer = web.post("/quickbook/webhook", content=body, headers=headers)
    assert answer.status_code == 503
    assert TIMEOUT_SECONDS < 3


def test_a_receiver_ends_with_everything_that_it_began(database: Database) -> None:
    settings = settings_from(environment("http://127.0.0.1:1", str(database.engine.url)))
    before = set(threading.enumerate())
    with TestClient(create_app(build_services(settings, StubBroker()))):
        begun = {thread.name for thread in set(threading.enumerate()) - before}
        assert begun >= {"intake", "nudges", "heartbeat", "leases"}
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not left & {"intake", "nudges", "heartbeat", "leases"}


def test_what_was_stored_in_a_rush_is_logged_in_few_lines_and_whole(database: Database) -> None:
    intake = Intake(database, "simulator", Nudges(Jobs(StubBroker())), most_webhooks=1)

    async def post() -> None:
        waiting = [
            asyncio.create_task(intake.store([a_new_notice(f"k{n}", f"d{n}")], f"t{n}"))
            for n in range(120)
        ]
        await asyncio.sleep(0)
        intake.start()
        await asyncio.gather(*waiting)

    with structlog.testing.capture_logs() as lines:
        asyncio.run(post())
        intake.stop()
    assert [(line["event"], line["events"]) for line in lines] == [
        ("webhook.stored", 50),
        ("webhook.stored", 50),
        ("webhook.stored", 20),
    ]
    assert [i for line in lines for i in line["deliveries"]] == [f"d{n}" for n in range(120)]
    assert [i for line in lines for i in line["intuit_tids"]] == [f"t{n}" for n in range(120)]


def test_what_was_stored_before_a_failure_is_logged(database: Database) -> None:
    intake = Intake(database, "simulator", Nudges(Jobs(StubBroker())), most_webhooks=1)
    bad = NewNotice(dedupe_key="bad", format=None)  # type: ignore[arg-type]

    async def post() -> None:
        waiting = [
            asyncio.create_task(intake.store([notice])) for notice in (a_new_notice("k1"), bad)
        ]
        await asyncio.sleep(0)
        intake.start()
        await asyncio.gather(*waiting, return_exceptions=True)

    with structlog.testing.capture_logs() as lines:
        asyncio.run(post())
        wait_until(lambda: len(lines) == 2, 10, "both lines")
        assert {line["event"] for line in lines} == {"webhook.stored", "webhook.not_stored"}
        intake.stop()
