"""The room that documents take, against what MongoDB's own client makes of them."""

from decimal import Decimal
from typing import Any

import bson
import pytest

from service.infactor.mapping import SupplierDetails, map_invoice
from service.infactor.mongo import MOST_BYTES, from_bson, shortened, size, to_bson

SUPPLIER = SupplierDetails("supplier@example.com", "Example", "local")


def an_invoice(lines: int, description: str) -> dict[str, Any]:
    detail = {"Qty": Decimal(1), "UnitPrice": Decimal("9.99")}
    line = {"DetailType": "SalesItemLineDetail", "Description": description}
    return {
        "Id": "1",
        "TotalAmt": Decimal("99900.00"),
        "MetaData": {"CreateTime": "2026-11-20T08:00:00-08:00"},
        "Line": [{**line, "Id": str(i), "SalesItemLineDetail": detail} for i in range(lines)],
    }


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"a": None, "b": True, "c": "ü", "d": Decimal("1.5"), "e": 7},
        {"list": list(range(120)), "deep": {"x": [{"y": []}, {}]}},
        {"text": "x" * 1000, "": ""},
    ],
)
def test_the_size_is_the_one_of_the_stored_document(document: dict[str, Any]):
    assert size(document) == len(bson.encode(to_bson(document)))


def test_what_fits_is_kept_and_not_a_byte_more():
    items = ["x" * 10] * 5
    whole = size(items)
    assert shortened(items, whole) == items
    assert shortened(items, whole - 1) == items[:4]
    assert shortened(items, 0) == []


def test_an_invoice_of_10_000_long_lines_is_shortened_with_a_warning():
    mapped = map_invoice(an_invoice(10_000, "d" * 4000), [], SUPPLIER, "qbk-1")
    room = len(bson.encode(to_bson(mapped.document)))
    assert 14_990_000 < room <= MOST_BYTES
    assert 3_000 < len(mapped.document["items"]) < 4_000
    assert mapped.document["invoiceAmount"] == Decimal("99900.00")
    assert [warning.code for warning in mapped.warnings][-1] == "too_many_lines"


def test_an_invoice_of_10_000_ordinary_lines_is_whole():
    mapped = map_invoice(an_invoice(10_000, "WithdrawalLimit disc"), [], SUPPLIER, "qbk-1")
    assert len(mapped.document["items"]) == 10_000
    assert "too_many_lines" not in [warning.code for warning in mapped.warnings]


def test_exact_numbers_come_back_from_doubles():
    given = {"a": Decimal("362.07"), "b": Decimal("0.1"), "c": 1763712000123, "d": Decimal("-5")}
    assert from_bson(to_bson(given)) == given


def test_names_that_an_old_server_refuses_are_written_in_full_width():
    assert to_bson({"$set": {"a.b": "c.d$"}}) == {"＄set": {"a．b": "c.d$"}}  # noqa: RUF001


def test_what_is_no_number_is_not_one():
    assert from_bson({"a": float("nan"), "b": float("inf")}) == {"a": None, "b": None}
