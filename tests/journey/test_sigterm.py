"""Asked to end in the middle of a sync, processes finish it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journey.deployment import Deployment, deployed
from tests.journey.two_companies import REALM, a_book, an_invoice
from tests.servers import wait_until


@pytest.fixture(params=["embedded", "separate"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """One process on SQLite; then a receiver and a worker on PostgreSQL and Redis."""
    if request.param == "embedded":
        with deployed(tmp_path, a_book(), f"sqlite:///{tmp_path}/journey.db") as made:
            yield made
        return
    database_url = request.getfixturevalue("postgres_database")
    redis_url = request.getfixturevalue("redis_database")
    with deployed(tmp_path, a_book(), database_url, redis_url=redis_url, workers=1) as made:
        yield made


def test_a_sync_in_the_middle_of_a_slow_answer_is_finished(deployment: Deployment) -> None:
    deployment.connect(REALM)
    wait_until(lambda: "backfill.ended" in deployment.logs(), 30, "the backfill")
    deployment.sim("POST", "/faults", [{"kind": "query", "delay": 4, "count": 1}])
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("500"))
    script = deployment.simulator.simulator.script
    wait_until(lambda: not script.rules, 20, "the slow answer is under way")
    assert "invoices.recorded" not in deployment.logs().partition("backfill.ended")[2]

    assert set(deployment.stop().values()) <= {0, -signal.SIGTERM}

    (notice,) = deployment.rows("webhooks")
    assert (notice["status"], notice["reason"], notice["attempts"]) == ("done", "created", 1)
    document = deployment.document("500")
    assert document is not None
    assert document["invoiceAmount"] == 100.25
    assert deployment.logs().count("notice.done") == 1
