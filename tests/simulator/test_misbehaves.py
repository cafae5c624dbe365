"""Races, poison, and answers that are lost, cut or not what was asked for."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from service.simulator.books.book import Book
from service.simulator.clock import to_seconds
from tests.simulator.conftest import BOOK
from tests.simulator.wire import OTHER_REALM, REALM, App, Wire, a_config, wait_until
from tests.simulators import Simulators

INVALID_GRANT = {"error_description": "Token invalid", "error": "invalid_grant"}
POISONED = {
    "Error": [
        {
            "Message": "Error processing query",
            "Detail": "To email address entered is invalid: please correct it.",
            "code": "4002",
            "element": "",
        }
    ],
    "type": "ValidationFault",
}


def _order(wire: Wire, path: str, order: Any) -> dict[str, Any]:
    answer = wire.http.post(f"/_sim/{path}", json=order)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _race(wire: Wire, token: str) -> tuple[httpx.Response, httpx.Response]:
    """Return the answers to a refresh and to another one that comes while it is under way."""
    _order(wire, "faults", {"kind": "token", "delay": 0.3, "count": 1})
    with ThreadPoolExecutor() as pool:
        winner = pool.submit(wire.refresh, token)
        wait_until(lambda: not wire.http.get("/_sim/faults").json()["faults"])
        loser = wire.refresh(token)
        return winner.result(), loser


def test_the_second_of_two_racing_refreshes_is_refused(wire: Wire) -> None:
    token = wire.tokens()["refresh_token"]
    winner, loser = _race(wire, token)
    assert winner.status_code == 200
    assert (loser.status_code, loser.json()) == (400, INVALID_GRANT)
    wire.token = winner.json()["access_token"]
    assert wire.get("invoice/145").status_code == 200
    assert wire.refresh(token).status_code == 200


def test_a_race_can_cost_the_winner_its_tokens_too(wire: Wire) -> None:
    _order(wire, "settings", {"racing_refresh": "revokes"})
    winner, loser = _race(wire, wire.tokens()["refresh_token"])
    assert (winner.status_code, loser.status_code) == (200, 400)
    wire.token = winner.json()["access_token"]
    assert wire.get("invoice/145").status_code == 401
    again = wire.refresh(winner.json()["refresh_token"])
    assert (again.status_code, again.json()) == (400, INVALID_GRANT)


def test_racing_refreshes_can_all_be_served(wire: Wire) -> None:
    _order(wire, "settings", {"racing_refresh": "served"})
    winner, loser = _race(wire, wire.tokens()["refresh_token"])
    assert (winner.status_code, loser.status_code) == (200, 200)


def test_a_race_can_last_for_some_seconds_after_the_winner(wire: Wire) -> None:
    _order(wire, "settings", {"racing_seconds": 30})
    token = wire.tokens()["refresh_token"]
    assert wire.refresh(token).status_code == 200
    assert wire.refresh(token).json() == INVALID_GRANT
    wire.simulator.clock.advance(30)
    assert wire.refresh(token).status_code == 200


def test_a_refresh_whose_answer_is_lost_has_rotated_the_token(wire: Wire) -> None:
    token = wire.tokens()["refresh_token"]
    wire.simulator.clock.advance(86400)
    _order(wire, "faults", {"kind": "token", "lose": True, "count": 1})
    with pytest.raises(httpx.TransportError):
        wire.refresh(token)
    assert wire.refresh(token).json() == INVALID_GRANT


def test_a_poisoned_invoice_fails_every_query_that_would_bring_it(wire: Wire) -> None:
    wire.connect()
    _order(wire, "poison", {"company": REALM, "id": "9"})
    for text in (
        "select * from Invoice",
        "select * from Invoice where Id in ('145','9')",
        "select * from Invoice orderby MetaData.LastUpdatedTime startposition 2 maxresults 1",
    ):
        answer = wire.query(text)
        assert (answer.status_code, answer.json()["Fault"]) == (400, POISONED)
    assert wire.ids("select * from Invoice where Id in ('145','30')") == ["30", "145"]
    assert wire.ids("select * from Invoice maxresults 2") == ["30", "145"]
    assert wire.rows("select count(*) from Invoice") == {"totalCount": 3}


def test_a_poisoned_invoice_fails_cdc_and_by_switch_its_own_read(wire: Wire) -> None:
    wire.connect().put("Invoice", [{"Id": "9"}, {"Id": "30"}])
    _order(wire, "poison", [{"company": REALM, "id": "9"}])
    since = to_seconds(wire.simulator.clock.now() - timedelta(minutes=1))
    answer = wire.get("cdc", entities="Invoice,Customer", changedSince=since)
    assert (answer.status_code, answer.json()["Fault"]) == (400, POISONED)
    assert wire.get("cdc", entities="Customer", changedSince=since).status_code == 200
    assert wire.get("invoice/9").json()["Fault"] == POISONED
    _order(wire, "settings", {"poison_fails_reads": False})
    assert wire.get("invoice/9").status_code == 200


def test_poison_is_of_one_company_has_its_own_fault_and_can_be_healed(wire: Wire) -> None:
    wire.put("Invoice", {"Id": "9"}, OTHER_REALM)
    poison = {"company": REALM, "entity": "Customer", "id": "2", "fault": "10000"}
    assert _order(wire, "poison", poison) == {"poison": [poison]}
    answer = wire.connect().query("select * from Customer")
    assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (500, "10000")
    wire.connect(OTHER_REALM)
    assert wire.query("select * from Invoice", OTHER_REALM).status_code == 200
    assert wire.http.delete("/_sim/poison").json() == {"poison": []}
    assert wire.connect().query("select * from Customer").status_code == 200


@pytest.mark.parametrize(
    "order",
    [{"company": REALM, "id": "x"}, {"company": REALM, "id": "9", "fault": "7"}, {"id": "9"}],
)
def test_a_bad_poison_is_refused(wire: Wire, order: dict[str, str]) -> None:
    assert wire.http.post("/_sim/poison", json=order).status_code == 400


def test_an_answer_can_be_cut_in_its_middle(wire: Wire) -> None:
    wire.connect()
    _order(wire, "faults", {"cut": True, "count": 1, "kind": "read"})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        wire.get("invoice/145")
    assert wire.get("invoice/145").status_code == 200


def test_any_fault_can_be_ordered_in_json_in_xml_or_inside_a_200(wire: Wire) -> None:
    wire.connect()
    _order(
        wire,
        "faults",
        [
            {"fault": "6190", "count": 1},
            {"fault": "6190", "format": "xml", "count": 1},
            {"fault": "6190", "status": 200, "count": 1},
        ],
    )
    detail = (
        "Subscription period has ended or canceled or there was a billing problem : You can't add "
        "data to QuickBooks Online Plus because your trial or subscription period ended."
    )
    error = {
        "Message": "Invalid Company Status",
        "Detail": detail,
        "code": "6190",
        "element": "",
    }
    answer = wire.get("invoice/145")
    fault = {"Error": [error], "type": "ValidationFault"}
    assert (answer.status_code, answer.json()["Fault"]) == (400, fault)
    answer = wire.get("invoice/145")
    assert answer.headers["content-type"] == "application/xml"
    assert (
        f'<Error code="6190" element=""><Message>Invalid Company Status</Message><Detail>{detail}'
        in (answer.text)
    )
    answer = wire.get("invoice/145")
    assert (answer.status_code, answer.json()["Fault"]) == (200, fault)


def test_a_dead_token_can_be_refused_in_xml_as_gateways_do(wire: Wire) -> None:
    said = (
        '<Fault type="AUTHENTICATION"><Error code="3200"><Message>message=AuthenticationFailed; '
        "errorCode=003200; statusCode=401</Message><Detail>Token expired: "
    )
    wire.connect()
    _order(wire, "faults", [{"fault": "3200", "format": "xml", "count": 1}])
    ordered = wire.get("invoice/145")
    asked = f"/v3/company/{REALM}/invoice/145"
    without_json = wire.http.get(
        asked, headers={"Accept": "application/xml", "Authorization": "Bearer dead"}
    )
    for answer in (ordered, without_json):
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/xml")
        assert answer.headers["www-authenticate"] == 'Bearer realm="Intuit", error="invalid_token"'
        assert said in answer.text


def test_an_unknown_fault_is_refused(wire: Wire) -> None:
    answer = wire.http.post("/_sim/faults", json={"fault": "77"})
    assert (answer.status_code, "unknown fault '77'" in answer.text) == (400, True)


@pytest.mark.parametrize("refused_as", ["4000", "413", "414"])
def test_a_list_of_ids_can_be_too_long(wire: Wire, refused_as: str) -> None:
    wire.connect()
    _order(wire, "settings", {"ids_in_a_query": 2, "ids_refused_as": refused_as})
    assert wire.ids("select * from Invoice where Id in ('9','145')") == ["145", "9"]
    answer = wire.query("select * from Invoice where Id in ('9','145','30')")
    if refused_as == "4000":
        assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (400, "4000")
    else:
        assert answer.status_code == int(refused_as)


def test_the_users_disconnecting_is_told_to_the_disconnect_address(
    simulators: Simulators, app: App
) -> None:
    with simulators.running(a_config(disconnect_url=app.url), Book.of(BOOK)) as simulator:
        wire = Wire(simulator)
        wire.connect()
        _order(wire, "settings", {"disconnect_names_company": True})
        answer = wire.http.post(f"/_sim/companies/{REALM}/disconnect").json()
        assert answer == {"disconnected": True, "disconnect_url": 200}
        assert app.visited == [f"/quickbook/webhook?realmId={REALM}"]
        wire.connect()
        page = wire.http.post(f"/companies/{REALM}/disconnect")
        assert (page.status_code, page.headers["location"]) == (303, f"{app.url}?realmId={REALM}")
        wire.http.close()


def test_the_last_calls_can_be_looked_at(wire: Wire) -> None:
    wire.connect()
    answer = wire.query("select * from Invoice where Id = '9'")
    last, before = wire.http.get("/_sim/calls/last", params={"last": "2"}).json()["calls"]
    assert last["intuit_tid"] == answer.headers["intuit_tid"]
    assert (last["kind"], last["company"], last["status"]) == ("query", REALM, 200)
    assert last["what"] == "select * from Invoice where Id = '9'"
    assert (before["kind"], before["what"]) == ("token", "authorization_code")


def test_one_order_ends_every_misbehaviour(wire: Wire) -> None:
    wire.connect()
    usual = wire.http.get("/_sim/settings").json() | {"requests_per_second": 10}
    _order(wire, "settings", {"racing_refresh": "revokes", "void": "voided"})
    _order(wire, "faults", {"fault": "10000"})
    _order(wire, "poison", {"company": REALM, "id": "9"})
    _order(wire, "webhooks/next", {"action": "drop"})
    _order(wire, "limits", {"reads": 7})
    assert wire.http.post("/_sim/behave").json() == usual
    assert wire.query("select * from Invoice").status_code == 200
    assert wire.http.get("/_sim/limits").json()["reads"] == 1
    assert wire.simulator.sender.mischief.tricks == []
