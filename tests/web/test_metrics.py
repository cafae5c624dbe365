"""`/metrics`: who may read it, and what it says."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pymongo.database import Database
from sqlalchemy.exc import DBAPIError
from starlette.testclient import TestClient

from service.coordination import circuit_breaker
from service.kit.clock import now
from service.kit.metrics import PREFIX
from service.kit.version import code_digest, released_version
from service.queries.measures import InfactorMeasures, Measures
from service.quickbooks.webhooks import sign
from service.store import counters
from service.web.health.metrics import DatabaseCollector
from tests.store.delivery_rows import DeliveryRows
from tests.web.conftest import CONFIG, PUBLIC_URL, Place, receiver
from tests.workers.delivering import infactor_settings
from workers.alerts import watch

TOKEN = "a-token-of-prometheus"


def peer(place: Place, address: str) -> TestClient:
    """Return a client whose socket is seen to be at this address."""
    client = TestClient(place.client.app, base_url=PUBLIC_URL, client=(address, 50000))
    client.app_state.update(place.client.app_state)
    return client


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return each sample's value by its name and its labels' values, in the labels' order."""
    return {
        (sample.name.removeprefix(PREFIX), *dict(sorted(sample.labels.items())).values()): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_without_a_token_this_machine_may_read(place: Place, address: str) -> None:
    assert peer(place, address).get("/metrics").status_code == 200


@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.0.1", "::ffff:203.0.113.9", "a-socket"])
def test_without_a_token_no_other_machine_may(place: Place, address: str) -> None:
    answer = peer(place, address).get("/metrics")
    assert answer.status_code == 403
    assert "METRICS_TOKEN" in answer.text


@pytest.mark.parametrize(
    ("name", "status"),
    [
        *((name, 200) for name in ("localhost", "LOCALHOST:9000", "127.0.0.1:3000", "[::1]")),
        *((name, 403) for name in ("evil.example:3000", "localhost.evil.example", "10.0.0.1")),
    ],
)
def test_this_machine_may_read_by_its_own_name_alone(place: Place, name: str, status: int) -> None:
    """A page whose own name was made to lead here is in a browser of this machine."""
    answer = peer(place, "127.0.0.1").get("/metrics", headers={"host": name})
    assert answer.status_code == status


@pytest.mark.parametrize("address", ["203.0.113.9", "127.0.0.1"])
@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "127.0.0.1"},
        {"x-forwarded-for": "127.0.0.1, 203.0.113.9"},
        {"x-real-ip": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
        {"via": "1.1 a-proxy"},
    ],
)
def test_who_comes_through_a_proxy_is_not_this_machine(
    place: Place, address: str, headers: dict[str, str]
) -> None:
    assert peer(place, address).get("/metrics", headers=headers).status_code == 403


class TestWithAToken:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"METRICS_TOKEN": TOKEN}

    def test_the_token_opens_from_everywhere(self, place: Place) -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        assert peer(place, "203.0.113.9").get("/metrics", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "given", [None, "", TOKEN, "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é"]
    )
    def test_nothing_else_does(self, place: Place, given: str | None) -> None:
        headers = {} if given is None else {"authorization": given.encode("latin-1")}
        answer = peer(place, "127.0.0.1").get("/metrics", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "database_up" not in answer.text


def test_a_check_that_raises_lets_the_age_of_the_watch_grow(place: Place) -> None:
    local, name = peer(place, "127.0.0.1"), ("heartbeat_age_seconds", "watch")
    assert name not in samples(local.get("/metrics").text)
    watch(place.services)
    assert samples(local.get("/metrics").text)[name] < 60
    place.do("UPDATE heartbeats SET at = at - 600 WHERE name = 'watch'")
    place.do("ALTER TABLE findings RENAME TO away")
    with pytest.raises(DBAPIError):
        watch(place.services)
    place.do("ALTER TABLE away RENAME TO findings")
    assert samples(local.get("/metrics").text)[name] >= 600
    watch(place.services)
    assert samples(local.get("/metrics").text)[name] < 60


def test_the_database_says_how_the_service_stands(place: Place) -> None:
    place.connect(place.browser())
    local = peer(place, "127.0.0.1")
    before = samples(local.get("/metrics").text)
    assert before["database_up",] == 1
    assert before["reads_allowed",] == 500_000
    assert before["connections", "connected"] == 1
    assert before["connections", "dead"] == 0
    assert before["runs_active", "backfill"] == 1
    assert before["token_refreshes_total",] == 0
    assert before["notices_open", "pending"] == 0
    assert before["heartbeat_age_seconds", "receiver"] < 60

    body = b'[{"specversion":"1.0"}]'
    headers = {"intuit-signature": sign(body, CONFIG.verifier_token)}
    assert local.post("/quickbook/webhook", content=body, headers=headers).status_code == 200
    after = samples(local.get("/metrics").text)

    def grown(*name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert grown("webhook_requests_total", "stored") == 1
    route = ("POST", "/quickbook/webhook", "2xx")
    assert grown("request_duration_seconds_count", *route) == 1
    assert grown("request_duration_seconds_bucket", "3.0", *route) == 1


def test_every_measure_is_told_under_its_own_name() -> None:
    measures = Measures(
        open_notices={"pending": 1, "failed": 2},
        oldest_due=3.5,
        oldest_watermark=7200.5,
        watermark_ages={"c1": 23.5},
        waits={"c2": 24.5},
        late={"watermark": 25, "notices": 26},
        ended_notices={("done", "created"): 4, ("failed", "Poisoned"): 5},
        lags={0.5: 6.25, 0.99: 7.25},
        lags_known=8,
        reads={"query": 9, "cdc": 10},
        refreshes=11,
        connections={"connected": 12, "dead": 13},
        active_runs={"backfill": 14},
        open_alerts={("connection.dead", "critical"): 15},
        heartbeats={"clock": 17.5},
        findings={"critical": 18},
        unsent_events=27,
        oldest_event=28.5,
        infactor=InfactorMeasures(
            up=True, outgoing=19, oldest_outgoing=20.5, refused=21, receipts={"created": 22}
        ),
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DatabaseCollector(measures, 1000))
    assert samples(generate_latest(registry).decode()) == {
        ("build_info", code_digest(), released_version()): 1,
        ("database_up",): 1,
        ("reads_allowed",): 1000,
        ("notices_open", "pending"): 1,
        ("notices_open", "failed"): 2,
        ("notices_oldest_due_seconds",): 3.5,
        ("watermark_oldest_seconds",): 7200.5,
        ("company_watermark_age_seconds", "c1"): 23.5,
        ("company_lag_seconds", "c2"): 24.5,
        ("companies_late", "watermark"): 25,
        ("companies_late", "notices"): 26,
        ("notices_ended_total", "created", "done"): 4,
        ("notices_ended_total", "Poisoned", "failed"): 5,
        ("lag_seconds", "0.5"): 6.25,
        ("lag_seconds", "0.99"): 7.25,
        ("lag_notices",): 8,
        ("reads", "query"): 9,
        ("reads", "cdc"): 10,
        ("token_refreshes_total",): 11,
        ("connections", "connected"): 12,
        ("connections", "dead"): 13,
        ("runs_active", "backfill"): 14,
        ("alerts_open", "connection.dead", "critical"): 15,
        ("heartbeat_age_seconds", "clock"): 17.5,
        ("findings_open", "critical"): 18,
        ("events_waiting",): 27,
        ("events_oldest_seconds",): 28.5,
        ("infactor_up",): 1,
        ("outgoing_invoices",): 19,
        ("outgoing_oldest_seconds",): 20.5,
        ("outgoing_refused",): 21,
        ("receipts_total", "created"): 22,
    }


def test_without_infactors_own_database_nothing_is_said_of_it(place: Place) -> None:
    found = samples(peer(place, "127.0.0.1").get("/metrics").text)
    assert found["findings_open", "critical"] == 0
    assert {name[0] for name in found} & {"infactor_up", "outgoing_invoices"} == set()


class TestWithInfactorsOwnDatabase:
    @pytest.fixture
    def more_settings(self, infactors: Database[dict[str, Any]]) -> dict[str, str]:
        infactors.users.insert_one(
            {"email": "supplier@example.com", "type": "Supplier", "accountStatus": "verified"}
        )
        return infactor_settings(infactors)

    def test_the_database_says_how_deliveries_stand(self, place: Place) -> None:
        place.connect(place.browser())
        rows = DeliveryRows(place.services.database, place.connections()[0].id)
        at = now()
        rows.invoice("1", recorded_at=at - timedelta(minutes=20))
        rows.invoice("2", recorded_at=at, error="no")
        rows.invoice("3", recorded_at=at, delivered_revision=1)
        rows.receipt("3", "refreshed", at - timedelta(minutes=59))
        rows.receipt("3", "frozen", at - timedelta(minutes=1))
        rows.receipt("3", "frozen", at - timedelta(minutes=1))
        with place.services.database.write() as session:
            counters.count_up(session, at + timedelta(minutes=1))
        rows.finding("3", "critical", field="a")
        rows.finding("3", "info", field="b")
        rows.finding("3", "info", field="c", closed_at=at)
        local = peer(place, "127.0.0.1")
        found = samples(local.get("/metrics").text)
        assert found["infactor_up",] == 1
        assert found["outgoing_invoices",] == 2
        assert found["outgoing_oldest_seconds",] == pytest.approx(1200, abs=60)
        assert found["outgoing_refused",] == 1
        receipts = {name[1]: n for name, n in found.items() if name[0] == "receipts_total"}
        assert receipts == {"refreshed": 1, "frozen": 2}
        severities = {name[1]: n for name, n in found.items() if name[0] == "findings_open"}
        assert severities == {"critical": 1, "warning": 0, "info": 1}
        assert local.get("/readyz").json()["infactor"] == "ok"
        with place.services.database.write() as session:
            circuit_breaker.failed(session, "infactor", "away")
        assert samples(local.get("/metrics").text)["infactor_up",] == 0
        ready = local.get("/readyz")
        assert ready.status_code == 200
        assert (ready.json()["status"], ready.json()["infactor"]) == ("degraded", "away")


def test_latencies_are_by_route_and_never_by_address(place: Place) -> None:
    local = peer(place, "127.0.0.1")
    local.get("/quickbook/a-secret-in-an-address")
    local.request("BREW", "/livez")
    text = local.get("/metrics").text
    assert "a-secret" not in text
    found = samples(text)
    assert found["request_duration_seconds_count", "GET", "none", "4xx"] >= 1
    assert found["request_duration_seconds_count", "other", "/livez", "4xx"] >= 1


def test_the_guide_names_every_metric(place: Place) -> None:
    page = (Path(__file__).parents[2] / "service" / "guide" / "monitoring.md").read_text()
    text = peer(place, "127.0.0.1").get("/metrics").text
    names = set(re.findall(r"^# TYPE (?!python_|process_)(\S+?)(?<!_created) ", text, re.MULTILINE))
    assert len(names) == 29
    assert [name for name in names if not name.startswith(PREFIX)] == []
    assert [name for name in names if f"`{name.removeprefix(PREFIX)}`" not in page] == []


def test_without_a_database_the_process_part_is_answered(
    redis_database: str, silent_port: int
) -> None:
    with receiver(f"postgresql://u@127.0.0.1:{silent_port}/x", redis_database) as client:
        local = TestClient(client.app, base_url=PUBLIC_URL, client=("127.0.0.1", 50000))
        local.app_state.update(client.app_state)
        local.get("/livez")
        answer = local.get("/metrics")
    assert answer.status_code == 200
    found = samples(answer.text)
    assert found["database_up",] == 0
    assert ("connections", "connected") not in found
    assert found["request_duration_seconds_count", "GET", "/livez", "2xx"] >= 1
