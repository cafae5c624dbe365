"""`doctor --webhook` waits for what receivers count, and says what came of it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.doctor.reach_checks import _ADVICE, wait_for_webhook
from service.coordination import heartbeats
from service.kit.clock import now
from service.services import Services
from tests.cli.place import Place

SETTINGS = {
    "QUICKBOOKS_ENVIRONMENT": "simulator",
    "QUICKBOOKS_SIMULATOR_URL": "http://127.0.0.1:9",
}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with Place(tmp_path).with_settings(SETTINGS).services() as made:
        count(made, "unsigned")  # before anybody waits
        yield made


def count(services: Services, outcome: str) -> None:
    with services.database.write() as session:
        heartbeats.add_answers(session, {(now().replace(second=0, microsecond=0), outcome): 1})


@pytest.mark.parametrize(
    ("outcome", "verdict", "words"),
    [
        ("stored", "ok", "arrived, its signature is right, and it is stored"),
        ("unsigned", "fail", "its signature is wrong"),
        ("not_configured", "fail", "has no verifier token"),
        ("misdirected", "fail", "at a wrong address"),
        ("not_stored", "fail", "the database did not take it"),
        ("too_large", "fail", "too long"),
    ],
)
def test_what_came_is_told(services: Services, outcome: str, verdict: str, words: str) -> None:
    timer = threading.Timer(0.5, count, (services, outcome))
    timer.start()
    found = wait_for_webhook(services, 20)
    timer.join()
    assert found.verdict == verdict
    assert words in found.seen
    if outcome == "misdirected":
        assert found.advice.endswith(" to http://localhost:3000/quickbook/webhook")
    assert {"stored", *_ADVICE} >= {outcome}


def test_what_does_not_come_is_told_with_what_to_check(services: Services) -> None:
    found = wait_for_webhook(services, 1)
    assert (found.verdict, found.seen) == ("fail", "none arrived within 1 s")
    assert "http://localhost:3000/quickbook/webhook" in found.advice
