"""Real processes: what was acknowledged is there, and one company does not wait for another."""

import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from service.quickbooks.webhooks import sign
from tests.journey.books import a_book, an_invoice, realm
from tests.journey.deployment import VERIFIER, Deployment, deployed
from tests.servers import wait_until

QUIET, NOISY = realm(0), realm(1)


@pytest.fixture
def deployment(postgres_database: str, redis_database: str, tmp_path: Path) -> Iterator[Deployment]:
    """A receiver and a worker of four threads, with two companies."""
    book = a_book(2, 40)
    with deployed(tmp_path, book, postgres_database, redis_url=redis_database, workers=1) as made:
        yield made


def deliver_until_it_is_gone(url: str, acknowledged: list[str], enough: threading.Event) -> None:
    """Deliver one event after the other; note those that were answered with 200."""
    with httpx.Client(timeout=10) as client:
        while True:
            event_id = str(uuid.uuid4())
            body = json.dumps(
                [
                    {
                        "specversion": "1.0",
                        "id": event_id,
                        "source": "intuit.c291cmNl",
                        "type": "qbo.invoice.updated.v1",
                        "time": "2026-11-20T16:19:17Z",
                        "intuitentityid": "1",
                        "intuitaccountid": QUIET,
                    }
                ]
            ).encode()
            try:
                answer = client.post(
                    f"{url}/quickbook/webhook",
                    content=body,
                    headers={"intuit-signature": sign(body, VERIFIER)},
                )
            except httpx.TransportError:
                return  # it was killed
            if answer.status_code == 200:
                acknowledged.append(event_id)
            if len(acknowledged) >= 300:
                enough.set()


BEING_STORED = """ FROM pg_stat_activity WHERE datname = current_database()
    AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO notices%'"""


def test_what_a_killed_receiver_has_acknowledged_is_there(
    deployment: Deployment, postgres_database: str
) -> None:
    """It is killed at the worst moment, with deliveries that the database has not stored yet.

    Its connection ends with it, or PostgreSQL would still store what it is waiting for.
    """
    acknowledged: list[str] = []
    enough = threading.Event()
    with (
        ThreadPoolExecutor(8) as pool,
        psycopg.connect(postgres_database) as holder,
        psycopg.connect(postgres_database, autocommit=True) as watcher,
    ):
        senders = [
            pool.submit(deliver_until_it_is_gone, deployment.receivers[0], acknowledged, enough)
            for _ in range(8)
        ]
        assert enough.wait(60)
        holder.execute("LOCK TABLE notices IN EXCLUSIVE MODE")
        wait_until(
            lambda: watcher.execute(f"SELECT 1 {BEING_STORED}").fetchone() is not None,
            what="deliveries that are being stored",
        )
        deployment.processes["serve-0"].kill()
        for sender in senders:
            sender.result()
        (ended,) = watcher.execute(f"SELECT pg_terminate_backend(pid, 5000) {BEING_STORED}")
        assert ended == (True,)
    with psycopg.connect(postgres_database) as connection:
        stored = {row[0] for row in connection.execute("SELECT event_id FROM notices")}
    assert len(acknowledged) >= 300
    assert set(acknowledged) - stored == set()


def test_one_noisy_company_does_not_starve_the_others(deployment: Deployment) -> None:
    """Its backfill and its notices are slow all the time; the other's notice does not wait."""
    deployment.connect(QUIET, "quiet@example.com")
    deployment.connect(NOISY, "noisy@example.com")
    wait_until(lambda: len(deployment.rows("invoices")) == 80, 60, "both backfills")
    deployment.sim("POST", "/faults", {"company": NOISY, "delay": 12.0})
    deployment.sim(
        "PUT",
        f"/companies/{NOISY}/Invoice",
        [an_invoice(str(n), 500 + n) for n in range(1, 41)],
    )
    deployment.sim("PUT", f"/companies/{QUIET}/Invoice", an_invoice("77", 7.25))
    found: list[str] = []

    def arrived() -> bool:
        found[:] = [
            row["qbkInvoiceId"] for row in deployment.rows("invoices") if row["invoiceAmount"] > 500
        ]
        quiet = deployment.rows("invoices", "--supplier", "quiet@example.com")
        return any(row["qbkInvoiceId"] == "77" for row in quiet)

    wait_until(arrived, 30, "the quiet company's invoice")
    assert found == []  # the noisy company is still being waited for
