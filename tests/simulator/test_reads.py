"""Reads, change data capture, and who may ask."""

from datetime import timedelta

import pytest

from service.simulator.clock import to_seconds
from tests.simulator.wire import OTHER_REALM, REALM, Wire

NOT_FOUND = {
    "Error": [
        {
            "Message": "Object Not Found",
            "Detail": "Object Not Found : Something you're trying to use has been made inactive. "
            "Check the fields with accounts, customers, items, vendors or employees.",
            "code": "610",
            "element": "",
        }
    ],
    "type": "ValidationFault",
}


def test_company_info_is_read_by_realm_id_or_by_its_own_id(wire: Wire) -> None:
    wire.connect()
    for id_ in (REALM, "1"):
        answer = wire.get(f"companyinfo/{id_}")
        assert answer.status_code == 200
        assert answer.json()["CompanyInfo"]["CompanyName"] == "Harborline Supply Co."
    assert wire.get(f"companyinfo/{OTHER_REALM}").json()["Fault"] == NOT_FOUND
    assert wire.rows("select * from CompanyInfo")["CompanyInfo"][0]["Country"] == "US"


@pytest.mark.parametrize(
    ("path", "entity"),
    [
        ("invoice/145", "Invoice"),
        ("customer/3", "Customer"),
        ("payment/200", "Payment"),
        ("creditmemo/300", "CreditMemo"),
    ],
)
def test_each_entity_is_read_by_its_id(wire: Wire, path: str, entity: str) -> None:
    answer = wire.connect().get(path)
    assert answer.status_code == 200
    assert set(answer.json()) == {entity, "time"}
    assert answer.json()[entity]["Id"] == path.partition("/")[2]


JOURNAL = {
    "Id": "400",
    "DocNumber": "7",
    "TxnDate": "2026-10-02",
    "Line": [{"Amount": 60, "DetailType": "JournalEntryLineDetail"}],
}


def test_journal_entries_and_accounts_are_read_and_counted_but_not_written(wire: Wire) -> None:
    wire.put("JournalEntry", JOURNAL)
    wire.put("Account", {"Id": "35", "Name": "Checking", "AccountType": "Bank"})
    wire.connect()
    assert wire.get("journalentry/400").json()["JournalEntry"]["DocNumber"] == "7"
    assert wire.rows("select * from JournalEntry where Id in ('400')")["totalCount"] == 1
    found = wire.rows("select * from Account where Id = '35' and Active in (true, false)")
    assert ([row["Name"] for row in found["Account"]], "totalCount" in found) == (
        ["Checking"],
        False,
    )
    refused = wire.write("journalentry", {"Line": []}).json()["Fault"]["Error"][0]
    assert refused["code"] == "500"
    # Transactions share one series of ids.
    assert wire.put("Invoice", {"TotalAmt": 5})["Invoice"]["Id"] == "401"


def test_numbers_keep_the_digits_they_were_given_with(wire: Wire) -> None:
    digits = b'{"Id":"7","TotalAmt":1234567890123456.10,"Line":[{"Amount":0.5306667}]}'
    wire.http.put(f"/_sim/companies/{REALM}/Invoice", content=digits)
    assert b'"TotalAmt":1234567890123456.10,"Line":[{"Amount":0.5306667}]' in (
        wire.connect().get("invoice/7").content
    )


def test_an_id_that_is_unknown_or_deleted_is_610_with_400(wire: Wire) -> None:
    wire.connect()
    wire.http.delete(f"/_sim/companies/{REALM}/Invoice/145")
    for id_ in ("145", "77777"):
        answer = wire.get(f"invoice/{id_}")
        assert answer.status_code == 400
        assert answer.json()["Fault"] == NOT_FOUND


def test_what_the_api_does_not_have_is_an_unsupported_operation(wire: Wire) -> None:
    answer = wire.connect().get("spaceship/1")
    assert answer.status_code == 400
    assert answer.json()["Fault"]["Error"][0]["code"] == "500"


@pytest.mark.parametrize("token", ["", "made-up", "<expired>"])
def test_a_token_that_is_not_live_is_401_and_repeated_in_the_answer(wire: Wire, token: str) -> None:
    if token == "<expired>":
        wire.connect()
        wire.simulator.clock.advance(3600)
    else:
        wire.token = token
    answer = wire.get("invoice/145")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="Intuit", error="invalid_token"'
    body = answer.json()
    assert isinstance(body.pop("time"), int)
    assert body == {
        "warnings": None,
        "intuitObject": None,
        "fault": {
            "error": [
                {
                    "message": "message=AuthenticationFailed; errorCode=003200; statusCode=401",
                    "detail": f"Token expired: {wire.token}",
                    "code": "3200",
                    "element": None,
                }
            ],
            "type": "AUTHENTICATION",
        },
        "report": None,
        "queryResponse": None,
        "batchItemResponse": [],
        "attachableResponse": [],
        "syncErrorResponse": None,
        "requestId": None,
        "status": None,
        "cdcresponse": [],
    }


def test_another_companys_token_is_403_with_3100(wire: Wire) -> None:
    wire.connect(OTHER_REALM)
    for realm in (REALM, "123"):
        answer = wire.get("invoice/145", realm)
        assert answer.status_code == 403
        assert answer.json()["fault"] == {
            "error": [
                {
                    "message": "message=ApplicationAuthorizationFailed; "
                    "errorCode=003100; statusCode=403",
                    "detail": None,
                    "code": "3100",
                    "element": None,
                }
            ],
            "type": "SERVICE",
        }


def test_every_answer_carries_a_trace_id_of_its_own(wire: Wire) -> None:
    answers = [wire.connect().get("invoice/145"), wire.get("invoice/0"), wire.http.get("/_sim")]
    answers.append(wire.http.post("/oauth2/v1/tokens/bearer"))
    traces = {answer.headers["intuit_tid"] for answer in answers}
    assert len(traces) == 4
    assert b"intuit_tid" in {name for name, _ in answers[0].headers.raw}


def _cdc(wire: Wire, entities: str, since: str) -> list[dict]:
    answer = wire.get("cdc", entities=entities, changedSince=since)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"CDCResponse", "time"}
    [response] = answer.json()["CDCResponse"]
    return response["QueryResponse"]


def _ago(wire: Wire, **spans: float) -> str:
    return to_seconds(wire.simulator.clock.now() - timedelta(**spans))


def test_cdc_returns_what_changed_and_then_the_stubs_of_what_was_deleted(wire: Wire) -> None:
    wire.connect().put("Invoice", [{"Id": "145", "TotalAmt": 1}, {"TotalAmt": 2}])
    wire.http.delete(f"/_sim/companies/{REALM}/Invoice/30")
    invoices, customers = _cdc(wire, "Invoice, Customer", _ago(wire, minutes=5))
    assert [found["Id"] for found in invoices["Invoice"]] == ["301", "145", "30"]
    stub = invoices["Invoice"][2]
    assert set(stub) == {"status", "domain", "Id", "MetaData"}
    assert (stub["status"], stub["domain"]) == ("Deleted", "QBO")
    assert set(stub["MetaData"]) == {"LastUpdatedTime"}
    assert set(invoices) == {"Invoice", "startPosition", "maxResults"}
    assert (invoices["startPosition"], invoices["maxResults"]) == (1, 3)
    assert customers == {}


def test_cdc_shows_a_void_as_a_change_and_an_inactive_customer_in_full(wire: Wire) -> None:
    wire.connect().http.post(f"/_sim/companies/{REALM}/Invoice/9/void")
    wire.http.delete(f"/_sim/companies/{REALM}/Customer/2")
    invoices, customers = _cdc(wire, "Invoice,Customer", _ago(wire, minutes=5))
    assert invoices["Invoice"][0]["TotalAmt"] == 0
    assert customers["Customer"][0]["DisplayName"] == "Blue Heron (deleted)"


def test_cdc_holds_a_thousand_objects_in_all(wire: Wire) -> None:
    wire.connect().put("Invoice", [{"TotalAmt": 1}] * 900)
    wire.put("Payment", [{"TotalAmt": 1}] * 200)
    invoices, payments = _cdc(wire, "Invoice,Payment", _ago(wire, minutes=5))
    assert (invoices["maxResults"], payments["maxResults"]) == (900, 100)


def test_cdc_looks_back_as_far_as_asked_and_thirty_days_where_that_is_switched(wire: Wire) -> None:
    wire.connect()
    assert _cdc(wire, "Invoice", _ago(wire, days=3650))[0]["maxResults"] == 3
    wire.http.post("/_sim/settings", json={"changes_days": 30})
    _cdc(wire, "Invoice", _ago(wire, days=29, hours=23))
    answer = wire.get("cdc", entities="Invoice", changedSince=_ago(wire, days=30, hours=1))
    assert answer.status_code == 400
    assert answer.json()["Fault"]["type"] == "ValidationFault"
    assert "30 days" in answer.json()["Fault"]["Error"][0]["Detail"]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"entities": "Invoice"}, "2020"),
        ({"changedSince": "2026-10-01"}, "2020"),
        ({"entities": "Invoice", "changedSince": "soon"}, "2060"),
        ({"entities": "TaxCode", "changedSince": "2026-10-01"}, "4001"),
    ],
)
def test_cdc_refuses_what_it_cannot_answer(wire: Wire, params: dict[str, str], code: str) -> None:
    answer = wire.connect().get("cdc", **params)
    assert answer.status_code == 400
    assert answer.json()["Fault"]["Error"][0]["code"] == code
