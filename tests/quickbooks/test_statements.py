"""The queries, word for word."""

from datetime import UTC, datetime

import pytest

from service.quickbooks.queries import Statement, by_ids, count, page_by_id, page_by_time, quote

SINCE = datetime(2026, 10, 1, 16, 19, 17, 500000, UTC)


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (by_ids("Invoice", ["1"]), "SELECT * FROM Invoice WHERE Id IN ('1') MAXRESULTS 1000"),
        (
            by_ids("Invoice", ["1", "2"]),
            "SELECT * FROM Invoice WHERE Id IN ('1','2') MAXRESULTS 1000",
        ),
        (
            by_ids("Customer", ["1", "2"]),
            "SELECT * FROM Customer WHERE Id IN ('1','2') AND Active IN (true, false)"
            " MAXRESULTS 1000",
        ),
        (
            page_by_time("Invoice", SINCE),
            "SELECT * FROM Invoice WHERE MetaData.LastUpdatedTime >= '2026-10-01T16:19:17Z'"
            " ORDERBY MetaData.LastUpdatedTime STARTPOSITION 1 MAXRESULTS 1000",
        ),
        (
            page_by_time("Invoice", None, start=1001),
            "SELECT * FROM Invoice ORDERBY MetaData.LastUpdatedTime"
            " STARTPOSITION 1001 MAXRESULTS 1000",
        ),
        (
            page_by_time("Customer", SINCE, start=2),
            "SELECT * FROM Customer WHERE MetaData.LastUpdatedTime >= '2026-10-01T16:19:17Z'"
            " AND Active IN (true, false)"
            " ORDERBY MetaData.LastUpdatedTime STARTPOSITION 2 MAXRESULTS 1000",
        ),
        (
            page_by_id("Customer"),
            "SELECT * FROM Customer WHERE Active IN (true, false)"
            " ORDERBY Id STARTPOSITION 1 MAXRESULTS 1000",
        ),
        (
            page_by_id("Invoice", 1001),
            "SELECT * FROM Invoice ORDERBY Id STARTPOSITION 1001 MAXRESULTS 1000",
        ),
        (count("Invoice"), "SELECT COUNT(*) FROM Invoice"),
        (
            count("Invoice", SINCE),
            "SELECT COUNT(*) FROM Invoice WHERE MetaData.LastUpdatedTime >= '2026-10-01T16:19:17Z'",
        ),
        (
            count("Customer"),
            "SELECT COUNT(*) FROM Customer WHERE Active IN (true, false)",
        ),
    ],
)
def test_a_statement_reads_as_quickbooks_wants_it(statement: Statement, text: str) -> None:
    assert statement.text == text


def test_a_statement_knows_where_its_rows_will_be() -> None:
    assert count("Payment").entity == "Payment"


@pytest.mark.parametrize("id_", ["", "x", "1'", "1') OR ('1'='1", "-1", "1.5", "٣", "1 "])
def test_only_digits_enter_a_query(id_: str) -> None:
    with pytest.raises(ValueError, match="an id is digits"):
        by_ids("Invoice", ["1", id_])


@pytest.mark.parametrize("ids", [[], ["1"] * 1001], ids=["none", "more than one answer holds"])
def test_a_query_takes_as_many_ids_as_its_answer_holds(ids: list[str]) -> None:
    with pytest.raises(ValueError, match="1 to 1000 ids"):
        by_ids("Invoice", ids)


def test_positions_count_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        page_by_time("Invoice", None, start=0)


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("plain", "'plain'"),
        ("O'Brien", "'O\\'Brien'"),
        ("back\\slash", "'back\\\\slash'"),
        ("\\' OR 1=1", "'\\\\\\' OR 1=1'"),
        ("", "''"),
    ],
)
def test_a_literal_cannot_be_left(value: str, literal: str) -> None:
    assert quote(value) == literal
