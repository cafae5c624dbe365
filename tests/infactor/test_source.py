"""Records that QuickBooks should never send, and times in every form that it does."""

from decimal import Decimal
from typing import Any

import pytest

from service.errors import Unmappable
from service.infactor.mapping import SupplierDetails, map_invoice
from service.infactor.quickbooks_records import milliseconds, parse_offset_time
from service.kit import exact_json

NEEDED = {
    "Id": "1",
    "MetaData": {"CreateTime": "2026-09-29T05:58:07-07:00"},
    "TotalAmt": 10,
}


def refused(raw: Any, *customers: Any) -> Unmappable:
    with pytest.raises(Unmappable) as e:
        map_invoice(raw, customers, SupplierDetails("s@example.com", "S", "local"), "qbk-1")
    return e.value


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in NEEDED.items() if key != name}


@pytest.mark.parametrize(
    ("raw", "field", "why"),
    [
        ({}, "Id", "missing"),
        (without("Id"), "Id", "missing"),
        (without("TotalAmt"), "TotalAmt", "missing"),
        (without("MetaData"), "MetaData", "missing"),
        ({**NEEDED, "MetaData": {}}, "MetaData.CreateTime", "missing"),
        ({**NEEDED, "MetaData": None}, "MetaData", "expected object, got null"),
        ({**NEEDED, "MetaData": "now"}, "MetaData", "expected object, got str"),
        ({**NEEDED, "Id": 1}, "Id", "expected str, got int"),
        ({**NEEDED, "Id": ""}, "Id", "expected str of length >= 1"),
        ({**NEEDED, "Id": None}, "Id", "expected str, got null"),
        ({**NEEDED, "TotalAmt": None}, "TotalAmt", "expected decimal, got null"),
        ({**NEEDED, "TotalAmt": True}, "TotalAmt", "expected decimal, got bool"),
        ({**NEEDED, "TotalAmt": "ten"}, "TotalAmt", "invalid decimal string"),
        ({**NEEDED, "TotalAmt": [10]}, "TotalAmt", "expected decimal, got array"),
        ({**NEEDED, "TotalAmt": 10.5}, "TotalAmt", "a float is not exact JSON"),
        ({**NEEDED, "TotalAmt": "NaN"}, "TotalAmt", "not a finite number"),
        ({**NEEDED, "TotalAmt": "sNaN"}, "TotalAmt", "not a finite number"),
        ({**NEEDED, "TotalAmt": "-Infinity"}, "TotalAmt", "not a finite number"),
        ({**NEEDED, "TotalAmt": Decimal("NaN")}, "TotalAmt", "not a finite number"),
        ({**NEEDED, "TotalAmt": 10**15}, "TotalAmt", "number out of range"),
        ({**NEEDED, "TotalAmt": -(10**15)}, "TotalAmt", "number out of range"),
        ({**NEEDED, "TotalAmt": 9_000_000_000_000}, "TotalAmt", "number out of range"),
        ({**NEEDED, "Balance": -9_000_000_000_000}, "Balance", "number out of range"),
        ({**NEEDED, "TotalAmt": Decimal("1E+15")}, "TotalAmt", "number out of range"),
        ({**NEEDED, "TotalAmt": Decimal("1E+999999999")}, "TotalAmt", "number out of range"),
        ({**NEEDED, "TotalAmt": "1E+999999999"}, "TotalAmt", "number out of range"),
        ({**NEEDED, "TotalAmt": Decimal("1E-41")}, "TotalAmt", "number out of range"),
        ({**NEEDED, "Balance": "Infinity"}, "Balance", "not a finite number"),
        ({**NEEDED, "Balance": Decimal("1E+999999999")}, "Balance", "number out of range"),
        ({**NEEDED, "DocNumber": 7}, "DocNumber", "expected str | null, got int"),
        ({**NEEDED, "DueDate": 20261029}, "DueDate", "expected str | null, got int"),
        ({**NEEDED, "CustomerRef": "24"}, "CustomerRef", "expected object | null, got str"),
        (
            {**NEEDED, "BillEmail": {"Address": 5}},
            "BillEmail.Address",
            "expected str | null, got int",
        ),
        ({**NEEDED, "Line": {}}, "Line", "expected array | null, got object"),
        ({**NEEDED, "Line": [{}, None]}, "Line[1]", "expected object, got null"),
        ({**NEEDED, "TxnTaxDetail": []}, "TxnTaxDetail", "expected object | null, got array"),
        ({**NEEDED, "TxnTaxDetail": {"TotalTax": "x"}}, "TxnTaxDetail.TotalTax", "not a number"),
        ({**NEEDED, "TxnTaxDetail": {"TotalTax": {}}}, "TxnTaxDetail.TotalTax", "not a number"),
        (
            {**NEEDED, "Line": [{"a": [{"Amount": Decimal("1E+999999999")}]}]},
            "Line[0].a[0].Amount",
            "number out of range",
        ),
        (
            {**NEEDED, "TxnTaxDetail": {"TaxLine": [10**20]}},
            "TxnTaxDetail.TaxLine[0]",
            "number out of range",
        ),
        ([], "Invoice", "not an object"),
        (None, "Invoice", "not an object"),
        (
            {"domain": "QBO", "status": "Deleted", "Id": "266"},
            "MetaData",
            "missing",
        ),
    ],
)
def test_a_broken_invoice_is_refused_by_path_and_reason(raw: Any, field: str, why: str) -> None:
    error = refused(raw)

    assert (error.field, error.why) == (field, why)


@pytest.mark.parametrize(
    ("customer", "field"),
    [
        ({"PrimaryEmailAddr": {"Address": 5}}, "Customer.PrimaryEmailAddr.Address"),
        ({"DisplayName": []}, "Customer.DisplayName"),
        ("Sonnenschein", "Customer"),
    ],
)
def test_a_broken_customer_is_refused_by_path(customer: Any, field: str) -> None:
    assert refused(NEEDED, {}, customer).field == field


@pytest.mark.parametrize(
    "raw",
    [
        {**NEEDED, "TotalAmt": "secret"},
        {**NEEDED, "Id": ["secret"]},
        {**NEEDED, "MetaData": {"CreateTime": "secret"}},
        {**NEEDED, "BillEmail": "secret"},
        {**NEEDED, "Line": "secret"},
        {**NEEDED, "TxnTaxDetail": {"TotalTax": "secret"}},
    ],
)
def test_an_error_never_shows_the_value(raw: Any) -> None:
    assert "secret" not in str(refused(raw))


def test_a_path_holds_no_nul_character() -> None:
    """The reason of a failed record is stored as text."""
    assert refused({**NEEDED, "Line": [{"a\x00b": 10**15}]}).field == "Line[0].ab"


def test_nesting_that_would_exhaust_the_stack_is_refused() -> None:
    deep = exact_json.decode('{"a":' * 900 + "1" + "}" * 900)

    assert refused({**NEEDED, "Line": [deep]}).why == "nested too deeply"


def test_numbers_of_fields_that_are_not_read_do_no_harm() -> None:
    raw = {**NEEDED, "HomeTotalAmt": Decimal("1E+999999999")}

    assert map_invoice(raw, [], SupplierDetails("s@example.com", "S", "local"), "qbk-1").total == 10


@pytest.mark.parametrize(
    ("text", "day", "ms"),
    [
        ("2026-09-29T05:58:07-07:00", "2026-09-29", 1790686687000),
        ("2026-09-29T05:58:07-0700", "2026-09-29", 1790686687000),
        ("2026-09-29T12:58:07Z", "2026-09-29", 1790686687000),
        ("2026-09-29T12:58:07.1Z", "2026-09-29", 1790686687100),
        ("2026-09-29T12:58:07.657Z", "2026-09-29", 1790686687657),
        ("2026-09-29T12:58:07.179851517Z", "2026-09-29", 1790686687179),
        ("2026-11-10T23:30:00-08:00", "2026-11-10", 1794382200000),
        ("2026-03-01T02:15:00+05:30", "2026-03-01", 1772311500000),
        ("1969-12-31T23:59:59.999Z", "1969-12-31", -1),
        ("0001-01-01T00:00:00+14:00", "0001-01-01", -62135647200000),
        ("9999-12-31T23:59:59-12:00", "9999-12-31", 253402343999000),
    ],
)
def test_a_moment_keeps_the_day_of_the_offset_that_quickbooks_wrote(
    text: str, day: str, ms: int
) -> None:
    when = parse_offset_time(text, "MetaData.CreateTime")

    assert (when.date().isoformat(), milliseconds(when)) == (day, ms)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-09-29",
        "2026-09-29T05:58:07",
        "2026-09-29 05:58:07-07:00",
        "2026-09-29T05:58-07:00",
        "2026-W40-2T05:58:07-07:00",
        "2026-02-30T05:58:07-07:00",
        "2026-09-29T25:00:00-07:00",
        "2026-09-29T05:58:07-99:00",
        "\uff12026-09-29T05:58:07-07:00",
    ],
)
def test_a_moment_without_an_offset_or_off_the_calendar_is_refused(text: str) -> None:
    assert refused({**NEEDED, "MetaData": {"CreateTime": text}}).field == "MetaData.CreateTime"
