"""Who tells, when those are gone whose work it is."""

from pathlib import Path

from tests.journey.deployment import deployed
from tests.journey.two_companies import REALM, a_book
from tests.monitoring.listener import SECRET, listening
from tests.servers import wait_until


def test_where_no_worker_is_left_the_receiver_tells(
    tmp_path: Path, postgres_database: str, redis_database: str
) -> None:
    with (
        listening() as listener,
        deployed(
            tmp_path,
            a_book(),
            postgres_database,
            redis_url=redis_database,
            settings={"ALERT_URL": listener.url, "ALERT_SECRET": SECRET},
        ) as deployment,
    ):
        deployment.connect(REALM)
        wait_until(lambda: listener.received, 60, "an alert")
        (message,) = listener.messages()
        assert message["type"] == "workers.silent"
        assert message["data"]["command"] == "infactor-quickbooks worker"
        (status,) = deployment.rows("status", status=1)
        assert [condition["cause"] for condition in status["wrong"]] == ["workers.silent"]

        deployment.start("worker-0", "worker")
        wait_until(lambda: _imported(deployment.rows("connections")), 30, "the backfill")
        assert deployment.command("status").startswith("Nothing is wrong.\n")


def _imported(connections: list[dict[str, object]]) -> bool:
    return [connection["backfill"] for connection in connections] == ["done"]
