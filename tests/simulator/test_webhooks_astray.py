"""Webhooks that are late, doubled, overtaken, lost, forged or of nobody's company."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.simulator.books.book import Book
from service.simulator.events import sign
from tests.simulator.conftest import BOOK
from tests.simulator.wire import OTHER_REALM, REALM, App, StoppedClock, Wire, a_config, wait_until
from tests.simulators import Simulators

TOKEN = "sim-verifier-token-0001"


@pytest.fixture
def still(simulators: Simulators, app: App) -> Iterator[Wire]:
    """A client of a simulator that notifies `app`, on a clock that only the test moves."""
    with simulators.running(
        a_config(webhook_url=app.url), Book.of(BOOK), clock=StoppedClock()
    ) as simulator:
        wire = Wire(simulator)
        with wire.http:
            wire.connect()
            wire.connect(OTHER_REALM)
            yield wire


def _switch(wire: Wire, **switches: Any) -> None:
    answer = wire.http.post("/_sim/settings", json=switches)
    assert answer.status_code == 200, answer.text


def _next(wire: Wire, **order: Any) -> None:
    assert wire.http.post("/_sim/webhooks/next", json=order).status_code == 200


def _change(wire: Wire, *ids: str, realm: str = REALM) -> None:
    for id_ in ids:
        wire.put("Invoice", {"Id": id_}, realm)


def _settled(wire: Wire) -> list[dict[str, Any]]:
    """Return the deliveries, oldest first, when nothing is queued any more."""
    shown = wait_until(lambda: (s := wire.http.get("/_sim/webhooks").json())["idle"] and s)
    return shown["webhooks"][::-1]


def _heard(app: App) -> list[list[str]]:
    return [[event["intuitentityid"] for event in json.loads(h.body)] for h in app.heard]


def test_a_delivery_can_be_late_by_the_simulators_clock(still: Wire, app: App) -> None:
    _switch(still, delay_seconds=[300, 300])
    _change(still, "9")
    still.simulator.clock.advance(299)
    assert still.http.get("/_sim/webhooks").json()["webhooks"][0]["state"] == "waiting"
    assert app.heard == []
    still.simulator.clock.advance(1)
    assert [d["state"] for d in _settled(still)] == ["delivered"]


def test_delays_of_their_own_reorder_deliveries_the_same_for_the_same_seed(
    still: Wire, app: App
) -> None:
    orders = []
    for _ in range(2):
        app.heard.clear()
        _switch(still, delay_seconds=[0, 300], order="free", seed=3)
        _change(still, "1", "2", "3", "4")
        still.simulator.clock.advance(300)
        _settled(still)
        orders.append([ids[0] for ids in _heard(app)])
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == ["1", "2", "3", "4"] != orders[0]


def test_deliveries_keep_their_order_whatever_their_delays_are(still: Wire, app: App) -> None:
    _switch(still, delay_seconds=[0, 300], seed=3)
    _change(still, "1", "2", "3", "4")
    still.simulator.clock.advance(300)
    _settled(still)
    assert _heard(app) == [["1"], ["2"], ["3"], ["4"]]


def test_a_held_delivery_is_overtaken_by_the_next_one(still: Wire, app: App) -> None:
    _next(still, action="hold")
    _change(still, "1", "2", "3")
    _settled(still)
    assert _heard(app) == [["2"], ["1"], ["3"]]


def test_a_held_delivery_that_nothing_overtakes_goes_out_after_five_minutes(
    still: Wire, app: App
) -> None:
    _next(still, action="hold")
    _change(still, "1")
    still.simulator.clock.advance(299)
    assert app.heard == []
    still.simulator.clock.advance(1)
    _settled(still)
    assert _heard(app) == [["1"]]


def test_a_duplicate_is_the_same_body_twice(still: Wire, app: App) -> None:
    _next(still, action="duplicate")
    _change(still, "1", "2")
    _settled(still)
    assert _heard(app) == [["1"], ["1"], ["2"]]
    assert app.heard[0].body == app.heard[1].body


def test_the_next_deliveries_of_a_company_can_be_lost(still: Wire, app: App) -> None:
    _next(still, action="drop", count=2, company=REALM, entity="Invoice")
    _change(still, "1", realm=OTHER_REALM)
    _change(still, "2", "3", "4")
    assert [d["state"] for d in _settled(still)] == ["delivered", "lost", "lost", "delivered"]
    assert _heard(app) == [["1"], ["4"]]


def test_a_share_of_the_deliveries_is_lost_or_doubled_the_same_for_the_same_seed(
    still: Wire, app: App
) -> None:
    ids = [str(n) for n in range(1, 21)]
    rounds = []
    for _ in range(2):
        app.heard.clear()
        _switch(still, drop_share=0.3, duplicate_share=0.2, seed=7)
        _change(still, *ids)
        _settled(still)
        rounds.append([ids[0] for ids in _heard(app)])
    assert rounds[0] == rounds[1]
    heard = rounds[0]
    assert 0 < 20 - len(set(heard)) < 12
    assert 0 < len(heard) - len(set(heard)) < 10


def test_events_can_gather_for_a_while_each_company_by_itself(still: Wire, app: App) -> None:
    _switch(still, collect_seconds=60)
    _change(still, "1", "2")
    _change(still, "7", realm=OTHER_REALM)
    _change(still, "3")
    still.simulator.clock.advance(60)
    _settled(still)
    assert _heard(app) == [["1", "2", "3"], ["7"]]


def test_gathered_events_of_several_companies_can_share_a_post(still: Wire, app: App) -> None:
    _switch(still, collect_seconds=60, mix_companies=True)
    _change(still, "1")
    _change(still, "7", realm=OTHER_REALM)
    still.simulator.clock.advance(60)
    _settled(still)
    [heard] = app.heard
    accounts = [event["intuitaccountid"] for event in json.loads(heard.body)]
    assert accounts == [REALM, OTHER_REALM]


def test_any_events_can_be_sent_in_one_post(still: Wire, app: App) -> None:
    order = [
        {"company": REALM, "entity": "Invoice", "id": "1", "operation": "created"},
        {"company": "77", "entity": "Customer", "id": "2", "operation": "merged", "loser": "3"},
    ]
    assert still.http.post("/_sim/webhooks/events", json=order).status_code == 200
    _settled(still)
    first, second = json.loads(app.heard[0].body)
    assert (first["type"], first["intuitaccountid"]) == ("qbo.invoice.created.v1", REALM)
    assert (second["type"], second["data"]) == ("qbo.customer.merged.v1", {"deletedid": "3"})
    order[0]["operation"] = "exploded"
    assert still.http.post("/_sim/webhooks/events", json=order).status_code == 400


def test_a_forged_delivery_is_sent_once_and_holds_nothing_back(still: Wire, app: App) -> None:
    app.answers = [401]
    _next(still, action="forge")
    _change(still, "1", "2")
    assert [d["state"] for d in _settled(still)] == ["refused", "delivered"]
    forged, right = app.heard
    assert forged.headers["intuit-signature"] != sign(TOKEN, forged.body)
    assert right.headers["intuit-signature"] == sign(TOKEN, right.body)


def test_the_signature_can_be_wrong_or_missing_throughout(still: Wire, app: App) -> None:
    for signature in ("wrong", "missing"):
        _switch(still, signature=signature)
        _change(still, "1")
    still.http.post("/_sim/webhooks", params={"signature": "missing"}, content=b"[]")
    _settled(still)
    assert app.heard[0].headers["intuit-signature"] != sign(TOKEN, app.heard[0].body)
    assert "intuit-signature" not in app.heard[1].headers
    assert "intuit-signature" not in app.heard[2].headers


def test_the_portals_test_event_is_of_no_company_that_exists(still: Wire, app: App) -> None:
    still.http.post("/_sim/webhooks/test")
    _settled(still)
    [event] = json.loads(app.heard[0].body)
    assert event == {
        "specversion": "1.0",
        "id": "88cd52aa-33b6-4351-9aa4-47572edbd068",
        "source": "intuit.dsnC02Pk1XQ+u4hqdV4mBMmTVtCZfnUuTVkYnLoPvoE=",
        "type": "qbo.account.created.v1",
        "datacontenttype": "application/json",
        "time": "2025-09-10T21:31:25.179851517Z",
        "intuitentityid": "1234",
        "intuitaccountid": "310687",
        "data": {},
    }


def test_one_companys_failure_holds_back_the_others_on_the_whole_ladder(
    still: Wire, app: App
) -> None:
    app.answers = [500] * 9
    _change(still, "1")
    _change(still, "7", realm=OTHER_REALM)
    ladder = (10, 20, 30, 300, 1200, 7200, 14400, 21600, 21600)
    for attempt, gap in enumerate(ladder, 1):
        wait_until(lambda n=attempt: _oldest(still)["attempts"] == n)
        still.simulator.clock.advance(gap - 1)
        assert (_oldest(still)["attempts"], len(app.heard)) == (attempt, attempt)
        still.simulator.clock.advance(1)
    assert [d["state"] for d in _settled(still)] == ["delivered", "delivered"]
    assert _heard(app) == [["1"]] * 10 + [["7"]]


def test_a_bad_order_is_refused(still: Wire) -> None:
    for order in ({"action": "explode"}, {"action": "drop", "count": 0}, {}):
        assert still.http.post("/_sim/webhooks/next", json=order).status_code == 400
    for bad in ({"delay_seconds": [5, 1]}, {"drop_share": 2}, {"seed": "x"}):
        assert still.http.post("/_sim/settings", json=bad).status_code == 400


def test_several_updates_can_come_of_one_save_and_of_a_void(still: Wire, app: App) -> None:
    _switch(still, updates_per_save=3, void_updates_invoice=True)
    _change(still, "9")
    still.http.post(f"/_sim/companies/{REALM}/Invoice/9/void")
    _settled(still)
    types = [[event["type"] for event in json.loads(heard.body)] for heard in app.heard]
    assert types == [
        ["qbo.invoice.updated.v1"] * 3,
        ["qbo.invoice.void.v1", "qbo.invoice.updated.v1"],
    ]


def _oldest(wire: Wire) -> dict[str, Any]:
    return wire.http.get("/_sim/webhooks").json()["webhooks"][-1]
