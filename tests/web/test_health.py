"""`/livez` and `/readyz`: what they answer, and that they answer at all."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from dramatiq.brokers.stub import StubBroker
from starlette.testclient import TestClient

from service.app import create_app
from service.config.loading import settings_from
from service.coordination import heartbeats
from service.database.tables import Notice
from service.kit.clock import now
from service.services import Services, build_services
from service.simulator.app import RunningSimulator
from service.web.health.probes import Probe
from tests.servers import free_port
from tests.web.conftest import Place, receiver, settings_of


@pytest.fixture
def postgres(migrated_postgres_url: str) -> str:
    """A migrated database."""
    return migrated_postgres_url


def test_a_receiver_by_itself_is_ready(place: Place) -> None:
    answer = place.browser().get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "status": "ok",
            "wrong": [],
            "database": "ok",
            "queue": "embedded",
            "oldest_pending_seconds": 0,
            "infactor": "own record",
        },
    )
    assert place.browser().get("/livez").text == "ok\n"


@pytest.mark.parametrize(("seconds", "status"), [(590, "ok"), (610, "degraded")])
def test_notices_that_wait_for_ten_minutes_are_told(
    place: Place, seconds: float, status: str
) -> None:
    place.connect(place.browser())
    place.do("UPDATE runs SET state = 'done'")
    with place.services.database.write() as session:
        at = now() - timedelta(seconds=seconds)
        company = place.connections()[0].id
        session.add(Notice(connection_id=company, format="own", received_at=at, status="pending"))
        heartbeats.beat(session, "clock")
    answer = place.browser().get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert answer.json()["oldest_pending_seconds"] == pytest.approx(seconds, abs=5)


def test_a_database_of_another_version_is_not_worked_on(place: Place) -> None:
    place.do("UPDATE alembic_version SET version_num = '0000'")
    answer = place.browser().get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    place.do("DROP TABLE alembic_version")
    assert place.browser().get("/readyz").status_code == 503


def test_a_queue_that_answers_is_ok(postgres: str, redis_database: str) -> None:
    with receiver(postgres, redis_database) as client:
        assert client.get("/readyz").json()["queue"] == "ok"


def test_without_a_queue_notices_still_come_in(postgres: str) -> None:
    with receiver(postgres, f"redis://127.0.0.1:{free_port()}/0") as client:
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["wrong"] == ["queue.away"]
    assert answer.json()["queue"].startswith("away: Error 111 connecting to 127.0.0.1:")


@pytest.mark.timeout(30)
def test_a_queue_that_never_answers_is_not_waited_for(postgres: str, silent_port: int) -> None:
    with receiver(postgres, f"redis://127.0.0.1:{silent_port}/0") as client:
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["queue"].startswith("away: ")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["silent", "gone"])
def test_a_database_that_does_not_answer_is_told_in_time(
    redis_database: str, silent_port: int, kind: str
) -> None:
    port = silent_port if kind == "silent" else free_port()
    with receiver(f"postgresql://u@127.0.0.1:{port}/x", redis_database) as client:
        for _ in range(2):
            answer = client.get("/readyz")
            assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert client.get("/livez").status_code == 200


def test_a_question_that_hangs_costs_one_thread_however_often_it_is_asked() -> None:
    may_answer = threading.Event()
    asked: list[threading.Thread] = []

    def ask() -> int:
        asked.append(threading.current_thread())
        may_answer.wait(30)
        return len(asked)

    probe = Probe(ask, seconds=0.05)

    async def ask_often() -> list[int | None]:
        return await asyncio.gather(*(probe.answer() for _ in range(20)))

    try:
        assert asyncio.run(ask_often()) == [None] * 20
        assert asyncio.run(ask_often()) == [None] * 20
        assert len(asked) == 1
    finally:
        may_answer.set()
    asked[0].join()
    # What was answered too late is not kept: the next one asks anew.
    patient = Probe(ask, seconds=30)
    assert asyncio.run(patient.answer()) == 2


def test_a_receiver_whose_work_cannot_begin_leaves_no_thread_behind(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    class CannotBegin(Exception):
        pass

    @contextmanager
    def background(_: Services) -> Iterator[None]:
        raise CannotBegin
        yield

    def threads() -> set[str]:
        return {thread.name for thread in threading.enumerate()}

    before = threads()
    settings = settings_from(settings_of(simulator.url, sqlite_url))
    services = build_services(settings, StubBroker())
    with (
        pytest.raises(CannotBegin),
        TestClient(create_app(services, background)),
    ):
        pass
    assert threads() & {"nudges", "intake", "heartbeat", "leases"} <= before
