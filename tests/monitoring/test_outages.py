"""What is away or set up wrongly is named, and what follows from it is not named beside it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from service.coordination import presence
from service.coordination.presence import Presence
from service.database.tables import Process
from service.database.types import database_now
from service.domain import ProcessKind
from service.jobs import QueueTrouble
from service.kit.version import running_version
from service.monitoring.checks import wrong_now
from service.monitoring.facts import Facts
from service.monitoring.refusals import Refusals
from tests import databases
from tests.monitoring.scene import HOURS, MINUTES, NOW, SECONDS, Scene, some_settings

NO_TOKEN = {"QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS": ""}
REDIS = {"DATABASE_URL": "postgresql://localhost/unused", "REDIS_URL": "redis://localhost"}


@pytest.fixture
def scene(sqlite_url: str) -> Iterator[Scene]:
    made = Scene(databases.opened(sqlite_url))
    made.last_beat("clock", 5)
    yield made
    made.database.close()


def process(scene: Scene, kind: str, version: str, seconds: float = 5, **fields: bool) -> None:
    with scene.database.write() as session:
        given = {"accepts_webhooks": True, **fields}
        row = Process(id=f"{kind}-{version}", kind=kind, version=version, at=0.0, **given)
        session.add(row)
        session.flush()
        row.at = database_now() - seconds


class TestQuickBooksAway:
    def test_it_is_a_warning_that_needs_nobody(self, scene: Scene) -> None:
        scene.company("c1", outage_since=NOW - 15 * SECONDS, outage="QuickBooks is down (HTTP 503)")
        scene.company("c2")
        scene.company("c3", suspended_at=NOW, outage_since=NOW - HOURS)
        (away,) = scene.wrong()
        assert (away.cause, away.severity, away.since) == (
            "quickbooks.away",
            "warning",
            NOW - 15 * SECONDS,
        )
        assert away.text == (
            "QuickBooks is down (HTTP 503), for 1 of 2 companies. Nothing to do: we retry"
            " automatically, and catch up when QuickBooks is back. Intuit reports outages at"
            " https://status.developer.intuit.com."
        )
        scene.change("c1", outage_since=None)
        assert scene.wrong() == []

    def test_a_moment_is_none(self, scene: Scene) -> None:
        scene.company("c1", outage_since=NOW - 14 * SECONDS, outage="QuickBooks is down")
        assert scene.wrong() == []

    def test_its_runs_are_not_called_failing(self, scene: Scene) -> None:
        scene.company("c1", outage_since=NOW - HOURS, outage="QuickBooks is down (HTTP 503)")
        failing = {"error": "HTTP 503", "error_class": "TransientError", "attempts": 9}
        scene.reconciled(
            ago=HOURS, state="active", cause="command", failing_since=NOW - HOURS, **failing
        )
        assert scene.causes() == ["quickbooks.away"]
        scene.change("c1", outage_since=None)
        assert scene.causes() == ["run.failing"]

    def test_its_notices_are_not_called_overdue(self, scene: Scene) -> None:
        scene.company("c1", outage_since=NOW - HOURS, outage="QuickBooks is down (HTTP 503)")
        scene.notices(3, "c1", ago=HOURS, attempts=9, due_at=NOW + MINUTES)
        assert scene.causes() == ["quickbooks.away"]
        scene.company("c2")
        scene.notices(1, "c2", ago=HOURS, attempts=2, error_message="HTTP 429")
        stuck = next(one for one in scene.wrong() if one.cause == "webhooks.stuck")
        assert stuck.text == (
            "1 webhook event of 1 company is overdue; the oldest has waited for 60 min. Cause, for"
            " 1 of 1 company: HTTP 429. They are retried automatically."
        )


@pytest.mark.parametrize(
    ("refusals", "causes"),
    [
        (Refusals(), ["webhooks.stuck"]),
        (Refusals(queue=QueueTrouble("no answer", is_away=True)), ["queue.away"]),
        (Refusals(queue=QueueTrouble("OOM", is_away=False)), ["queue.refuses"]),
        (Refusals(database="read-only"), ["database.refuses"]),
    ],
)
def test_what_follows_from_a_store_that_is_away_is_not_named(
    scene: Scene, refusals: Refusals, causes: list[str]
) -> None:
    scene.company("c1")
    scene.notices(1, "c1", ago=HOURS)
    with scene.database.read() as session:
        found = wrong_now(Facts(session, scene.settings, NOW, refusals))
    assert [one.cause for one in found] == causes


def test_workers_that_are_silent_explain_what_is_overdue(scene: Scene) -> None:
    scene.company("c1")
    scene.notices(1, "c1", ago=HOURS)
    scene.last_beat("clock", 300)
    assert scene.causes() == ["workers.silent"]


class TestVerifierToken:
    def test_settings_without_one(self, scene: Scene) -> None:
        scene.settings = some_settings(**NO_TOKEN)
        (missing,) = scene.wrong()
        assert (missing.cause, missing.severity) == ("verifier.missing", "critical")
        assert missing.text.startswith("Every webhook is answered 503, because no verifier token")

    def test_a_receiver_without_one_though_the_command_has_it(self, scene: Scene) -> None:
        process(scene, "receiver", running_version(), accepts_webhooks=False)
        assert scene.causes() == ["verifier.missing"]

    def test_receivers_that_have_it_though_a_worker_does_not(self, scene: Scene) -> None:
        scene.settings = some_settings(**NO_TOKEN)
        process(scene, "receiver", running_version())
        process(scene, "worker", running_version(), accepts_webhooks=False)
        assert scene.wrong() == []


class TestMisdirected:
    def test_one_webhook_is_enough(self, scene: Scene) -> None:
        scene.settings = some_settings(PUBLIC_URL="http://localhost:3456")
        scene.webhooks(1, "misdirected", ago=2 * MINUTES)
        (found,) = scene.wrong()
        assert (found.cause, found.severity) == ("webhooks.misdirected", "critical")
        assert found.text == (
            "1 webhook came to a wrong address and was answered 404. In Intuit's developer portal,"
            " set the webhooks' Endpoint URL to http://localhost:3456/quickbook/webhook. The log"
            " lines `webhook.misdirected` name the wrong address."
        )

    @pytest.mark.parametrize(
        ("misdirected", "stored", "is_wrong"),
        [
            (9 * MINUTES, None, True),
            (9 * MINUTES, MINUTES, True),
            (12 * MINUTES, MINUTES, False),
            (12 * MINUTES, 12 * MINUTES, False),
            (12 * MINUTES, HOURS, True),
            (12 * MINUTES, None, True),
            (25 * HOURS, None, False),
        ],
    )
    def test_it_is_over_when_a_right_one_has_come(
        self, scene: Scene, misdirected: timedelta, stored: timedelta | None, is_wrong: bool
    ) -> None:
        scene.webhooks(3, "misdirected", ago=misdirected)
        if stored is not None:
            scene.webhooks(3, "stored", ago=stored)
        assert scene.causes() == ["webhooks.misdirected"] * is_wrong


class TestVersions:
    def test_processes_of_this_version(self, scene: Scene) -> None:
        process(scene, "receiver", running_version())
        process(scene, "worker", running_version())
        assert scene.wrong() == []

    @pytest.mark.parametrize(
        ("kind", "command"),
        [("receiver", "infactor-quickbooks serve"), ("worker", "infactor-quickbooks worker")],
    )
    def test_one_of_another_version(self, scene: Scene, kind: str, command: str) -> None:
        scene.settings = some_settings(**REDIS)
        process(scene, "receiver", running_version())
        process(scene, kind, "0.0.9+abc")
        (differ,) = scene.wrong()
        assert (differ.cause, differ.severity) == ("versions.differ", "warning")
        assert f"1 {kind} of 0.0.9+abc" in differ.text
        assert differ.command == command

    def test_one_that_was_alive_a_minute_ago_has_ended(self, scene: Scene) -> None:
        process(scene, "worker", "0.0.9+abc", seconds=65)
        assert scene.wrong() == []

    def test_a_process_says_so_until_it_leaves(self, scene: Scene) -> None:
        mine = Presence(accepts_webhooks=False)
        process(scene, "worker", "long ago", seconds=7200)
        with scene.database.write() as session:
            mine.report(session, ProcessKind.RECEIVER)
            mine.report(session, ProcessKind.WORKER)
        with scene.database.read() as session:
            assert {(one.kind, one.version) for one in presence.living(session)} == {
                ("receiver", running_version()),
                ("worker", running_version()),
            }
        with scene.database.write() as session:
            assert session.query(Process).count() == 2  # the one of long ago is forgotten
            mine.leave(session)
        with scene.database.read() as session:
            assert presence.living(session) == []
