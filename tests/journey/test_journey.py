"""The whole product as real processes: embedded on SQLite, and two of each on PostgreSQL."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journey.deployment import SECRETS, Deployment, deployed
from tests.journey.two_companies import BUYER, OTHER_REALM, REALM, a_book, an_invoice
from tests.servers import PATIENCE, wait_until


@pytest.fixture(params=["embedded", "separate"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """One process on SQLite; then two receivers and two workers on PostgreSQL and Redis."""
    if request.param == "embedded":
        with deployed(tmp_path, a_book(), f"sqlite:///{tmp_path}/journey.db") as made:
            yield made
        return
    database_url = request.getfixturevalue("postgres_database")
    redis_url = request.getfixturevalue("redis_database")
    with deployed(
        tmp_path, a_book(), database_url, redis_url=redis_url, receivers=2, workers=2
    ) as made:
        yield made


def test_the_whole_journey_of_two_suppliers(deployment: Deployment) -> None:
    landed = deployment.connect(REALM)
    assert landed.url.path.startswith("/quickbook/connected/")
    assert "Journey Company" in landed.text
    assert "Other Company" in deployment.connect(OTHER_REALM, "other@example.com").text

    summaries = deployment.rows("backfill", "--all")
    assert [(s["company"], s["read"], s["counted"], s["failed"]) for s in summaries] == [
        ("Journey Company", 30, 30, 0),
        ("Other Company", 10, 10, 0),
    ]
    mine = deployment.rows("invoices", "--supplier", "supplier@example.com")
    assert len(mine) == 30
    assert {d["supplierEmail"] for d in mine} == {"supplier@example.com"}
    assert mine[0]["buyerEmail"] == BUYER

    deployment.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("500"))
    _until(deployment, "500", lambda d: d["invoiceAmount"] == 100.25)
    deployment.sim(
        "PUT", f"/companies/{REALM}/Invoice", an_invoice("500", TotalAmt=99.5, Balance=99.5)
    )
    _until(deployment, "500", lambda d: d["invoiceAmount"] == 99.5)
    deployment.sim("POST", f"/companies/{REALM}/Invoice/500/void")
    voided = _until(deployment, "500", lambda d: d["state"] == "invoice_rejected")
    assert voided["buyerInvoiceRemark"] == (
        "Automatic, from QuickBooks: voided, not a decision of your buyer"
    )
    deployment.sim("DELETE", f"/companies/{REALM}/Invoice/1")
    _until(deployment, "1", lambda d: d["state"] == "invoice_rejected")

    _deliver_twice_and_wrongly(deployment)
    _every_receiver_can_be_watched(deployment)
    _nothing_private_is_logged(deployment)
    # Asked to end, workers end with 0; uvicorn hands the signal on once it has drained.
    assert set(deployment.stop().values()) <= {0, -signal.SIGTERM}


def _until(
    deployment: Deployment, quickbooks_id: str, holds: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        document = deployment.document(quickbooks_id)
        found[:] = [document] if document else []
        return document is not None and holds(document)

    wait_until(arrived, what=f"invoice {quickbooks_id}")
    return found[0]


def _deliver_twice_and_wrongly(deployment: Deployment) -> None:
    event = {
        "specversion": "1.0",
        "id": "the-same-event",
        "source": "intuit.c291cmNl",
        "type": "qbo.invoice.updated.v1",
        "time": "2026-11-20T16:19:17Z",
        "intuitentityid": "2",
        "intuitaccountid": REALM,
    }
    body = json.dumps([event]).encode()
    last = len(deployment.receivers) - 1
    assert [deployment.deliver(0, body), deployment.deliver(last, body)] == [200, 200]
    assert deployment.deliver(0, body, token="wrong") == 401

    def handled() -> list[tuple[str, str, int]]:
        return [
            (n["status"], n["reason"], n["duplicates"])
            for n in deployment.rows("webhooks")
            if n["event_id"] == "the-same-event"
        ]

    wait_until(lambda: handled() == [("done", "unchanged", 1)], what="the event is done once")


def _every_receiver_can_be_watched(deployment: Deployment) -> None:
    for receiver in deployment.receivers:
        ready = httpx.get(f"{receiver}/readyz", timeout=PATIENCE).json()
        assert (ready["status"], ready["queue"] in ("ok", "embedded")) == ("ok", True)
        metrics = httpx.get(f"{receiver}/metrics", timeout=PATIENCE).text
        assert 'infactor_quickbooks_connections{state="connected"} 2.0' in metrics
        assert 'infactor_quickbooks_heartbeat_age_seconds{name="clock"}' in metrics
        forged = httpx.get(
            f"{receiver}/metrics", headers={"x-forwarded-for": "127.0.0.1"}, timeout=PATIENCE
        )
        assert forged.status_code == 403


def _nothing_private_is_logged(deployment: Deployment) -> None:
    logs = deployment.logs()
    assert "company.synced" in logs
    grants = deployment.simulator.simulator.grants
    tokens = [*grants._access, *(grant.refresh_token for grant in grants._grants)]
    assert len(tokens) >= 4
    assert len(deployment.seen_in_addresses) == 6
    private = [
        *(secret for name, secret in SECRETS.items() if name != "QUICKBOOKS_CLIENT_ID"),
        *tokens,
        *deployment.seen_in_addresses,
        REALM,
        OTHER_REALM,
        BUYER,
        "supplier@example.com",
    ]
    assert [value for value in private if value in logs] == []
