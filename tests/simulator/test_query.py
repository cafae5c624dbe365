"""The query language of the accounting API."""

import sys

import pytest

from service.simulator.api.query import parse, run
from service.simulator.app import create_simulator
from service.simulator.books.book import Book
from tests.simulator.wire import REALM, Wire, a_config


@pytest.fixture(autouse=True)
def _connected(wire: Wire) -> None:
    wire.connect()


def test_a_query_returns_whole_records_with_position_and_count(wire: Wire) -> None:
    answer = wire.query("SELECT * FROM Invoice WHERE Id = '30'").json()
    assert set(answer) == {"QueryResponse", "time"}
    assert answer["QueryResponse"] == {
        "Invoice": [
            {
                "Id": "30",
                "SyncToken": "0",
                "MetaData": {
                    "CreateTime": "2026-09-01T08:00:00-07:00",
                    "LastUpdatedTime": "2026-10-02T09:00:00-07:00",
                },
                "TotalAmt": 5,
                "Balance": 0,
            }
        ],
        "startPosition": 1,
        "maxResults": 1,
        "totalCount": 1,
    }


def test_a_query_may_be_sent_by_get(wire: Wire) -> None:
    answer = wire.get("query", query="select * from Invoice where Id in ('9','145')")
    assert [row["Id"] for row in answer.json()["QueryResponse"]["Invoice"]] == ["145", "9"]


def test_the_query_may_stand_in_the_address_of_a_post_without_a_body(wire: Wire) -> None:
    answer = wire.http.post(
        f"/v3/company/{REALM}/query?query=select%20%2A%20from%20Invoice%20where%20Id%20%3D%20%2730%27",
        headers={"Authorization": f"Bearer {wire.token}", "Content-Type": "text/plain"},
    )
    assert [row["Id"] for row in answer.json()["QueryResponse"]["Invoice"]] == ["30"]


def test_only_queries_of_invoices_tell_how_many_there_are_in_all(wire: Wire) -> None:
    assert wire.rows("select * from Invoice maxresults 1")["totalCount"] == 3
    for entity in ("Customer", "Payment", "CreditMemo"):
        assert set(wire.rows(f"select * from {entity}")) == {entity, "startPosition", "maxResults"}


def test_a_projection_answers_sparse_objects(wire: Wire) -> None:
    found = wire.rows("select DisplayName, metadata.createtime, Notes from Customer where Id = '1'")
    assert found["Customer"] == [
        {
            "domain": "QBO",
            "sparse": True,
            "DisplayName": "O'Brien's Bakery",
            "MetaData": {"CreateTime": "2026-09-01T08:00:00-07:00"},
        }
    ]


def test_nothing_found_is_an_empty_object(wire: Wire) -> None:
    assert wire.rows("select * from Invoice where DocNumber = 'none'") == {}
    assert wire.rows("select * from Invoice startposition 4") == {}


def test_count_returns_only_the_total(wire: Wire) -> None:
    assert wire.rows("SELECT COUNT(*) FROM Invoice") == {"totalCount": 3}
    assert wire.rows("select count(*) from Invoice where Balance = '0'") == {"totalCount": 1}
    assert wire.rows("select count(*) from Invoice where Balance > '1000'") == {"totalCount": 0}


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("TotalAmt > '100'", ["145"]),
        ("TotalAmt >= '100'", ["145", "9"]),
        ("TotalAmt < 100.00", ["30"]),
        ("TotalAmt <= '100.00'", ["30", "9"]),
        ("totalamt = '269.50'", ["145"]),
        ("DocNumber LIKE '10%'", ["145"]),
        ("DocNumber LIKE '%9%'", ["9"]),
        ("DocNumber IN ('999','1043')", ["145", "9"]),
        ("DueDate <= '2026-10-29'", ["145"]),
        ("CustomerRef = '2'", ["9"]),
        ("TotalAmt > '1' AND Balance < '150'", ["30", "9"]),
        ("Id IN ('145','9','9','77')", ["145", "9"]),
        ("Id = '145' and TotalAmt > '1000'", []),
    ],
)
def test_conditions_select(wire: Wire, where: str, ids: list[str]) -> None:
    assert wire.ids(f"select * from Invoice where {where}") == ids


def test_instants_are_compared_as_instants_whatever_their_offset(wire: Wire) -> None:
    # 09:19:17-07:00 and 16:19:17Z are the same moment.
    for moment in ("2026-10-01T16:19:17Z", "2026-10-01T09:19:17-07:00"):
        where = "select * from Invoice where MetaData.LastUpdatedTime"
        assert wire.ids(f"{where} = '{moment}'") == ["145", "9"]
        assert wire.ids(f"{where} > '{moment}'") == ["30"]
        assert wire.ids(f"{where} >= '{moment}'") == ["30", "145", "9"]
        assert wire.ids(f"{where} < '{moment}'") == []
        assert wire.ids(f"{where} <= '{moment}'") == ["145", "9"]
    both = "MetaData.LastUpdatedTime > '2026-10-01' and MetaData.LastUpdatedTime < '2026-10-02'"
    assert wire.ids(f"select * from Invoice where {both}") == ["145", "9"]


@pytest.mark.parametrize("order", ["ORDERBY", "ORDER BY", "orderby", "order by"])
def test_the_order_may_be_written_as_one_word_or_two(wire: Wire, order: str) -> None:
    text = f"select * from Invoice {order} MetaData.LastUpdatedTime"
    assert wire.ids(text) == ["145", "9", "30"]
    assert wire.ids(f"{text} ASC") == ["145", "9", "30"]
    assert wire.ids(f"{text} DESC") == ["30", "145", "9"]


def test_equal_seconds_come_by_falling_id_and_reversed_by_rising_ones(wire: Wire) -> None:
    text = "select * from Invoice orderby MetaData.LastUpdatedTime"
    by_both = "select * from Invoice orderby SyncToken, MetaData.LastUpdatedTime"
    assert wire.ids(by_both) == ["145", "9", "30"]
    wire.http.post("/_sim/settings", json={"rows": "reversed"})
    assert wire.ids(text) == ["9", "145", "30"]
    assert wire.ids(f"{text} DESC") == ["30", "9", "145"]
    assert wire.ids(by_both) == ["9", "145", "30"]


def test_without_an_order_transactions_come_by_change_and_customers_by_name(wire: Wire) -> None:
    every = "select * from Customer where Active in (true, false)"
    assert wire.ids("select * from Invoice") == ["30", "145", "9"]
    assert wire.ids(every, "Customer") == ["2", "1", "3"]
    wire.http.post("/_sim/settings", json={"rows": "reversed"})
    assert wire.ids("select * from Invoice") == ["9", "145", "30"]
    assert wire.ids(every, "Customer") == ["3", "1", "2"]


def test_ids_are_ordered_as_numbers_and_absent_values_come_first(wire: Wire) -> None:
    assert wire.ids("select * from Invoice orderby Id desc") == ["145", "30", "9"]
    assert wire.ids("select * from Invoice orderby DocNumber") == ["30", "145", "9"]
    assert wire.ids("select * from Invoice orderby Balance desc, Id") == ["145", "9", "30"]


def test_pages_begin_at_one_and_are_as_long_as_asked(wire: Wire) -> None:
    first = wire.rows("select * from Invoice orderby Id startposition 2 maxresults 1")
    assert [row["Id"] for row in first["Invoice"]] == ["30"]
    assert (first["startPosition"], first["maxResults"]) == (2, 1)
    turned = wire.rows("select * from Invoice orderby Id maxresults 1 startposition 2")
    assert turned == first


def test_a_page_holds_a_hundred_by_default_and_a_thousand_at_most(wire: Wire) -> None:
    wire.put("Invoice", [{"TotalAmt": n} for n in range(1, 1101)])
    assert wire.rows("select * from Invoice")["maxResults"] == 100
    assert wire.rows("select * from Invoice maxresults 1000")["maxResults"] == 1000


def test_inactive_customers_are_hidden_unless_active_is_mentioned(wire: Wire) -> None:
    assert wire.ids("select * from Customer", "Customer") == ["2", "1"]
    assert wire.rows("select count(*) from Customer") == {"totalCount": 2}
    every = "select * from Customer where Active in (true, false)"
    assert wire.ids(every, "Customer") == ["2", "1", "3"]
    assert wire.ids("select * from Customer where Active = false", "Customer") == ["3"]
    assert wire.ids("select * from Customer where Id in ('1','3')", "Customer") == ["1"]


def test_an_apostrophe_is_escaped_with_a_backslash(wire: Wire) -> None:
    text = r"select * from Customer where DisplayName = 'o\'brien\'s bakery'"
    assert wire.ids(text, "Customer") == ["1"]


def test_keywords_names_and_entities_may_be_in_any_case(wire: Wire) -> None:
    text = "Select * From INVOICE Where metadata.LASTUPDATEDTIME > '2026-10-02' MaxResults 5"
    assert wire.ids(text) == ["30"]


def test_deleted_invoices_never_appear(wire: Wire) -> None:
    wire.http.delete(f"/_sim/companies/{REALM}/Invoice/9")
    assert wire.ids("select * from Invoice") == ["30", "145"]
    assert wire.rows("select * from Invoice where Id in ('9')") == {}


@pytest.mark.parametrize(
    ("text", "code", "detail"),
    [
        ("", "4000", 'QueryParserError: Encountered "<EOF>" at line 1, column 1.'),
        (
            "select TxnDate, from Invoice",
            "4000",
            'QueryParserError: Encountered " <IDENTIFIER> "Invoice "" at line 1, column 22.',
        ),
        (
            "select * from Invoice where Id in ()",
            "4000",
            'QueryParserError: Encountered ")" at line 1, column 36.',
        ),
        (
            "select * from Invoice where Id = '1' or Id = '2'",
            "4000",
            'QueryParserError: Encountered " <IDENTIFIER> "or "" at line 1, column 38.',
        ),
        (
            "select * from Invoice where Id = '1",
            "4000",
            'QueryParserError: Encountered "\'" at line 1, column 34.',
        ),
        (
            "select * from Invoice startposition 0",
            "4001",
            "QueryValidationError: value 0 is too small. Min allowed value is 1",
        ),
        (
            "select * from Invoice maxresults 1001",
            "4001",
            "QueryValidationError: value 1001 is too large. Max allowed value is 1000",
        ),
        (
            "select * from Invoice where NoSuchField = '1'",
            "4001",
            "QueryValidationError: Property NoSuchField not found for Entity Invoice",
        ),
        (
            "select NoSuchField from Invoice",
            "4001",
            "QueryValidationError: Property NoSuchField not found for Entity Invoice",
        ),
        (
            "select * from Spaceship",
            "4001",
            "QueryValidationError: invalid context declaration: Spaceship",
        ),
        (
            "select * from Invoice where Id > '1'",
            "4001",
            "QueryValidationError: operator > is not supported for property Id",
        ),
        (
            "select * from Invoice where MetaData.LastUpdatedTime > 'soon'",
            "4001",
            "QueryValidationError: value soon is not a valid dateTime",
        ),
    ],
)
def test_a_bad_query_is_refused_with_its_code(
    wire: Wire, text: str, code: str, detail: str
) -> None:
    answer = wire.query(text)
    assert answer.status_code == 400
    fault = answer.json()["Fault"]
    message = {"4000": "Error parsing query", "4001": "Invalid query"}[code]
    assert fault == {
        "Error": [{"Message": message, "Detail": detail, "code": code}],
        "type": "ValidationFault",
    }


@pytest.mark.parametrize("value", ["", "1.5", "abc"])
def test_an_id_that_is_no_number_is_2030_without_a_time(wire: Wire, value: str) -> None:
    detail = f"Id should be a valid number. Supplied value:{value}"
    error = {"Message": "Invalid ID", "Detail": detail, "code": "2030", "element": "Id"}
    refused = wire.query(f"select * from Customer where Id = '{value}'")
    assert refused.json() == {"Fault": {"Error": [error], "type": "ValidationFault"}}
    assert refused.headers["content-type"] == "application/json"
    if value:
        assert wire.get(f"customer/{value}").json() == refused.json()


def test_a_page_costs_the_same_however_many_invoices_there_are() -> None:
    text = (
        "select * from Invoice where MetaData.LastUpdatedTime >= '2026-10-05T00:00:00-07:00' "
        "orderby MetaData.LastUpdatedTime maxresults 100"
    )

    def calls_of_functions(count: int) -> int:
        invoices = [
            {"Id": str(n), "MetaData": {"LastUpdatedTime": f"2026-10-{1 + n % 28:02}T09:00:00Z"}}
            for n in range(1, count + 1)
        ]
        book = Book.of({REALM: {"Invoice": invoices}})
        simulator = create_simulator(a_config(), book).state.simulator
        company, query = simulator.company(REALM), parse(text)
        run(company, query, simulator.switches)  # sorts them once
        called: list[object] = []
        sys.setprofile(lambda frame, event, _: called.append(frame.f_code))
        try:
            assert run(company, query, simulator.switches)["maxResults"] == 100
        finally:
            sys.setprofile(None)
        return len(called)

    assert calls_of_functions(2000) == calls_of_functions(200)
