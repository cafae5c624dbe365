"""What the rules read from QuickBooks' own invoice: sent, payable online, and the sum of lines."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from service.infactor.quickbooks_records import read_invoice
from service.infactor.rules.raw_invoice import differing_sum, takes_payment, was_sent
from service.kit import exact_json
from tests.simulator.recordings import recordings_file

CHARGE = {"LinkedTxn": [{"TxnId": "29", "TxnType": "StatementCharge"}]}
INCLUSIVE = {"GlobalTaxCalculation": "TaxInclusive"}


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"EmailStatus": "EmailSent", "PrintStatus": "NeedToPrint"}, True),
        ({"EmailStatus": "NotSet", "PrintStatus": "PrintComplete"}, True),
        ({"EmailStatus": "NotSet", "PrintStatus": "NeedToPrint"}, False),
        ({"EmailStatus": "NeedToSend"}, False),
        ({"PrintStatus": "NotSet"}, False),
        ({"EmailStatus": "NotSet", "DeliveryInfo": {"DeliveryType": "Email"}}, False),
        ({"EmailStatus": "NeedToSend", "DeliveryInfo": {"DeliveryTime": "2026-09-29"}}, True),
        ({"EmailStatus": "NotSet", "DeliveryInfo": None}, False),
        ({}, None),
    ],
)
def test_an_invoice_was_sent_or_not(fields: dict[str, Any], sent: bool | None):
    assert was_sent(fields) is sent


@pytest.mark.parametrize(
    ("fields", "takes"),
    [
        ({"AllowOnlineCreditCardPayment": True, "AllowOnlinePayment": False}, True),
        ({"AllowOnlineACHPayment": True}, True),
        ({"AllowOnlineAffirmPayment": True}, True),
        ({"AllowIPNPayment": True}, True),
        ({"InvoiceLink": "https://connect.intuit.com/t/scs-v1-1"}, True),
        ({"AllowOnlinePayment": False, "AllowIPNPayment": False, "InvoiceLink": ""}, False),
        ({"AllowOnlinePayment": None}, False),
        ({}, False),
    ],
)
def test_online_payment_is_on_or_off(fields: dict[str, Any], *, takes: bool):
    assert takes_payment(fields) is takes


def sale(amount: str, **detail: Any) -> dict[str, Any]:
    return {
        "DetailType": "SalesItemLineDetail",
        "Amount": Decimal(amount),
        "SalesItemLineDetail": detail,
    }


def other(kind: str, amount: str, **fields: Any) -> dict[str, Any]:
    return {"DetailType": kind, "Amount": Decimal(amount), **fields}


def subtotal(amount: str) -> dict[str, Any]:
    return other("SubTotalLineDetail", amount)


def discount(amount: str) -> dict[str, Any]:
    return other("DiscountLineDetail", amount)


def bundle(amount: str, *lines: Any) -> dict[str, Any]:
    return other("GroupLineDetail", amount, GroupLineDetail={"Line": list(lines)})


def difference(
    total: str, *lines: Any, tax: str | None = None, currency: str = "USD", **fields: Any
) -> str | None:
    taxes = {} if tax is None else {"TxnTaxDetail": {"TotalTax": Decimal(tax)}}
    found = differing_sum({"Line": list(lines), **taxes, **fields}, Decimal(total), currency)
    return None if found is None else f"{found:f}"


@pytest.mark.parametrize(
    ("total", "lines", "tax"),
    [
        ("100.00", [sale("100.00"), subtotal("100.00")], None),
        ("108.00", [sale("100.00"), subtotal("100.00")], "8"),
        ("269.50", [sale("275.00"), subtotal("275.00"), discount("27.50")], "22.00"),
        # Shipping and a gratuity are lines after the subtotal.
        ("291.50", [sale("240"), subtotal("240"), sale("19.50"), sale("10")], "22.00"),
        ("269.50", [bundle("0", sale("1.59"), sale("267.91")), subtotal("269.50")], None),
        ("269.50", [bundle("269.50", sale("1.59"), sale("267.91")), subtotal("269.50")], None),
        ("269.50", [bundle("269.50"), subtotal("269.50")], None),
        ("10.00", [other("DescriptionOnly", "99"), sale("10.00")], None),
        ("10.00", [{"DetailType": "DescriptionOnly", "Description": "A"}, sale("10.00")], "0"),
        # Residues of QuickBooks' arithmetic, and lines that are rounded one by one.
        ("362.07", [sale("362.06999999999994")], None),
        ("10.02", [sale("3.33"), sale("3.33"), sale("3.33")], None),
        ("0", [sale("0"), subtotal("0")], "0"),
        ("-5", [sale("-5")], None),
        ("0.00", [], None),
    ],
)
def test_lines_that_come_to_the_total(total: str, lines: list[Any], tax: str | None):
    assert difference(total, *lines, tax=tax) is None


@pytest.mark.parametrize(
    ("total", "lines", "tax", "found"),
    [
        ("5000.00", [sale("100.00"), subtotal("100.00")], None, "100.00"),
        ("100.00", [sale("100.00")], "8", "108.00"),
        ("108.00", [sale("100.00")], None, "100.00"),
        ("275.00", [sale("275.00"), subtotal("275.00"), discount("27.50")], None, "247.50"),
        ("240.00", [sale("240"), subtotal("240"), sale("19.50")], None, "259.50"),
        ("269.50", [bundle("0", sale("1.59"))], None, "1.59"),
        ("100.02", [sale("100.00")], None, "100.00"),
        ("10.03", [sale("3.33"), sale("3.33"), sale("3.33")], None, "9.99"),
        # The subtotal of lines that are shown says nothing.
        ("5000.00", [sale("100.00"), subtotal("5000.00")], None, "100.00"),
    ],
)
def test_lines_that_do_not(total: str, lines: list[Any], tax: str | None, found: str):
    assert difference(total, *lines, tax=tax) == found


def test_many_lines_allow_a_hundred_units_and_no_more():
    lines = [sale("1.00")] * 10_000
    assert difference("10001.00", *lines) is None
    assert difference("10001.01", *lines) == "10000.00"


@pytest.mark.parametrize(
    ("currency", "total", "found"),
    [("JPY", "101", None), ("JPY", "102", "100"), ("KWD", "100.001", None), ("KWD", "100.01", "1")],
)
def test_the_tolerance_is_the_smallest_amount_of_the_currency(
    currency: str, total: str, found: str | None
):
    assert (difference(total, sale("100"), currency=currency) is None) is (found is None)


@pytest.mark.parametrize(
    ("total", "lines", "tax"),
    [
        # The lines net, with their tax beside them.
        ("108", [sale("100", TaxInclusiveAmt=Decimal(108))], "8"),
        ("97.20", [sale("100", TaxInclusiveAmt=Decimal(108)), discount("10")], "7.20"),
        ("97.20", [sale("100", TaxInclusiveAmt=Decimal(108)), discount("10.80")], "7.20"),
        # The lines gross.
        ("108", [sale("108")], "8"),
    ],
)
def test_the_lines_of_an_inclusive_company_are_net_or_gross(total: str, lines: list[Any], tax: str):
    assert difference(total, *lines, tax=tax, **INCLUSIVE) is None
    assert difference("5000", *lines, tax=tax, **INCLUSIVE) is not None


def test_other_companies_lines_are_net():
    assert difference("108", sale("108"), tax="8") == "116"
    assert difference("108", sale("108"), tax="8", GlobalTaxCalculation="TaxExcluded") == "116"


def test_charges_of_a_statement_are_in_the_subtotal_alone():
    assert difference("81", subtotal("75"), tax="6", **CHARGE) is None
    assert difference("91", sale("10"), subtotal("85"), tax="6", **CHARGE) is None
    assert difference("500", sale("10"), subtotal("85"), tax="6", **CHARGE) == "91"
    assert difference("81", subtotal("75"), tax="6") is None
    assert difference("500", subtotal("75"), tax="6") == "81"


@pytest.mark.parametrize(
    "lines",
    [
        [sale("10"), other("SurchargeLineDetail", "3")],
        [{"DetailType": "SalesItemLineDetail", "Amount": "ten"}],
        [{"DetailType": "SalesItemLineDetail", "Amount": True}],
        [{"DetailType": "SalesItemLineDetail", "Amount": {}}],
        [None, 7, "line"],
        [],
    ],
)
def test_lines_of_which_not_all_is_known_say_nothing(lines: list[Any]):
    assert difference("500", *lines) is None


@pytest.mark.parametrize("raw", [{}, {"Line": None}, {"Line": 5}, {"Line": [{}]}])
def test_an_invoice_without_lines_says_nothing(raw: dict[str, Any]):
    assert differing_sum(raw, Decimal(500), "USD") is None


def test_amounts_of_fifteen_digits_are_added_exactly():
    most = "999999999999.99"
    assert difference(most, sale(most)) is None
    assert difference("999999999998.99", sale(most)) == most


def recorded_invoices() -> Iterator[dict[str, Any]]:
    """Yield every invoice that the real QuickBooks has sent in the recordings."""
    with recordings_file().open("rb") as lines:
        for line in lines:
            yield from _invoices_in(exact_json.decode(line).get("body"))


def _invoices_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if {"DueDate", "Line", "TotalAmt", "CustomerRef", "MetaData"} <= value.keys():
            yield value
        for inner in value.values():
            yield from _invoices_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _invoices_in(inner)


@pytest.mark.skipif(not recordings_file().exists(), reason="the recordings are not here")
def test_the_lines_of_every_recorded_invoice_come_to_its_total():
    checked = [
        differing_sum(raw, read_invoice(raw, "USD").total_amt, "USD")
        for raw in recorded_invoices()
        if "VendorRef" not in raw
    ]
    assert len(checked) >= 100
    assert set(checked) == {None}
