"""Alerts that go to several places: to ALERT_URL signed, and by Apprise in words for people."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import select

from service.database.tables import Alert
from service.errors import ConfigurationError
from service.kit.clock import now
from service.monitoring.alert_sender import channels
from service.services import Services, build_services
from service.store.alerts import refused as refused_alerts
from tests import databases
from tests.cli.place import Place
from tests.monitoring.listener import SECRET, Listener, listening
from tests.monitoring.scene import DAYS, NOW, Scene, some_settings
from workers.alerts import watch


@pytest.fixture
def scene(sqlite_url: str) -> Iterator[Scene]:
    made = Scene(databases.opened(sqlite_url))
    made.company("c1", state="disconnected", problem="invalid_grant", disconnected_at=NOW - DAYS)
    yield made
    made.database.close()


@pytest.fixture
def signed() -> Iterator[Listener]:
    with listening() as made:
        yield made


@pytest.fixture
def chat() -> Iterator[Listener]:
    """A chat as Apprise's `json://` knows it."""
    with listening() as made:
        yield made


def apprise_address(listener: Listener) -> str:
    return listener.url.replace("http://", "json://")


@pytest.fixture
def services(scene: Scene, signed: Listener, chat: Listener) -> Iterator[Services]:
    url = scene.database.engine.url.render_as_string(hide_password=False)
    settings = some_settings(
        DATABASE_URL=url,
        ALERT_URL=signed.url,
        ALERT_SECRET=SECRET,
        ALERT_URLS=apprise_address(chat),
        OPS_URL="https://ops.example.com",
    )
    made = build_services(settings, StubBroker())
    yield made
    made.close()


def said(listener: Listener) -> list[tuple[str, str, str]]:
    """Return title, text and type of each of Apprise's messages."""
    bodies = [json.loads(body) for _, _, body in listener.received]
    return [(body["title"], body["message"], body["type"]) for body in bodies]


def let_time_pass(scene: Scene) -> None:
    with scene.database.write() as session:
        for alert in session.scalars(select(Alert)):
            alert.due_at = None
            alert.ended_at = alert.ended_at and alert.ended_at - timedelta(hours=1)


def test_people_read_what_is_wrong_what_to_run_and_where_to_look(
    scene: Scene, services: Services, chat: Listener
) -> None:
    watch(services)
    link = "https://ops.example.com/ops/connections/c1"
    assert said(chat) == [
        (
            "Critical: Connection ended by QuickBooks: Company c1",
            "QuickBooks no longer accepts this company's connection: nothing is read until its"
            " supplier connects again.\n"
            f"Run: infactor-quickbooks connect-url --connection c1\n{link}\n"
            "What to do: https://ops.example.com/ops/guide/operating#connection.dead",
            "failure",
        )
    ]
    scene.change(state="connected", problem=None, disconnected_at=None)
    watch(services)
    let_time_pass(scene)
    watch(services)
    title, text, kind = said(chat)[1]
    assert (title, kind) == ("Over: Connection ended by QuickBooks: Company c1", "success")
    assert text.endswith(f"\n{link}")
    assert "Run:" not in text


def test_who_has_accepted_a_message_is_not_sent_it_again(
    scene: Scene, services: Services, signed: Listener, chat: Listener
) -> None:
    chat.status = 500
    watch(services)
    assert (len(signed.received), len(chat.received)) == (1, 1)
    watch(services)  # the other channel is told that one refuses
    assert signed.types() == ["connection.dead", "alerts.refused"]
    text = signed.messages()[1]["data"]["text"]
    assert "json:// in ALERT_URLS did not accept the message" in text
    assert "key" not in text  # nothing of the address
    with scene.database.read() as session:
        assert refused_alerts(session, now())[0] == 1  # not counting the one about that
    chat.status = 204
    let_time_pass(scene)
    watch(services)
    assert signed.types() == ["connection.dead", "alerts.refused"]
    assert [title for title, _, _ in said(chat)[-2:]] == [
        "Critical: Connection ended by QuickBooks: Company c1",
        "Critical: Alerts cannot be sent",
    ]
    with scene.database.read() as session:
        told: list[datetime | None] = list(session.scalars(select(Alert.sent_at)))
    assert None not in told


def test_a_channel_that_refuses_one_alert_is_not_waited_for_with_the_next(
    scene: Scene, services: Services, signed: Listener, chat: Listener
) -> None:
    scene.company("c2", state="disconnected", problem="invalid_grant", disconnected_at=NOW - DAYS)
    signed.status = 503
    watch(services)
    assert (len(signed.received), len(said(chat))) == (1, 2)
    with scene.database.read() as session:
        errors = sorted(str(alert.error) for alert in session.scalars(select(Alert)))
    assert errors == [
        "ALERT_URL answered 503",
        "ALERT_URL did not take an earlier alert",
    ]
    signed.status = 204
    let_time_pass(scene)
    watch(services)
    dead = [message_type for message_type in signed.types() if message_type == "connection.dead"]
    assert len(dead) == 3
    # The third says that ALERT_URL has refused alerts.
    assert len(set(said(chat))) == len(said(chat)) == 3


def test_an_address_that_apprise_does_not_know_stops_the_start_without_being_shown() -> None:
    settings = some_settings(ALERT_URLS="nonsense://a-secret/key")
    with pytest.raises(ConfigurationError) as raised:
        channels(settings)
    assert str(raised.value).startswith("ALERT_URLS: the nonsense:// address is not one that")
    assert "a-secret" not in str(raised.value)


def test_the_command_tries_every_channel(tmp_path: Path, signed: Listener, chat: Listener) -> None:
    place = Place(tmp_path).with_settings(
        {
            "QUICKBOOKS_ENVIRONMENT": "simulator",
            "QUICKBOOKS_SIMULATOR_URL": "http://127.0.0.1:9",
            "ALERT_URL": signed.url,
            "ALERT_SECRET": SECRET,
            "ALERT_URLS": apprise_address(chat),
        }
    )
    place.add_notices()  # makes the database
    ended = place.run("alerts", "test")
    assert (ended.returncode, ended.stderr, ended.stdout) == (
        0,
        "",
        "ALERT_URL accepted a test alert.\njson:// in ALERT_URLS accepted a test alert.\n",
    )
    assert (signed.types(), len(chat.received)) == (["alert.test"], 1)
    signed.status = 401
    ended = place.run("alerts", "test")
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (1, "ALERT_URL answered 401.")
    nowhere = place.with_settings({"ALERT_URL": "", "ALERT_SECRET": "", "ALERT_URLS": ""})
    assert nowhere.run("alerts", "test").returncode == 2
