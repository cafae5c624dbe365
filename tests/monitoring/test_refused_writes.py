"""A database or a Redis that answers, but takes no writes: told by all who look, with the cause."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis
import structlog
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from starlette.testclient import TestClient

from service.app import create_app
from service.config.loading import settings_from
from service.database.tables import Alert
from service.jobs import receiver_broker
from service.services import Services, build_services
from service.web.health.probes import probes_for
from tests import databases
from tests.cli.place import Place
from tests.journey.deployment import SECRETS
from tests.monitoring.listener import SECRET, Listener, listening
from tests.servers import wait_until
from workers.alerts import alert_without_database, watch
from workers.schedule import PERIODIC, Clock, Periodic

SETTINGS = {
    **SECRETS,
    "QUICKBOOKS_ENVIRONMENT": "simulator",
    "QUICKBOOKS_SIMULATOR_URL": "http://127.0.0.1:9",
}
READ_ONLY = "read-only transaction"
FULL, REPLICA, ALONE = "maxmemory", "read only replica", "Not enough good replicas"


@contextmanager
def read_only(url: str) -> Iterator[None]:
    """Let this PostgreSQL database take no writes from those who connect from now on."""
    name = make_url(url).database
    # As a connection that may write whatever the database's default is.
    with psycopg.connect(
        url, autocommit=True, options="-c default_transaction_read_only=off"
    ) as by:
        by.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        try:
            yield
        finally:
            by.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


@contextmanager
def refusing(url: str, cause: str) -> Iterator[None]:
    """Let this Redis answer, and take no writes."""
    with redis.Redis.from_url(url) as client:
        if cause == FULL:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1")
        elif cause == REPLICA:
            client.replicaof("127.0.0.1", "1")
        else:
            client.config_set("min-replicas-to-write", "1")
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")
            client.config_set("maxmemory", "0")
            client.config_set("min-replicas-to-write", "0")


@contextmanager
def process(place: Place) -> Iterator[Services]:
    settings = settings_from(place.settings)
    broker = receiver_broker(place.settings.get("REDIS_URL"))
    services = build_services(settings, broker)
    try:
        yield services
    finally:
        services.close()


def readyz(place: Place) -> tuple[int, dict[str, object]]:
    with process(place) as services:
        client = TestClient(create_app(services))
        client.app_state.update({"services": services, "probes": probes_for(services)})
        answer = client.get("/readyz")
        return answer.status_code, answer.json()


def doctor(place: Place, check: str) -> list[tuple[str, str]]:
    rows = map(json.loads, place.run("doctor", "--json").stdout.splitlines())
    return [(row["verdict"], row["seen"]) for row in rows if row["check"] == check]


@pytest.fixture
def place(tmp_path: Path, migrated_postgres_url: str, redis_database: str) -> Place:
    """The settings of an installation."""
    urls = {"DATABASE_URL": migrated_postgres_url, "REDIS_URL": redis_database}
    return Place(tmp_path, {**SETTINGS, **urls})


def test_where_both_take_writes_nothing_is_told(place: Place) -> None:
    # A slow machine may take longer than a probe waits.
    wait_until(lambda: readyz(place)[1]["status"] == "ok", what="both answers in time")
    assert place.run("status").stdout.startswith("Nothing is wrong.\n")
    assert {verdict for verdict, _ in doctor(place, "database")} == {"ok"}
    assert doctor(place, "queue") == [("ok", "Redis takes work")]


def test_a_read_only_postgresql(place: Place) -> None:
    with read_only(place.settings["DATABASE_URL"]):
        status, told = readyz(place)
        assert (status, told["status"]) == (503, "unavailable")
        assert READ_ONLY in str(told["database"])
        ended = place.run("status", "--json")
        assert ended.returncode == 1
        (wrong,) = json.loads(ended.stdout)["wrong"]
        assert (wrong["cause"], wrong["severity"]) == ("database.refuses", "critical")
        assert READ_ONLY in wrong["text"]
        (answers, (verdict, seen)) = doctor(place, "database")
        assert answers == ("ok", "PostgreSQL answers")
        assert verdict == "fail"
        assert READ_ONLY in seen


def test_a_sqlite_file_that_may_only_be_read(tmp_path: Path) -> None:
    databases.copy_migrated_sqlite(tmp_path / "it.db")
    url = f"sqlite:///file:{tmp_path}/it.db?mode=ro&uri=true"
    place = Place(tmp_path, {**SETTINGS, "DATABASE_URL": url})
    cause = "attempt to write a readonly database"
    assert readyz(place) == (
        503,
        {"status": "unavailable", "database": f"takes no writes: {cause}"},
    )
    assert doctor(place, "database") == [
        ("ok", "the SQLite file answers"),
        ("fail", f"the SQLite file answers, but takes no writes: {cause}"),
    ]
    ended = place.run("status")
    assert (ended.returncode, cause in " ".join(ended.stdout.split())) == (1, True)
    with process(place) as services:
        (told,) = probes_for(services).refusals().conditions()
    assert told.text.startswith(f"The database refuses writes: {cause}. Webhooks are ")


@pytest.mark.parametrize("cause", [FULL, REPLICA, ALONE])
def test_a_redis_that_takes_no_work(place: Place, cause: str) -> None:
    with refusing(place.settings["REDIS_URL"], cause):
        status, told = readyz(place)
        # Notices must come in all the same.
        assert (status, told["status"], told["database"]) == (200, "degraded", "ok")
        assert cause in str(told["queue"])
        ended = place.run("status", "--json")
        assert ended.returncode == 1
        (wrong,) = json.loads(ended.stdout)["wrong"]
        assert (wrong["cause"], wrong["severity"]) == ("queue.refuses", "critical")
        assert cause in wrong["text"]
        ((verdict, seen),) = doctor(place, "queue")
        assert verdict == "fail"
        assert cause in seen
        with process(place) as services:
            watch(services)
            with services.database.read() as session:
                assert session.scalars(select(Alert.cause)).all() == ["queue.refuses"]


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Somebody who listens."""
    with listening() as made:
        yield made


def test_a_database_without_writes_is_told_though_no_alert_can_be_kept(
    place: Place, listener: Listener
) -> None:
    place = place.with_settings({"ALERT_URL": listener.url, "ALERT_SECRET": SECRET})
    (alerts,) = (job for job in PERIODIC if job.name == "alerts")
    assert alerts.failed is alert_without_database
    failures: list[Exception] = []

    def failed(services: Services, error: Exception) -> None:
        failures.append(error)
        alert_without_database(services, error)

    often = Periodic("alerts", 0.02, alerts.work, failed=failed)
    with (
        structlog.testing.capture_logs() as events,
        read_only(place.settings["DATABASE_URL"]),
        process(place) as services,
    ):
        clock = Clock(services, [often], patience=0.1)
        clock.start()
        wait_until(lambda: listener.received)
        before = len(failures)
        wait_until(lambda: len(failures) > before + 5)
        clock.stop()
        clock.join()
    assert [event["event"] for event in events].count("clock.failed") == 1
    # Once from each process, however often it fails.
    assert len(set(listener.ids())) == len(listener.received) <= 2
    assert listener.types()[0] == "database.refuses"
    assert READ_ONLY in listener.messages()[0]["data"]["text"]


def test_whoever_takes_no_alert_ends_nothing_and_other_errors_are_no_alert(
    place: Place, listener: Listener
) -> None:
    place = place.with_settings({"ALERT_URL": listener.url, "ALERT_SECRET": SECRET})
    listener.status = 503
    with process(place) as services, structlog.testing.capture_logs() as events:
        alert_without_database(services, ValueError("of our own"))
        assert listener.received == []
        alert_without_database(services, DBAPIError("INSERT", {}, Exception("no space left")))
    assert listener.types() == ["database.refuses"]
    assert [(event["event"], event["cause"]) for event in events] == [
        ("alert.not_sent", "database.refuses")
    ]


def test_a_job_that_fails_works_again_only_once_it_was_done(tmp_path: Path) -> None:
    databases.copy_migrated_sqlite(tmp_path / "it.db")
    place = Place(tmp_path, {**SETTINGS, "DATABASE_URL": f"sqlite:///{tmp_path}/it.db"})
    turns: list[str] = []
    failures: list[str] = []

    def fail(_: Services) -> None:
        failures.append("")
        raise OSError

    often = Periodic("often", 0.01, lambda _: turns.append(""), everywhere=True)
    seldom = Periodic("seldom", 3600.0, fail, everywhere=True)
    with structlog.testing.capture_logs() as events, process(place) as services:
        clock = Clock(services, [seldom, often])
        clock.start()
        wait_until(lambda: len(turns) > 3)
        clock.stop()
        clock.join()
    assert [event["event"] for event in events if event.get("job") == "seldom"] == ["clock.failed"]
    assert failures == [""]
