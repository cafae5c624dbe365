"""Notices that have failed: told until something has done their work."""

import pytest

from service.monitoring.condition import Condition
from tests.monitoring.scene import DAYS, HOURS, MINUTES, NOW, Scene

pytestmark = pytest.mark.both_databases("the statements are its own")


@pytest.fixture(autouse=True)
def companies(scene: Scene) -> None:
    scene.company("c1")
    scene.company("c2")
    scene.notices(50, "c1", ago=HOURS, status="done", handled_at=NOW - MINUTES)


def failed(scene: Scene, entity_id: str | None = "7", company: str = "c1") -> None:
    fields = {"entity": "Invoice", "entity_id": entity_id, "status": "failed"}
    scene.notices(1, company, ago=9 * DAYS, handled_at=NOW - 2 * HOURS, **fields)


def test_each_is_told_until_it_is_retried(scene: Scene) -> None:
    failed(scene)
    (condition,) = scene.wrong()
    assert condition == Condition(
        cause="webhooks.failed",
        severity="warning",
        since=NOW - 2 * HOURS,
        text="1 webhook event of 1 company failed, so invoices may be missing or out of date. The"
        " list of events says why. What failed is retried automatically, at most an hour apart, or"
        " once a day where the record itself is wrong.",
        command="infactor-quickbooks webhooks --failed",
    )
    failed(scene, company="c2")
    (condition,) = scene.wrong()
    assert condition.text.startswith("2 webhook events of 2 companies failed,")
    scene.end_notices(status="pending", handled_at=None, received_at=NOW)
    scene.last_beat("clock", 5)
    assert scene.wrong() == []


@pytest.mark.parametrize(
    ("later", "told"),
    [
        ({}, []),
        ({"status": "pending", "handled_at": None}, ["webhooks.failed"]),
        ({"status": "ignored"}, ["webhooks.failed"]),
        ({"entity": "Customer"}, ["webhooks.failed"]),
        ({"entity_id": "8"}, ["webhooks.failed"]),
        ({"connection_id": "c2"}, ["webhooks.failed"]),
    ],
)
def test_it_is_over_once_a_later_one_about_the_same_is_done(
    scene: Scene, later: dict[str, object], told: list[str]
) -> None:
    failed(scene)
    same = {"entity": "Invoice", "entity_id": "7", "status": "done", "handled_at": NOW}
    given = {"connection_id": "c1", **same, **later}
    scene.notices(1, str(given.pop("connection_id")), ago=MINUTES, **given)
    scene.last_beat("clock", 5)
    assert scene.causes() == told


def test_an_earlier_one_says_nothing(scene: Scene) -> None:
    same = {"entity": "Invoice", "entity_id": "7", "status": "done", "handled_at": NOW}
    scene.notices(1, "c1", ago=MINUTES, **same)
    failed(scene)
    assert scene.causes() == ["webhooks.failed"]


@pytest.mark.parametrize("entity_id", ["7", None])
def test_it_is_over_once_a_later_reconcile_agrees(scene: Scene, entity_id: str | None) -> None:
    failed(scene, entity_id)
    scene.reconciled("c1", ago=3 * HOURS)
    scene.reconciled("c2", ago=HOURS)
    assert scene.causes() == ["webhooks.failed"]
    scene.reconciled("c1", ago=HOURS, error="1 invoice differs")
    assert scene.causes() == ["reconcile.red", "webhooks.failed"]
    scene.reconciled("c1", ago=MINUTES)
    assert scene.causes() == []


@pytest.mark.parametrize("fields", [{"state": "disconnected"}, {"environment": "production"}])
def test_of_what_we_cannot_read_none_is_told(scene: Scene, fields: dict[str, object]) -> None:
    failed(scene)
    scene.change("c1", **fields)
    assert scene.wrong() == []
