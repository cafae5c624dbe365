"""Amounts are those of a currency's own decimals, whatever residue QuickBooks leaves behind."""

from decimal import Decimal
from typing import Any

import pytest

from service.domain import RuleCode
from service.infactor.mapping import Mapped, SupplierDetails, map_invoice
from service.infactor.money import round_to_minor_unit, same_amount
from service.infactor.quickbooks_records import read_invoice
from service.kit import exact_json
from tests.builders import hold_of


def raw(total: str, balance: str, currency: str | None = None, tax: str = "0") -> Any:
    reference = f', "CurrencyRef": {{"value": "{currency}"}}' if currency else ""
    return exact_json.decode(
        f'{{"Id": "1", "MetaData": {{"CreateTime": "2026-09-29T05:58:07-07:00"}},'
        f' "TotalAmt": {total}, "Balance": {balance}, "TxnTaxDetail": {{"TotalTax": {tax}}}'
        f"{reference}}}"
    )


def mapped(*figures: Any, infactors: str = "USD") -> Mapped:
    supplier = SupplierDetails("s@example.com", "S", "local")
    return map_invoice(raw(*figures), [], supplier, "qbk-1", currency=infactors)


def hold(of: Mapped, currency: str = "USD") -> RuleCode | None:
    return hold_of(of, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "exact"),
    [
        ("362.06999999999994", "USD", "362.07"),
        ("362.0700000000001", "USD", "362.07"),
        ("362.07", "USD", "362.07"),
        ("362.0700", "USD", "362.0700"),
        ("362", "USD", "362"),
        ("0.005", "USD", "0.01"),
        ("-0.005", "USD", "-0.01"),
        ("5.68E-14", "USD", "0.00"),
        ("-5.68E-14", "USD", "0.00"),
        ("8999999999999.994", "USD", "8999999999999.99"),
        ("1234.4999999999998", "JPY", "1234"),
        ("1234.5", "JPY", "1235"),
        ("1234.9999999999999", "KRW", "1235"),
        ("99.9999999", "VND", "100"),
        ("12.3456", "KWD", "12.346"),
        ("12.345", "KWD", "12.345"),
        ("12.3454999", "BHD", "12.345"),
        ("12.34567", "CLF", "12.3457"),
        ("12.345", "XXX", "12.35"),
        ("12.345", "", "12.35"),
        ("12.345", None, "12.35"),
        ("1234.5", " jpy ", "1235"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(
    amount: str, currency: str | None, exact: str
) -> None:
    assert str(round_to_minor_unit(Decimal(amount), currency)) == exact


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Decimal("362.06999999999994"), Decimal("362.07"), True),
        (100, Decimal("100.00"), True),
        (Decimal("362.07"), Decimal("362.08"), False),
        ("362.07", Decimal("362.07"), False),
        ("rubbish", "rubbish", True),
        (None, 0, False),
        (True, 1, True),
    ],
)
def test_what_rounds_to_the_same_is_the_same(one: Any, other: Any, same: bool) -> None:
    assert same_amount(one, other, "USD") is same


@pytest.mark.parametrize(
    ("total", "balance", "currency", "held"),
    [
        ("362.07", "362.06999999999994", "USD", None),
        ("362.07", "362.0700000001", "USD", None),
        ("362.06999999999994", "362.07", None, None),
        ("362.07", "5.684341886080802e-14", "USD", "paid"),
        ("362.07", "-5.684341886080802e-14", "USD", "paid"),
        ("0.004", "0.004", "USD", "not_positive"),
        ("362.07", "362.06", "USD", "partly_paid"),
    ],
)
def test_a_residue_decides_nothing(
    total: str, balance: str, currency: str | None, held: str | None
) -> None:
    assert hold(mapped(total, balance, currency)) == held


@pytest.mark.parametrize(
    ("figures", "infactors", "amounts"),
    [
        (("362.06999999999994", "362.07", "USD", "22.000000000000004"), "USD", ("362.07", "22.00")),
        (("1234.4999999", "1234", "JPY", "99.9999999"), "JPY", ("1234", "100")),
        (("12.34499999", "12.345", "KWD", "1.0001"), "KWD", ("12.345", "1.000")),
        (("12.34499999", "12.345", None, "1.0001"), "KWD", ("12.345", "1.000")),
    ],
)
def test_amounts_go_out_rounded(
    figures: tuple[Any, ...], infactors: str, amounts: tuple[str, str]
) -> None:
    found = mapped(*figures, infactors=infactors)
    document = found.document
    total, tax = (Decimal(amount) for amount in amounts)
    assert (document["invoiceAmount"], document["purchaseAmount"]) == (total, total)
    assert (found.total, document["taxAmount"]) == (total, tax)
    assert hold(found, infactors) is None


def test_a_comparison_with_quickbooks_reads_the_same_amounts() -> None:
    found = read_invoice(raw("362.06999999999994", "0.9999999999", "JPY"), "USD")
    assert (found.total_amt, found.balance) == (Decimal(362), Decimal(1))
