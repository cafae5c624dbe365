"""Each outage is named by whoever is asked, within a minute, and nothing else is named."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from redis import Redis

from tests.journey.deployment import Deployment, deployed
from tests.journey.two_companies import REALM, a_book, an_invoice
from tests.monitoring.listener import SECRET, Listener, listening
from tests.servers import PATIENCE, free_port, redis_server, wait_until
from tests.web.ops.operators import PASSWORD, entry

# A worker that was not restarted, and stays alive for ten minutes.
OLD_WORKER = """
    INSERT INTO processes (id, kind, version, accepts_webhooks, at)
    VALUES ('old', 'worker', '0.0.9', 1, (julianday('now') - 2440587.5) * 86400.0 + 50)
"""
# Within a minute, even where eight other tests share two processors.
SECONDS = 60


@dataclass
class Watch:
    """Everywhere that people and programs look for what is wrong."""

    deployment: Deployment
    listener: Listener
    operator: httpx.Client

    def causes(self) -> list[str]:
        """Return what `status` says is wrong; it exits 1 then."""
        done = self.deployment.try_command("status", "--json")
        (told,) = done
        return sorted(condition["cause"] for condition in told["wrong"])

    def condition(self, cause: str) -> dict[str, Any]:
        (told,) = self.deployment.try_command("status", "--json")
        (found,) = [one for one in told["wrong"] if one["cause"] == cause]
        return dict(found)

    def readyz(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.deployment.receivers[0]}/readyz", timeout=PATIENCE).json())

    def metrics(self) -> str:
        return httpx.get(f"{self.deployment.receivers[0]}/metrics", timeout=PATIENCE).text

    def alerted(self) -> dict[str, dict[str, Any]]:
        return {m["type"]: m["data"] for m in self.listener.messages()}

    def until(self, *causes: str) -> None:
        """Wait until these causes are what is wrong, and no other."""
        expected = sorted(causes)
        # A receiver is asked first: to ask a command until it says so takes ten times the CPU.
        wait_until(lambda: self.readyz()["wrong"] == expected, SECONDS, f"{expected} in /readyz")
        wait_until(lambda: self.causes() == expected, SECONDS, f"{expected} in status")

    def all_name(self, *causes: str) -> None:
        """Wait until everybody who looks sees these causes, and no other."""
        expected = sorted(causes)
        self.until(*causes)
        page = self.operator.get("/ops/").text
        ready = self.readyz()
        assert (ready["status"], ready["wrong"]) == ("degraded", expected)
        for cause in causes:
            assert f'<code class="fine">{cause}</code>' in page
        wait_until(lambda: set(causes) <= self.alerted().keys(), SECONDS, "the alerts")
        for cause in causes:
            alert = self.alerted()[cause]
            labels = f'cause="{cause}",severity="{alert["severity"]}"'
            assert f"alerts_open{{{labels}}} 1.0" in self.metrics()
            assert alert["link"].startswith("https://ops.example.com/ops/")


@contextmanager
def watched(folder: Path, database_url: str, listener: Listener, **more: Any) -> Iterator[Watch]:
    settings = {
        "ALERT_URL": listener.url,
        "ALERT_SECRET": SECRET,
        "OPS_URL": "https://ops.example.com",
        "OPS_USERS": entry("ada"),
        **more.pop("settings", {}),
    }
    with (
        deployed(folder, a_book(), database_url, settings=settings, **more) as made,
        httpx.Client(
            base_url=made.receivers[0], follow_redirects=True, timeout=PATIENCE
        ) as operator,
    ):
        made.connect(REALM)
        wait_until(
            lambda: [c["backfill"] for c in made.rows("connections")] == ["done"], 60, "the import"
        )
        operator.post("/ops/login", data={"name": "ada", "password": PASSWORD})
        yield Watch(made, listener, operator)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as made:
        yield made


@pytest.mark.slow
def test_an_outage_of_quickbooks_needs_nobody(tmp_path: Path, listener: Listener) -> None:
    with watched(tmp_path, f"sqlite:///{tmp_path}/journey.db", listener) as watch:
        made = watch.deployment
        made.sim("POST", "/faults", [{"kind": "query", "status": 503, "count": 1000}])
        made.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("1", TotalAmt=7, Balance=7))
        watch.all_name("quickbooks.away")
        condition = watch.condition("quickbooks.away")
        assert condition["severity"] == "warning"
        assert condition["text"] == (
            "QuickBooks is down (HTTP 503), for 1 of 1 company. Nothing to do: we retry"
            " automatically, and catch up when QuickBooks is back. Intuit reports outages at"
            " https://status.developer.intuit.com."
        )
        made.sim("DELETE", "/faults")
        watch.until()


@pytest.mark.slow
def test_redis_that_is_away_is_named_and_logged_once(
    tmp_path: Path, postgres_database: str, listener: Listener
) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with ExitStack() as stack:
        redis = stack.enter_context(ExitStack())
        redis.enter_context(redis_server(port))
        watch = stack.enter_context(
            watched(tmp_path, postgres_database, listener, redis_url=url, workers=1)
        )
        made = watch.deployment
        redis.close()
        made.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("1", TotalAmt=7, Balance=7))
        watch.all_name("queue.away")
        assert watch.condition("queue.away")["severity"] == "critical"
        log = tmp_path / "worker-0.log"
        with redis_server(port):
            watch.until()
            wait_until(lambda: "queue.back" in log.read_text(), SECONDS, "the worker's line")
            wait_until(lambda: made.document("1")["invoiceAmount"] == 7, SECONDS, "the change")
        # Nothing is said again and again: not by the worker, not by Dramatiq, not by a receiver.
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        loud = [one["event"] for one in lines if one["level"] in ("warning", "error", "critical")]
        assert loud.count("queue.away") == 1
        assert set(loud) <= {"queue.away", "alert.begun", "clock.failed", "workers.silent"}
        assert len(loud) <= 4
        assert (tmp_path / "serve-0.log").read_text().count('"event": "queue.away"') <= 1


@pytest.mark.slow
def test_redis_that_is_full_is_logged_once(
    tmp_path: Path, postgres_database: str, listener: Listener
) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with (
        redis_server(port),
        watched(tmp_path, postgres_database, listener, redis_url=url, workers=1) as watch,
        Redis.from_url(url) as redis,
    ):
        made = watch.deployment
        redis.config_set("maxmemory-policy", "noeviction")
        # So that an import's message is under way when it fills up.
        made.sim("POST", "/faults", [{"kind": "query", "delay": 3, "count": 1}])
        asked = made.sim("GET", "/calls")["by_kind"]["query"]
        made.start("backfill", "backfill", "--all")
        wait_until(lambda: made.sim("GET", "/calls")["by_kind"]["query"] > asked, SECONDS, "it")
        redis.config_set("maxmemory", "1")
        made.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("1", TotalAmt=7, Balance=7))
        watch.all_name("queue.refuses")
        log = tmp_path / "worker-0.log"
        wait_until(lambda: "queue.refuses" in log.read_text(), SECONDS, "the worker's line")
        redis.config_set("maxmemory", "0")
        watch.until()
        wait_until(lambda: "queue.back" in log.read_text(), SECONDS, "the worker's line")
        wait_until(lambda: made.document("1")["invoiceAmount"] == 7, SECONDS, "the change")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        loud = [one["event"] for one in lines if one["level"] in ("warning", "error", "critical")]
        assert [one for one in loud if one not in ("alert.begun", "clock.failed")] == [
            "queue.refuses"
        ]
        assert "Traceback" not in made.logs()


@contextmanager
def shut(url: str) -> Iterator[None]:
    """Let nobody into this PostgreSQL database during the block, as while its server is away."""
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as by:
        by.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        by.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        try:
            yield
        finally:
            by.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def readiness(base: str) -> int | None:
    """Return the status of `/readyz`, None where nobody listens."""
    try:
        return httpx.get(f"{base}/readyz", timeout=PATIENCE).status_code
    except httpx.TransportError:
        return None


@pytest.mark.slow
@pytest.mark.postgresql("SQLite's file is never away")
def test_processes_that_start_while_the_database_is_away_wait_for_it(
    tmp_path: Path, postgres_database: str, redis_database: str
) -> None:
    names = ("serve-0", "worker-0")
    with deployed(
        tmp_path, a_book(), postgres_database, redis_url=redis_database, workers=1
    ) as made:
        base = made.receivers[0]
        logs = [tmp_path / f"{name}.log" for name in names]
        # Before the database is away, of which they would tell.
        for name in names:
            made.kill(name)
        with shut(postgres_database):
            for name in names:
                made.start(name, *made.started[name])
            wait_until(lambda: made.serves(base), SECONDS, "that it lives")
            wait_until(
                lambda: all("database.away" in log.read_text() for log in logs), SECONDS, "a line"
            )
            assert readiness(base) == 503
            assert httpx.get(f"{base}/quickbook/", timeout=PATIENCE).status_code == 503
            assert made.deliver(0, b"[]") == 503
        # Between the two servers of the process nobody listens for a moment.
        wait_until(lambda: made.serves(base) and readiness(base) == 200, SECONDS, "work")
        assert made.deliver(0, b"[]") == 200
        for log in logs:
            wait_until(lambda log=log: "database.back" in log.read_text(), SECONDS, "its line")
            assert log.read_text().count("database.away") == 1
        # What another start would not mend either ends them.
        with psycopg.connect(postgres_database, autocommit=True) as by:
            by.execute("UPDATE alembic_version SET version_num = 'of another version'")
        for name in names:
            made.kill(name)
        with shut(postgres_database):
            for name in names:
                made.start(name, *made.started[name])
            wait_until(
                lambda: all(log.read_text().count("database.away") == 2 for log in logs),
                SECONDS,
                "a line",
            )
        for name in names:
            made.processes[name].join(SECONDS)
            assert made.processes[name].exitcode == 2
        assert "run `infactor-quickbooks migrate` first" in logs[0].read_text()
        made.processes.clear()


@pytest.mark.slow
def test_webhooks_that_nobody_can_take_and_alerts_that_are_refused_are_named(
    tmp_path: Path, listener: Listener
) -> None:
    settings = {"QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS": ""}
    url = f"sqlite:///{tmp_path}/journey.db"
    listener.status = 403
    with watched(tmp_path, url, listener, settings=settings) as watch:
        watch.until("alerts.refused", "verifier.missing")
        assert '<code class="fine">alerts.refused</code>' in watch.operator.get("/ops/").text
        text = watch.condition("alerts.refused")["text"]
        assert text.startswith("1 alert could not be sent, so nobody is alerted: ALERT_URL answ")
        listener.status = 204
        listener.received.clear()
        tried = watch.deployment.command("alerts", "test")
        assert tried == "ALERT_URL accepted a test alert.\n"

        assert watch.deployment.deliver(0, b"[]") == 503
        signed = {"intuit-signature": "x" * 44}
        base = watch.deployment.receivers[0]
        assert (
            httpx.post(f"{base}/quickbook/webhooks", headers=signed, timeout=PATIENCE).status_code
            == 404
        )
        with sqlite3.connect(tmp_path / "journey.db") as database:
            database.execute(OLD_WORKER)
        database.close()
        watch.all_name("verifier.missing", "versions.differ", "webhooks.misdirected")
        assert "1 worker of 0.0.9" in watch.condition("versions.differ")["text"]
        text = watch.condition("webhooks.misdirected")["text"]
        assert f"set the webhooks' Endpoint URL to {base}/quickbook/webhook." in text
        assert '"/quickbook/webhooks"' in watch.deployment.logs()
        assert "alert.test" in watch.alerted()
