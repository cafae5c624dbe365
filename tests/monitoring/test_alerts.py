"""Alerts, from the rows that are wrong to the message that somebody takes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import delete, select

from service.database.tables import Alert, Connection
from service.kit.clock import now
from service.kit.standard_webhooks import signed_headers
from service.services import Services, build_services
from tests.monitoring.listener import SECRET, Listener, listening
from tests.monitoring.scene import Scene, some_settings
from tests.servers import free_port
from workers.alerts import open_and_close, watch


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Somebody who listens."""
    with listening() as made:
        yield made


@pytest.fixture
def services(scene: Scene, listener: Listener) -> Iterator[Services]:
    """A process of the scene's database, with that listener."""
    with process(scene, ALERT_URL=listener.url, ALERT_SECRET=SECRET) as made:
        yield made


@pytest.fixture
def services_of_no_listener(scene: Scene) -> Iterator[Services]:
    """A process without ALERT_URL."""
    with process(scene) as made:
        yield made


@contextmanager
def process(scene: Scene, **more: str) -> Iterator[Services]:
    url = scene.database.engine.url.render_as_string(hide_password=False)
    url = url.replace("postgresql+psycopg", "postgresql")
    made = build_services(some_settings(DATABASE_URL=url, **more), StubBroker())
    yield made
    made.close()


def alerts(scene: Scene) -> list[Alert]:
    with scene.database.read() as session:
        about_others = select(Alert).where(Alert.cause != "alerts.refused").order_by(Alert.id)
        return list(session.scalars(about_others))


def attempts(listener: Listener) -> list[str]:
    """Return the id of each message that is not about alerts themselves."""
    told = zip(listener.types(), listener.ids(), strict=True)
    return [message_id for kind, message_id in told if not kind.startswith("alerts.refused")]


def let_pass(scene: Scene, **delta: float) -> None:
    """Put the alerts' times back."""
    with scene.database.write() as session:
        for alert in session.scalars(select(Alert)):
            alert.ended_at = alert.ended_at and alert.ended_at - timedelta(**delta)
            alert.due_at = alert.due_at and alert.due_at - timedelta(**delta)


def die(scene: Scene, connection_id: str = "c1") -> None:
    scene.change(
        connection_id,
        state="disconnected",
        problem="invalid_grant",
        disconnected_at=datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
    )


def live(scene: Scene, connection_id: str = "c1") -> None:
    scene.change(connection_id, state="connected", problem=None, disconnected_at=None)


def test_a_second_critical_finding_is_sent_while_the_first_is_open(
    scene: Scene, services: Services, listener: Listener
) -> None:
    scene.company("c1")
    for number in ("1", "2"):
        scene.rows("c1").invoice(number, doc_number=f"R-{number}")
    scene.rows("c1").finding("1", "critical")
    watch(services)
    scene.rows("c1").finding("2", "critical")
    for _ in range(3):
        watch(services)
    first, second = [message["data"] for message in listener.messages()]
    assert second["text"].startswith("Invoice R-2: Amount: approved 100.00 USD, now 90.00 USD.")
    assert (second["connection"], second["company"]) == ("c1", "Company c1")
    assert [one["link"].rpartition("/ops")[2] for one in (first, second)] == [
        "/invoices/qbk-c1-1",
        "/invoices/qbk-c1-2",
    ]


def test_each_cause_is_told_once_and_once_when_it_is_over(
    scene: Scene, services: Services, listener: Listener
) -> None:
    scene.company("c1")
    watch(services)
    assert listener.received == []
    die(scene)
    for _ in range(3):
        watch(services)
    live(scene)
    watch(services)
    let_pass(scene, seconds=61)
    for _ in range(3):
        watch(services)
    begun, ended = listener.messages()
    (alert,) = alerts(scene)
    told = {
        "alert": alert.id,
        "cause": "connection.dead",
        "severity": "critical",
        "connection": "c1",
        "company": "Company c1",
        "since": "2026-11-20T09:30:00+00:00",
        "ended_at": None,
        "text": "QuickBooks no longer accepts this company's connection: nothing is read until"
        " its supplier connects again.",
        "command": "infactor-quickbooks connect-url --connection c1",
        "title": "Connection ended by QuickBooks",
        "link": "http://localhost:3000/ops/connections/c1",
        "guide": "http://localhost:3000/ops/guide/operating#connection.dead",
    }
    assert begun == {
        "type": "connection.dead",
        "timestamp": alert.raised_at.isoformat(),
        "data": told,
    }
    assert alert.ended_at is not None
    assert ended == {
        "type": "connection.dead.ended",
        "timestamp": alert.ended_at.isoformat(),
        "data": {**told, "ended_at": alert.ended_at.isoformat()},
    }
    assert alert.sent_at is not None
    assert alert.end_sent_at is not None
    path, headers, _ = listener.received[0]
    assert (path, headers["content-type"]) == (
        "/alerts?key=a-key-in-the-address",
        "application/json",
    )
    assert len(set(listener.ids())) == 2


def test_what_comes_back_within_a_minute_was_never_over(
    scene: Scene, services: Services, listener: Listener
) -> None:
    scene.company("c1")
    for _ in range(3):
        die(scene)
        watch(services)
        live(scene)
        watch(services)
    let_pass(scene, seconds=61)
    watch(services)
    assert listener.types() == ["connection.dead", "connection.dead.ended"]
    die(scene)
    watch(services)
    assert listener.types()[2:] == ["connection.dead"]
    assert len(alerts(scene)) == 2
    assert len(set(listener.ids())) == 3


@pytest.mark.both_databases("the statements are its own")
def test_what_is_not_taken_is_told_again_under_the_same_id_later_and_later(
    scene: Scene, services: Services, listener: Listener
) -> None:
    scene.company("c1")
    die(scene)
    listener.status = 500
    waits = []
    for attempt in range(1, 10):
        began = now()
        watch(services)
        (alert,) = alerts(scene)
        assert (alert.attempts, alert.sent_at, alert.error) == (
            attempt,
            None,
            "ALERT_URL answered 500",
        )
        assert alert.due_at is not None
        waits.append((alert.due_at - began).total_seconds())
        watch(services)  # too early
        let_pass(scene, hours=1)
    for wait, longest in zip(waits, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600], strict=True):
        assert longest / 2 <= wait <= longest + 5
    listener.status = 200
    watch(services)
    assert len(attempts(listener)) == 10
    assert len(set(attempts(listener))) == 1
    assert [(a.attempts, a.due_at, a.error) for a in alerts(scene)] == [(0, None, None)]


def test_where_one_message_is_not_taken_the_others_wait_and_then_have_their_turn(
    scene: Scene, services: Services, listener: Listener
) -> None:
    for name in ("c1", "c2"):
        scene.company(name)
        die(scene, name)
    listener.status = 503
    watch(services)
    assert len(attempts(listener)) == 1
    watch(services)
    assert len(set(attempts(listener))) == 2
    listener.status = 204
    let_pass(scene, hours=1)
    watch(services)
    assert len(attempts(listener)) == 4
    assert [a.sent_at is not None for a in alerts(scene)] == [True, True]


def test_a_redirect_is_not_followed(scene: Scene, services: Services, listener: Listener) -> None:
    scene.company("c1")
    die(scene)
    listener.status, listener.headers = 307, {"location": listener.url}
    watch(services)
    assert len(listener.received) == 1
    assert [alert.error for alert in alerts(scene)] == ["ALERT_URL answered 307"]


@pytest.mark.both_databases("the statements are its own")
def test_what_began_and_ended_before_anybody_could_be_told_is_told_in_order(
    scene: Scene, services: Services, listener: Listener
) -> None:
    scene.company("c1")
    die(scene)
    listener.status = 500
    watch(services)
    live(scene)
    watch(services)
    listener.status = 204
    listener.received.clear()
    let_pass(scene, hours=2)
    watch(services)
    watch(services)
    begun, ended = [m for m in listener.messages() if not m["type"].startswith("alerts.")]
    assert (begun["type"], ended["type"]) == ("connection.dead", "connection.dead.ended")
    assert begun["data"]["ended_at"] == ended["data"]["ended_at"]
    assert begun["data"]["ended_at"] is not None  # nobody needs to hurry any more


def test_what_has_been_over_for_a_day_is_history(
    scene: Scene, services_of_no_listener: Services, services: Services, listener: Listener
) -> None:
    scene.company("c1")
    die(scene)
    watch(services_of_no_listener)
    live(scene)
    watch(services_of_no_listener)
    let_pass(scene, hours=25)
    watch(services)  # ALERT_URL is set only now
    assert listener.received == []


def test_without_alert_url_there_is_a_history_all_the_same(
    scene: Scene, services_of_no_listener: Services
) -> None:
    scene.company("c1", throttled_since=now() - timedelta(hours=1))
    watch(services_of_no_listener)
    scene.change("c1", throttled_since=None)
    watch(services_of_no_listener)
    (alert,) = alerts(scene)
    assert (alert.cause, alert.subject, alert.severity) == ("throttled.lasting", "", "warning")
    assert alert.command == "infactor-quickbooks connections"
    assert alert.raised_at > alert.since
    assert alert.ended_at is not None
    assert alert.sent_at is None


def test_what_becomes_critical_is_sent_again_and_what_becomes_a_warning_is_not(
    scene: Scene, services: Services, listener: Listener
) -> None:
    at = now() - timedelta(hours=1)
    for name in ("c1", "c2", "c3"):
        scene.company(name)
    scene.change("c1", throttled_since=at)
    watch(services)
    scene.change("c2", throttled_since=at)
    scene.change("c3", throttled_since=at)
    watch(services)
    watch(services)
    scene.change("c3", throttled_since=None)
    scene.change("c2", throttled_since=None)
    watch(services)
    told = [(one["data"]["severity"], one["data"]["text"][:36]) for one in listener.messages()]
    assert told == [
        ("warning", "QuickBooks has answered 1 company no"),
        ("critical", "QuickBooks has answered 3 companies "),
    ]
    first, second = listener.ids()
    assert first != second  # a receiver that drops what it has seen takes both


@pytest.mark.slow
def test_a_listener_that_never_answers_holds_nobody_up(
    scene: Scene, services: Services, listener: Listener
) -> None:
    for name in ("c1", "c2", "c3"):
        scene.company(name)
        die(scene, name)
    listener.may_answer.clear()
    watch(services)
    assert len(listener.received) == 1
    assert [a.error for a in alerts(scene) if a.error] == ["ALERT_URL did not answer (ReadTimeout)"]


def test_nothing_of_the_address_or_of_the_company_is_logged(scene: Scene) -> None:
    address = f"http://someone:a-password@127.0.0.1:{free_port()}/a-path?key=a-key"
    scene.company("c1")
    die(scene)
    with (
        process(scene, ALERT_URL=address, ALERT_SECRET=SECRET) as services,
        structlog.testing.capture_logs() as events,
    ):
        watch(services)
    assert [event["event"] for event in events] == ["alert.begun", "alert.not_sent"]
    assert events[1]["why"] == "ALERT_URL did not answer (ConnectError)"
    private = ("a-password", "a-path", "a-key", "someone", "127.0.0.1", "Company c1")
    assert [text for text in private if text in str(events)] == []


def test_processes_that_look_at_once_leave_one_alert(
    scene: Scene, services_of_no_listener: Services
) -> None:
    for number in range(10):
        scene.company(f"c{number}")
        die(scene, f"c{number}")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(open_and_close, [services_of_no_listener] * 4))
    assert sorted(alert.subject for alert in alerts(scene)) == [f"c{n}" for n in range(10)]


@pytest.mark.both_databases("the statements are its own")
def test_the_alert_of_a_company_that_was_forgotten_ends_without_a_name(
    scene: Scene, services: Services, listener: Listener
) -> None:
    scene.company("c1")
    die(scene)
    watch(services)
    with scene.database.write() as session:
        session.execute(delete(Connection))
    watch(services)
    let_pass(scene, seconds=61)
    watch(services)
    ended: dict[str, Any] = listener.messages()[1]
    assert (ended["data"]["connection"], ended["data"]["company"]) == ("c1", None)


def test_the_headers_are_those_that_the_standard_prescribes() -> None:
    """The vector of the standard's own libraries."""
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
