"""Writes of the accounting API that are refused, and change nothing."""

from typing import Any

import pytest

from tests.simulator.wire import REALM, Wire

LINE = {
    "Amount": 100,
    "DetailType": "SalesItemLineDetail",
    "SalesItemLineDetail": {"ItemRef": {"value": "1", "name": "Services"}},
}
NEW = {"Line": [LINE], "CustomerRef": {"value": "2"}}


@pytest.fixture(autouse=True)
def _connected(wire: Wire) -> None:
    wire.connect()


def _fault(wire: Wire, path: str, data: Any, **params: str) -> dict[str, str]:
    answer = wire.write(path, data, **params)
    assert answer.status_code == 400, answer.text
    [error] = answer.json()["Fault"]["Error"]
    return error


@pytest.mark.parametrize(
    ("path", "data", "code", "detail"),
    [
        ("invoice", NEW | {"BadJson": 1}, "2010", 'Property Name:Unrecognized field "BadJson" '),
        ("invoice", {"CustomerRef": {"value": "1"}}, "2020", "Required parameter Line is missing"),
        ("invoice", {"Line": [LINE]}, "2020", "Required parameter CustomerRef is missing"),
        ("invoice", NEW | {"Id": "9", "sparse": True}, "2020", "Required parameter SyncToken is"),
        ("invoice", {"Id": "1.5", "SyncToken": "0"}, "2030", "Id should be a valid number. Supp"),
        ("invoice", NEW | {"DocNumber": "x" * 45}, "2050", "Supplied length:45"),
        (
            "invoice",
            NEW | {"CustomerRef": {"value": "583"}},
            "2500",
            "Invalid Reference Id : Names element id 583 not found",
        ),
        ("invoice", NEW | {"CustomerRef": {"value": "3"}}, "610", "Object Not Found : Something"),
        ("invoice", NEW | {"Id": "777", "SyncToken": "0"}, "610", "Object Not Found : Something"),
        ("invoice", {"Id": "9", "SyncToken": "7", "sparse": True}, "5010", "Stale Object Error"),
        ("payment", {"CustomerRef": {"value": "2"}}, "6000", "You must set a transaction amount"),
        ("customer", {"DisplayName": "blue heron"}, "6240", "The name supplied already exists."),
        ("customer", {}, "2020", "Required parameter DisplayName is missing in the request"),
        ("spaceship", {}, "500", "Operation POST spaceship is not supported."),
        ("invoice", [], "500", "is not supported."),
    ],
)
def test_a_refused_write_says_why_and_changes_nothing(
    wire: Wire, path: str, data: Any, code: str, detail: str
) -> None:
    before = wire.http.get("/_sim/companies").json()
    error = _fault(wire, path, data)
    assert error["code"] == code
    assert detail in error["Detail"]
    assert wire.http.get("/_sim/companies").json() == before


_ODD: tuple[Any, ...] = (None, "", "x", 7, -1.5, True, [], [7], [[]], {}, {"value": 7}, {"x": []})


@pytest.mark.parametrize("path", ["invoice", "creditmemo", "payment", "customer", "batch"])
def test_whatever_is_sent_the_answer_is_a_refusal_or_a_success(wire: Wire, path: str) -> None:
    wire.simulator.switch({"requests_per_minute": None, "batches_per_minute": None})
    wire.simulator.switch({"batches_per_minute_company": None})
    links = [{"TxnId": "9", "TxnType": "Invoice"}]
    whole: dict[str, Any] = {
        "invoice": NEW | {"BillEmail": {"Address": "a@example.com"}, "TxnTaxDetail": {}},
        "creditmemo": NEW | {"DocNumber": "7", "TxnDate": "2026-11-01"},
        "payment": {"CustomerRef": {"value": "2"}, "TotalAmt": 5, "LinkedTxn": []}
        | {"Line": [{"Amount": 5, "LinkedTxn": links}]},
        "customer": {"DisplayName": "N", "Active": True, "Job": True, "ParentRef": {"value": "1"}},
        "batch": {"BatchItemRequest": [{"bId": "1", "operation": "create", "Invoice": NEW}]},
    }[path]
    for odd in _ODD:
        for name in whole:
            assert wire.write(path, whole | {name: odd}).status_code in (200, 400)
        for change in _inside(whole, odd):
            assert wire.write(path, change).status_code in (200, 400)
        for given in (odd, {"Id": odd, "SyncToken": odd}, {"Id": "9", "SyncToken": odd}):
            for operation in ("", "void", "delete", "nonsense"):
                answer = wire.write(path, given, operation=operation)
                assert answer.status_code in (200, 400)


def _inside(whole: dict[str, Any], odd: Any) -> list[dict[str, Any]]:
    """Return the object with each part of its first line, or item, replaced."""
    name = next((n for n in ("Line", "BatchItemRequest") if n in whole), None)
    if name is None:
        return []
    [first] = whole[name]
    return [whole | {name: [first | {part: odd}]} for part in (*first, "Id", "Query", "LinkedTxn")]


def test_amounts_may_be_texts_as_some_clients_send_them(wire: Wire) -> None:
    line = {**LINE, "Amount": "12.50"}
    assert wire.write("invoice", NEW | {"Line": [line]}).json()["Invoice"]["TotalAmt"] == 12.5
    answer = wire.write("invoice", NEW | {"Line": [LINE | {"Amount": "much"}]})
    error = answer.json()["Fault"]["Error"][0]
    assert (error["code"], "Amount is not a number" in error["Detail"]) == ("2010", True)


def test_more_than_is_open_cannot_be_paid(wire: Wire) -> None:
    links = [{"TxnId": "9", "TxnType": "Invoice"}]
    payment = {"CustomerRef": {"value": "2"}, "TotalAmt": 500}
    line = {"Amount": 100.01, "LinkedTxn": links}
    assert _fault(wire, "payment", payment | {"Line": [line]})["code"] == "6000"
    line = {"Amount": 90, "LinkedTxn": links}
    assert _fault(wire, "payment", payment | {"TotalAmt": 80, "Line": [line]})["code"] == "6000"
    assert wire.get("invoice/9").json()["Invoice"]["Balance"] == 100


def test_numbers_can_be_unique_and_books_closed(wire: Wire) -> None:
    wire.http.post("/_sim/settings", json={"unique_numbers": True})
    assert _fault(wire, "invoice", NEW | {"DocNumber": "1043"})["code"] == "6140"
    change = {"Id": "145", "SyncToken": "0", "sparse": True, "DocNumber": "1043"}
    assert wire.write("invoice", change).json()["Invoice"]["SyncToken"] == "1"
    wire.http.post("/_sim/settings", json={"books_closed_until": "2026-06-30"})
    assert _fault(wire, "invoice", NEW | {"TxnDate": "2026-06-30"})["code"] == "6210"
    assert wire.write("invoice", NEW | {"TxnDate": "2026-07-01"}).status_code == 200


def test_what_is_not_utf8_or_not_json_is_refused(wire: Wire) -> None:
    path, headers = f"/v3/company/{REALM}/invoice", {"Authorization": f"Bearer {wire.token}"}
    answer = wire.http.post(path, content=b'{"DocNumber":"\xe9"}', headers=headers)
    assert answer.json()["Fault"]["Error"][0]["code"] == "500"
    assert "Invalid byte 1 of 1-byte UTF-8 sequence is not supported." in answer.text
    answer = wire.http.post(path, content=b"{", headers=headers)
    assert answer.json()["Fault"]["Error"][0]["code"] == "2010"


@pytest.mark.parametrize("operation", ["void", "delete"])
def test_a_customer_can_be_neither_voided_nor_deleted(wire: Wire, operation: str) -> None:
    error = _fault(wire, "customer", {"Id": "2", "SyncToken": "0"}, operation=operation)
    assert error["Message"] == "Unsupported Operation"
