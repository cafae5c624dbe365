"""The reference's sections 3.3 to 3.5, row by row, with literal bodies.

3.6 is walked through in test_limits.py.
"""

import json

import pytest

from tests.simulator.envelopes import NOT_FOUND, STALE, TIME, envelope, fault
from tests.simulator.wire import REALM, Wire

INVOICE_30 = (
    '{"Id":"30","SyncToken":"0","MetaData":{"CreateTime":"2026-09-01T08:00:00-07:00",'
    '"LastUpdatedTime":"2026-10-02T09:00:00-07:00"},"TotalAmt":5,"Balance":0}'
)


@pytest.mark.parametrize(
    ("row", "text", "inside"),
    [
        (
            "3.3 rows with position and count",
            "SELECT * FROM Invoice WHERE Id = '30'",
            f'"Invoice":[{INVOICE_30}],"startPosition":1,"maxResults":1,"totalCount":1',
        ),
        (
            "3.3 IN, lower case, MAXRESULTS",
            "select * from invoice where id in ('30','77') maxresults 1000",
            f'"Invoice":[{INVOICE_30}],"startPosition":1,"maxResults":1,"totalCount":1',
        ),
        (
            "3.3 AND with comparisons",
            "select * from Invoice where TotalAmt <= '5' and Balance < '1'",
            f'"Invoice":[{INVOICE_30}],"startPosition":1,"maxResults":1,"totalCount":1',
        ),
        (
            "3.3 time with an offset",
            "select * from Invoice where MetaData.LastUpdatedTime >= '2026-10-02T18:00:00+02:00'",
            f'"Invoice":[{INVOICE_30}],"startPosition":1,"maxResults":1,"totalCount":1',
        ),
        (
            "3.3 ORDERBY, STARTPOSITION",
            "select * from Invoice orderby MetaData.LastUpdatedTime desc startposition 1 "
            "maxresults 1",
            f'"Invoice":[{INVOICE_30}],"startPosition":1,"maxResults":1,"totalCount":3',
        ),
        ("3.2 no match has no key", "select * from Invoice where Id = '77'", ""),
        ("3.3 LIKE", "select count(*) from Invoice where DocNumber like '10%'", '"totalCount":1'),
        ("3.3 COUNT", "select count(*) from Invoice", '"totalCount":3'),
        ("3.3 inactive hidden", "select count(*) from Customer", '"totalCount":2'),
        (
            "3.3 inactive asked for",
            "select count(*) from Customer where Active in (true,false)",
            '"totalCount":3',
        ),
        (
            "3.3 an escaped quote",
            "select count(*) from Customer where DisplayName = 'O\\'Brien\\'s Bakery'",
            '"totalCount":1',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("3.") else "",
)
def test_3_3_queries_answer_in_intuitsenvelope(
    still: Wire, row: str, text: str, inside: str
) -> None:
    assert row
    wanted = envelope(f'"QueryResponse":{{{inside}}}')
    by_post = still.query(text)
    assert (by_post.status_code, by_post.text) == (200, wanted)
    assert still.get("query", query=text).text == wanted
    assert by_post.headers["qbo-version"] == "1988.128"


@pytest.mark.parametrize(
    ("row", "text", "words"),
    [
        (
            "3.3 no OR",
            "select * from Invoice where Id = '1' or Id = '2'",
            (
                "4000",
                "Error parsing query",
                'QueryParserError: Encountered " <IDENTIFIER> "or "" at line 1, column 38.',
            ),
        ),
        (
            "3.3 no GROUP BY",
            "select * from Invoice group by Id",
            (
                "4000",
                "Error parsing query",
                'QueryParserError: Encountered " <IDENTIFIER> "group "" at line 1, column 23.',
            ),
        ),
        (
            "3.3 positions begin at 1",
            "select * from Invoice startposition 0",
            (
                "4001",
                "Invalid query",
                "QueryValidationError: value 0 is too small. Min allowed value is 1",
            ),
        ),
        (
            "3.3 a thousand at most",
            "select * from Invoice maxresults 1001",
            (
                "4001",
                "Invalid query",
                "QueryValidationError: value 1001 is too large. Max allowed value is 1000",
            ),
        ),
        (
            "3.3 on Id only = and IN",
            "select * from Invoice where Id > '1'",
            (
                "4001",
                "Invalid query",
                "QueryValidationError: operator > is not supported for property Id",
            ),
        ),
        (
            "3.3 unknown property",
            "select * from Invoice where Colour = '1'",
            (
                "4001",
                "Invalid query",
                "QueryValidationError: Property Colour not found for Entity Invoice",
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("3.") else "",
)
def test_3_3_what_is_no_query_is_refused(
    still: Wire, row: str, text: str, words: tuple[str, str, str]
) -> None:
    assert row
    answer = still.query(text)
    assert (answer.status_code, answer.text) == (400, fault(*words))


def test_3_4_cdc_groups_by_type_with_stubs_of_the_deleted_after_the_live(still: Wire) -> None:
    still.http.put(
        f"/_sim/companies/{REALM}/Invoice",
        json={"Id": "34", "MetaData": {"LastUpdatedTime": "2026-11-09T00:00:00-08:00"}},
    )
    still.http.delete(f"/_sim/companies/{REALM}/Invoice/9")
    answer = still.get("cdc", entities="Invoice,Customer", changedSince="2026-11-01")
    meta = (
        '{"CreateTime":"2026-11-10T04:00:00-08:00","LastUpdatedTime":"2026-11-09T00:00:00-08:00"}'
    )
    live = f'{{"Id":"34","MetaData":{meta},"SyncToken":"0"}}'
    stub = (
        '{"status":"Deleted","domain":"QBO","Id":"9",'
        '"MetaData":{"LastUpdatedTime":"2026-11-10T04:00:00-08:00"}}'
    )
    group = f'{{"Invoice":[{live},{stub}],"startPosition":1,"maxResults":2}}'
    assert answer.text == envelope(f'"CDCResponse":[{{"QueryResponse":[{group},{{}}]}}]')


def test_3_4_cdc_ignores_paging_and_ends_at_a_thousand_objects(still: Wire) -> None:
    still.put("Invoice", [{"TotalAmt": 1}] * 1100)
    page = {"startposition": "1001", "maxresults": "10"}
    asked = {"entities": "Invoice,Payment", "changedSince": "2026-11-10T00:00:00-08:00"}
    invoices, payments = still.get("cdc", **asked, **page).json()["CDCResponse"][0]["QueryResponse"]
    assert (invoices["startPosition"], invoices["maxResults"], payments) == (1, 1000, {})


def test_3_4_cdc_goes_back_nine_years_and_by_switch_only_thirty_days(still: Wire) -> None:
    assert still.get("cdc", entities="Invoice", changedSince="2017-11-10").is_success
    still.http.post("/_sim/settings", json={"changes_days": 30})
    late = still.get("cdc", entities="Invoice", changedSince="2026-10-11T11:59:59Z")
    assert (late.status_code, late.json()["Fault"]["Error"][0]["code"]) == (400, "2030")
    assert still.get("cdc", entities="Invoice", changedSince="2026-10-11T12:00:00Z").is_success


def test_3_5_a_batch_answers_each_item_under_its_id_with_200(still: Wire) -> None:
    items = [
        {"bId": "bid1", "Query": "select * from Invoice where Id = '30'"},
        {"bId": "bid2", "operation": "delete", "Invoice": {"Id": "777", "SyncToken": "0"}},
        {
            "bId": "bid3",
            "operation": "update",
            "Invoice": {"sparse": True, "Id": "145", "SyncToken": "9", "PrivateNote": "A note."},
        },
        {"bId": "bid4", "operation": "delete", "Invoice": {"Id": "9", "SyncToken": "0"}},
        {
            "bId": "bid5",
            "operation": "update",
            "optionsData": "void",
            "Payment": {"Id": "200", "SyncToken": "0"},
        },
        {"bId": "bid6", "operation": "create", "Spaceship": {}},
    ]
    answer = still.write("batch", {"BatchItemRequest": items})
    assert answer.status_code == 200
    found, missing, stale, gone, voided, unknown = answer.json()["BatchItemResponse"]
    assert found == {
        "QueryResponse": {
            "Invoice": [json.loads(INVOICE_30)],
            "startPosition": 1,
            "maxResults": 1,
            "totalCount": 1,
        },
        "bId": "bid1",
    }
    error = {"Message": "Object Not Found", "Detail": NOT_FOUND, "code": "610", "element": ""}
    assert missing == {"Fault": {"Error": [error], "type": "ValidationFault"}, "bId": "bid2"}
    error = {"Message": "Stale Object Error", "Detail": STALE, "code": "5010", "element": ""}
    assert stale == {"Fault": {"Error": [error], "type": "ValidationFault"}, "bId": "bid3"}
    stub = {"domain": "QBO", "status": "Deleted", "Id": "9"}
    assert gone == {"Invoice": stub, "bId": "bid4"}
    assert (voided["Payment"]["TotalAmt"], voided["bId"]) == (0, "bid5")
    assert unknown["Fault"]["Error"][0]["code"] == "500"
    assert answer.json()["time"] == TIME


def test_3_5_a_batch_has_thirty_items_at_most(still: Wire) -> None:
    query = {"bId": "1", "Query": "select count(*) from Invoice"}
    assert still.write("batch", {"BatchItemRequest": [query] * 30}).status_code == 200
    assert still.http.get("/_sim/limits").json()["reads"] == 30
    refused = still.write("batch", {"BatchItemRequest": [query] * 31})
    assert (refused.status_code, refused.json()["Fault"]["Error"][0]["code"]) == (400, "1040")
    assert still.write("batch", {}).json()["Fault"]["Error"][0]["code"] == "2020"
