"""Answers that are scripted from outside."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.servers import wait_until
from tests.simulator.wire import OTHER_REALM, REALM, Wire

QUERY = "select * from Invoice where Id = '145'"


def _script(wire: Wire, *rules: dict[str, Any]) -> None:
    answer = wire.http.post("/_sim/faults", json=list(rules))
    assert answer.status_code == 200, answer.text


@pytest.fixture(autouse=True)
def _connected(wire: Wire) -> None:
    wire.connect()


def test_a_rule_is_spent_after_its_count(wire: Wire) -> None:
    _script(wire, {"status": 503, "count": 2, "body": "down", "headers": {"retry-after": "7"}})
    for _ in range(2):
        answer = wire.query(QUERY)
        assert (answer.status_code, answer.text) == (503, "down")
        assert answer.headers["retry-after"] == "7"
    assert wire.query(QUERY).status_code == 200
    assert wire.http.get("/_sim/faults").json() == {"faults": []}


def test_a_rule_without_a_count_holds_until_it_is_cleared(wire: Wire) -> None:
    _script(wire, {"status": 500, "kind": "query"})
    for _ in range(3):
        assert wire.query(QUERY).status_code == 500
    wire.http.delete("/_sim/faults")
    assert wire.query(QUERY).status_code == 200


def test_a_rule_is_for_its_kind_company_and_entity_only(wire: Wire) -> None:
    _script(
        wire,
        {"kind": "read", "entity": "Customer", "status": 500},
        {"company": OTHER_REALM, "status": 502},
    )
    assert wire.get("customer/1").status_code == 500
    assert wire.get("invoice/145").status_code == 200
    assert wire.query("select * from Customer").status_code == 200
    assert wire.get("invoice/145", OTHER_REALM).status_code == 502


def test_an_answer_says_a_time_of_its_own(wire: Wire) -> None:
    _script(wire, {"says": "2099-01-01T00:00:00-08:00", "kind": "query", "count": 1})
    answer = wire.query(QUERY).json()
    assert answer["time"] == "2099-01-01T00:00:00-08:00"
    assert answer["QueryResponse"]["Invoice"][0]["Id"] == "145"
    assert wire.query(QUERY).json()["time"] < "2099"


def test_token_calls_are_hit_only_when_named(wire: Wire) -> None:
    token = wire.tokens()["refresh_token"]
    _script(wire, {"preset": "5xx"})
    assert wire.refresh(token).status_code == 200
    _script(wire, {"preset": "5xx", "kind": "token", "count": 1})
    assert wire.refresh(token).status_code == 500
    _script(wire, {"preset": "invalid_grant", "count": 1})
    answer = wire.refresh(token)
    assert answer.status_code == 400
    assert answer.json() == {"error_description": "Token invalid", "error": "invalid_grant"}
    assert wire.refresh(token).status_code == 200


def test_a_throttle_comes_as_json_from_the_gateway(wire: Wire) -> None:
    _script(wire, {"preset": "429-json", "count": 1})
    answer = wire.query(QUERY)
    assert answer.status_code == 429
    assert answer.json()["fault"] == {
        "error": [
            {
                "message": "message=ThrottleExceeded; errorCode=003001; statusCode=429",
                "detail": "The request limit was reached.  Try again later",
                "code": "3001",
                "element": None,
            }
        ],
        "type": "SERVICE",
    }
    assert "retry-after" not in answer.headers


def test_a_throttle_may_come_as_xml_although_json_was_asked_for(wire: Wire) -> None:
    _script(wire, {"preset": "429-xml", "count": 1})
    answer = wire.query(QUERY)
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/xml"
    assert answer.text.endswith(
        '<Fault type="SERVICE"><Error code="3001">'
        "<Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>"
        "<Detail>The request limit was reached.  Try again later</Detail>"
        "</Error></Fault></IntuitResponse>"
    )


def test_a_fault_may_hide_in_a_200(wire: Wire) -> None:
    _script(wire, {"preset": "fault-in-200", "count": 1})
    answer = wire.query(QUERY)
    assert answer.status_code == 200
    assert answer.json()["Fault"]["Error"][0]["code"] == "10000"
    assert answer.json()["Fault"]["type"] == "SystemFault"


def test_an_empty_answer_can_be_scripted(wire: Wire) -> None:
    _script(wire, {"preset": "empty", "count": 1})
    assert wire.rows(QUERY) == {}


@pytest.mark.parametrize(
    ("preset", "status", "code"),
    [("610", 400, "610"), ("4000", 400, "4000"), ("4002", 400, "4002"), ("5xx", 500, "10000")],
)
def test_presets_carry_their_fault(wire: Wire, preset: str, status: int, code: str) -> None:
    _script(wire, {"preset": preset, "count": 1})
    answer = wire.query(QUERY)
    assert answer.status_code == status
    assert answer.json()["Fault"]["Error"][0]["code"] == code


def test_the_401_preset_repeats_the_token(wire: Wire) -> None:
    _script(wire, {"preset": "401", "count": 1}, {"preset": "403-3100", "count": 1})
    answer = wire.query(QUERY)
    assert answer.status_code == 401
    assert answer.json()["fault"]["error"][0]["detail"] == f"Token expired: {wire.token}"
    assert wire.query(QUERY).status_code == 403


def test_a_connection_can_be_dropped_without_an_answer(wire: Wire) -> None:
    _script(wire, {"drop": True, "count": 1})
    with pytest.raises(httpx.TransportError):
        wire.query(QUERY)
    assert wire.query(QUERY).status_code == 200


def test_a_body_can_be_cut_short(wire: Wire) -> None:
    _script(wire, {"preset": "truncated", "count": 1})
    answer = wire.query(QUERY)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Unterminated"):
        answer.json()


def test_a_delay_alone_slows_the_ordinary_answer_down(wire: Wire) -> None:
    _script(wire, {"delay": 0.2, "count": 1})
    began = time.perf_counter()
    assert wire.ids(QUERY) == ["145"]
    assert time.perf_counter() - began >= 0.2


def test_a_scripted_json_body_is_sent_as_json(wire: Wire) -> None:
    _script(wire, {"status": 400, "body": {"Fault": {"Error": []}}, "count": 1})
    answer = wire.query(QUERY)
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert answer.json() == {"Fault": {"Error": []}}


def test_what_is_held_back_goes_on_its_way_once_nothing_is_scripted(wire: Wire) -> None:
    _script(wire, {"delay": 60, "count": 1})
    with ThreadPoolExecutor() as pool:
        held = pool.submit(wire.ids, QUERY)
        wait_until(lambda: not wire.simulator.script.rules, what="the call")
        assert not held.done()
        wire.http.delete("/_sim/faults")
        assert held.result(10) == ["145"]


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"preset": "nonsense"}, "unknown preset 'nonsense'"),
        ({"kind": "nonsense"}, "Invalid enum value 'nonsense'"),
        ({"stauts": 500}, "unknown field `stauts`"),
        ({"count": 0}, "Expected `int` >= 1"),
    ],
)
def test_a_bad_rule_is_refused_in_words(wire: Wire, rule: dict[str, Any], error: str) -> None:
    answer = wire.http.post("/_sim/faults", json=[rule])
    assert answer.status_code == 400
    assert error in answer.json()["error"]


def test_scripted_answers_are_counted_as_calls(wire: Wire) -> None:
    _script(wire, {"preset": "429-json", "count": 1})
    wire.query(QUERY)
    wire.query(QUERY)
    calls = wire.http.get("/_sim/calls").json()
    assert calls["by_company"] == {REALM: {"total": 2, "query": 2}}
    assert calls["by_status"] == {"200": 1, "429": 1}
