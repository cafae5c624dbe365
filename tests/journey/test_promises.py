"""What is acknowledged is kept, whatever happens to the processes around it."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from service.quickbooks.webhooks import sign
from tests.journey.deployment import VERIFIER, Deployment, deployed
from tests.journey.two_companies import REALM, a_book
from tests.servers import wait_until


def a_delivery(number: int) -> bytes:
    """Return a delivery of one event, whose id says which one it is."""
    event = {
        "specversion": "1.0",
        "id": f"event-{number}",
        "source": "intuit.c291cmNl",
        "type": "qbo.invoice.updated.v1",
        "time": "2026-11-20T16:19:17Z",
        "intuitentityid": str(number % 30 + 1),
        "intuitaccountid": REALM,
    }
    return json.dumps([event]).encode()


class Load:
    """Senders that go on until their receiver is gone, and what it acknowledged to them."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/quickbook/webhook"
        self.acknowledged: list[int] = []

    def send(self, first: int, step: int) -> None:
        """Send one delivery after the other; end at the first that nobody answers."""
        with httpx.Client(timeout=10, trust_env=False) as client:
            for number in range(first, 1_000_000, step):
                body = a_delivery(number)
                headers = {"intuit-signature": sign(body, VERIFIER)}
                try:
                    answer = client.post(self.url, content=body, headers=headers)
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    self.acknowledged.append(number)


def stored(database_url: str) -> set[int]:
    """Return the numbers of all events in the database."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT event_id FROM notices").fetchall()
    return {int(event_id.removeprefix("event-")) for (event_id,) in rows}


@pytest.fixture
def silent_redis() -> Iterator[str]:
    """The URL of a Redis that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.mark.parametrize("after", [1, 150, 600])
def test_what_a_receiver_acknowledged_before_it_was_killed_is_stored(
    after: int, postgres_database: str, redis_database: str, tmp_path: Path
) -> None:
    with deployed(tmp_path, a_book(), postgres_database, redis_url=redis_database) as made:
        load = Load(made.receivers[0])
        with ThreadPoolExecutor(12) as pool:
            senders = [pool.submit(load.send, number, 12) for number in range(12)]
            wait_until(lambda: len(load.acknowledged) >= after, 60, "acknowledgements")
            made.processes["serve-0"].kill()
            for sender in senders:
                sender.result()
        made.processes.pop("serve-0").join()
        kept = stored(postgres_database)
    assert set(load.acknowledged) <= kept
    # At most what was under way is stored without an answer; Intuit sends it again.
    assert len(kept - set(load.acknowledged)) <= 12


def test_a_redis_that_never_answers_delays_no_acknowledgement(
    silent_redis: str, postgres_database: str, tmp_path: Path
) -> None:
    with deployed(tmp_path, a_book(), postgres_database, redis_url=silent_redis) as made:
        connected(made)
        for number in range(100):
            assert made.deliver(0, a_delivery(number)) == 200
        assert len(stored(postgres_database)) == 100
        # Redis was asked, and is waited for longer than that took; that it is away is said once.
        log = made.folder / "serve-0.log"
        wait_until(lambda: '"event": "queue.away"' in log.read_text(), what="Redis is given up")
        assert log.read_text().count('"event": "queue.away"') == 1


def connected(made: Deployment) -> None:
    assert made.connect(REALM).url.path.startswith("/quickbook/connected/")
