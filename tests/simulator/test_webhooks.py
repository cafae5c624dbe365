"""Webhooks: shape, signature, order, retries."""

import json
import re
from typing import Any

import pytest

from service.simulator.events import sign
from tests.simulator.wire import OTHER_REALM, REALM, App, Heard, Wire, a_config, wait_until

COMPANY = f"/_sim/companies/{REALM}"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
UNCONNECTED = {
    "queued": False,
    "why": "the company has no live connection",
    "events": [],
}


def _next(app: App, count: int = 1) -> Heard:
    wait_until(lambda: len(app.heard) >= count)
    return app.heard[count - 1]


def _events(app: App, count: int = 1) -> list[dict[str, Any]]:
    return json.loads(_next(app, count).body)


def _types(app: App, count: int = 1) -> list[str]:
    return [event["type"] for event in _events(app, count)]


def test_the_signature_is_the_one_of_the_reference() -> None:
    body = (
        b'[{"specversion":"1.0","id":"7b1d9f0e-3c55-4c0a-9f3a-5a1f0c6f2d11-Invoice-145",'
        b'"source":"intuit.c2ltdWxhdG9yLXNvdXJjZS1oYXNoLTAwMDAwMDAwMDA=",'
        b'"type":"qbo.invoice.updated.v1","time":"2026-10-01T16:19:17Z",'
        b'"intuitentityid":"145","intuitaccountid":"9341455000000001"}]'
    )
    assert len(body) == 264
    signature = "UriwoOqsyGRFa8K1WL4h3m7z+F21DiAiHr4NbdAztSk="
    assert sign("sim-verifier-token-0001", body) == signature


def test_a_created_invoice_is_announced_as_a_signed_cloud_event(notifying: Wire, app: App) -> None:
    notifying.connect()
    answer = notifying.put("Invoice", {"TotalAmt": 5})
    assert answer["webhook"] == {
        "queued": True,
        "delivery": 1,
        "events": [f"{REALM} Invoice 301 created"],
    }
    heard = _next(app)
    assert heard.headers["intuit-signature"] == sign("sim-verifier-token-0001", heard.body)
    assert heard.headers["content-type"] == "application/json; charset=utf-8"
    assert heard.headers["accept"] == "application/json"
    assert heard.headers["user-agent"] == "intuit_notification_server/0.1"
    assert heard.headers["intuit-notification-schema-version"] == "0.1"
    assert re.fullmatch(UUID, heard.headers["intuit-t-id"])
    created = heard.headers["intuit-created-time"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-0[78]00", created)

    [event] = json.loads(heard.body)
    assert re.fullmatch(f"{UUID}-Invoice-301", event.pop("id"))
    assert re.fullmatch(r"intuit\.[A-Za-z0-9+/]+=", event.pop("source"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("time"))
    assert event == {
        "specversion": "1.0",
        "type": "qbo.invoice.created.v1",
        "datacontenttype": "application/json",
        "intuitentityid": "301",
        "intuitaccountid": REALM,
        "data": {},
    }


def test_each_change_has_its_event(notifying: Wire, app: App) -> None:
    http = notifying.connect().http
    http.put(f"{COMPANY}/Invoice", json={"Id": "145"})
    assert _types(app, 1) == ["qbo.invoice.updated.v1"]
    assert "data" not in _events(app, 1)[0]
    http.post(f"{COMPANY}/Invoice/145/void")
    assert _types(app, 2) == ["qbo.invoice.void.v1"]
    http.delete(f"{COMPANY}/Invoice/145")
    assert _types(app, 3) == ["qbo.invoice.deleted.v1"]
    http.post(f"{COMPANY}/Invoice/9/emailed")
    assert _types(app, 4) == ["qbo.invoice.emailed.v1", "qbo.invoice.updated.v1"]
    http.post(f"{COMPANY}/Invoice/9/pay")
    assert _types(app, 5) == ["qbo.payment.created.v1", "qbo.invoice.updated.v1"]
    http.put(f"{COMPANY}/Customer", json={"Id": "2", "Active": False})
    assert _types(app, 6) == ["qbo.customer.deleted.v1"]
    http.delete(f"{COMPANY}/Customer/2", params={"mergedInto": "1"})
    [merged] = _events(app, 7)
    assert merged["type"] == "qbo.customer.merged.v1"
    assert (merged["intuitentityid"], merged["data"]) == ("1", {"deletedid": "2"})
    http.put(f"{COMPANY}/CreditMemo", json={"TotalAmt": 1})
    assert _types(app, 8) == ["qbo.creditmemo.created.v1"]


def test_a_list_is_one_delivery_of_many_events(notifying: Wire, app: App) -> None:
    notifying.connect().put("Invoice", [{"Id": "145"}, {"Id": "9"}, {"TotalAmt": 1}])
    assert [event["intuitentityid"] for event in _events(app)] == ["145", "9", "301"]
    assert len({event["id"] for event in _events(app)}) == 3


def test_a_delivery_carries_a_hundred_events_and_the_rest_comes_in_further_ones(
    notifying: Wire, app: App
) -> None:
    notifying.connect().put("Invoice", [{"TotalAmt": n} for n in range(1, 251)])
    wait_until(lambda: len(app.heard) == 3)
    carried = [json.loads(heard.body) for heard in app.heard]
    assert [len(events) for events in carried] == [100, 100, 50]
    ids = [event["intuitentityid"] for events in carried for event in events]
    assert ids == [str(n) for n in range(301, 551)]


def test_events_can_be_of_two_kilobytes_and_a_delivery_ends_at_its_bytes(
    notifying: Wire, app: App
) -> None:
    notifying.http.post("/_sim/settings", json={"data": "full", "bytes_per_delivery": 10_000})
    notifying.connect().put("Invoice", [{"TotalAmt": n} for n in range(1, 8)])
    wait_until(lambda: len(app.heard) == 2)
    assert [len(json.loads(heard.body)) for heard in app.heard] == [5, 2]
    assert 9_000 < len(app.heard[0].body) < 10_100
    assert set(json.loads(app.heard[0].body)[0]["data"]) == {"alternative_ids"}


def test_void_can_be_spelled_voided(notifying: Wire, app: App) -> None:
    notifying.connect().http.post("/_sim/settings", json={"void": "voided"})
    notifying.http.post(f"{COMPANY}/Invoice/9/void")
    assert _types(app) == ["qbo.invoice.voided.v1"]


def test_the_legacy_envelope_can_be_switched_on(notifying: Wire, app: App) -> None:
    notifying.connect().http.post("/_sim/settings", json={"format": "legacy"})
    notifying.http.post(f"{COMPANY}/Invoice/9/void")
    body = json.loads(_next(app).body)
    [notification] = body["eventNotifications"]
    [entity] = notification["dataChangeEvent"]["entities"]
    assert notification["realmId"] == REALM
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entity.pop("lastUpdated"))
    assert entity == {"name": "Invoice", "id": "9", "operation": "Void"}
    notifying.http.delete(f"{COMPANY}/Customer/2", params={"mergedInto": "1"})
    merged = json.loads(_next(app, 2).body)["eventNotifications"][0]["dataChangeEvent"]["entities"]
    assert (merged[0]["operation"], merged[0]["deletedId"]) == ("Merge", "2")


def test_companies_without_a_connection_send_nothing_unless_told_to(
    notifying: Wire, app: App
) -> None:
    assert notifying.put("Invoice", {})["webhook"] == UNCONNECTED
    notifying.connect(OTHER_REALM)
    assert notifying.put("Invoice", {})["webhook"] == UNCONNECTED
    notifying.http.post("/_sim/settings", json={"notify_unconnected": True})
    assert notifying.put("Invoice", {})["webhook"]["queued"] is True
    assert _types(app) == ["qbo.invoice.created.v1"]


def test_a_payment_can_come_without_the_event_of_its_invoice(notifying: Wire, app: App) -> None:
    notifying.connect().http.post("/_sim/settings", json={"payment_updates_invoice": False})
    notifying.http.post(f"{COMPANY}/Invoice/9/pay")
    assert _types(app) == ["qbo.payment.created.v1"]


def test_events_can_be_lost(notifying: Wire, app: App) -> None:
    notifying.connect().http.post("/_sim/settings", json={"webhooks": "off"})
    assert notifying.put("Invoice", {})["webhook"]["why"] == "lost"
    notifying.http.post("/_sim/settings", json={"webhooks": "on"})
    notifying.put("Invoice", {"Id": "9"})
    assert _types(app) == ["qbo.invoice.updated.v1"]


def test_a_failing_delivery_is_retried_on_the_ladder_and_holds_back_later_ones(
    notifying: Wire, app: App
) -> None:
    app.answers = [500, 503, 201]
    notifying.connect().put("Invoice", {"Id": "9"})
    notifying.put("Invoice", {"Id": "145"})
    for attempt, gap in enumerate((10, 20, 30), 1):
        _next(app, attempt)
        wait_until(lambda n=attempt: _webhooks(notifying)[1]["attempts"] == n)
        waiting, failing = _webhooks(notifying)
        assert (waiting["state"], waiting["attempts"]) == ("waiting", 0)
        assert failing["state"] == "failing"
        notifying.simulator.clock.advance(gap)
    wait_until(lambda: notifying.http.get("/_sim/webhooks").json()["idle"])
    entities = [json.loads(heard.body)[0]["intuitentityid"] for heard in app.heard]
    assert entities == ["9", "9", "9", "9", "145"]
    assert len({json.loads(heard.body)[0]["id"] for heard in app.heard}) == 2


@pytest.mark.slow
def test_an_app_that_takes_longer_than_three_seconds_has_failed(notifying: Wire, app: App) -> None:
    app.ready.clear()
    notifying.connect().put("Invoice", {"Id": "9"})
    shown = wait_until(lambda: [d for d in _webhooks(notifying) if d["attempts"]])[0]
    assert (shown["state"], shown["status"]) == ("failing", None)
    assert shown["answer"] == "ReadTimeout: timed out"
    assert 3000 <= shown["ms"] < 4000


def test_a_delivery_shows_what_was_answered(notifying: Wire, app: App) -> None:
    notifying.connect().put("Invoice", {"Id": "9"})
    wait_until(lambda: _webhooks(notifying)[0]["state"] == "delivered")
    [shown] = _webhooks(notifying)
    assert (shown["status"], shown["attempts"], shown["answer"]) == (200, 1, "ok")
    assert shown["ms"] > 0
    assert shown["body"].encode() == app.heard[0].body


def test_a_delivery_can_be_sent_again_word_for_word(notifying: Wire, app: App) -> None:
    notifying.connect().put("Invoice", {"Id": "9"})
    _next(app)
    assert notifying.http.post("/_sim/webhooks/1/redeliver").json()["id"] == 2
    assert _next(app, 2).body == app.heard[0].body
    assert notifying.http.post("/_sim/webhooks/77/redeliver").status_code == 404


def test_any_body_can_be_sent_signed(notifying: Wire, app: App) -> None:
    notifying.http.post("/_sim/webhooks", content=b"not json")
    heard = _next(app)
    assert heard.body == b"not json"
    assert heard.headers["intuit-signature"] == sign("sim-verifier-token-0001", b"not json")


def test_without_a_webhook_address_nothing_is_queued(wire: Wire) -> None:
    wire.connect()
    assert wire.put("Invoice", {})["webhook"]["why"] == "no webhook address"


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/quickbook/webhook",
        "http://10.0.0.5/quickbook/webhook",
        "http://localhost.example.com/",
        "http://127.0.0.1@example.com/",
        "file:///etc/passwd",
        "",
    ],
)
def test_webhooks_go_nowhere_but_to_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        a_config(webhook_url=url)


def _webhooks(wire: Wire) -> list[dict[str, Any]]:
    return wire.http.get("/_sim/webhooks").json()["webhooks"]
