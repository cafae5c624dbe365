"""The lines of an invoice, completed so that Infactor's page can print them.

That page shows the top-level sales lines only and prints Qty times UnitPrice, never Amount. A
line in which QuickBooks left one out, as it may, would read "$NaN", and so would the totals.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from service.errors import Unmappable
from service.infactor.carried import check_size, number

_SALES = "SalesItemLineDetail"
_WIDE = Context(prec=80, rounding=ROUND_HALF_UP)
_UNIT = Decimal("1E-7")  # QuickBooks' own unit prices have at most seven decimals


def completed(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines in which every sales line has Qty and UnitPrice; the input stays as it is.

    Keys are only added, never changed; a null counts as left out.
    """
    return [_completed(line, f"Line[{i}]") for i, line in enumerate(lines)]


def _completed(line: dict[str, Any], field: str) -> dict[str, Any]:
    if line.get("DetailType") != _SALES:
        return line
    detail = line.get(_SALES)
    if detail is None:
        detail = {}
    elif not isinstance(detail, dict):
        raise Unmappable(f"{field}.{_SALES}", "not an object")
    return {**line, _SALES: {**detail, **_additions(line.get("Amount"), detail, field)}}


def _additions(raw_amount: object, detail: dict[str, Any], field: str) -> dict[str, Any]:
    """Return what is missing of Qty and UnitPrice, from the other one and the line's amount."""
    amount = _number(raw_amount, f"{field}.Amount") or Decimal(0)
    qty = _number(detail.get("Qty"), f"{field}.{_SALES}.Qty")
    price = _number(detail.get("UnitPrice"), f"{field}.{_SALES}.UnitPrice")
    if qty is None and price is None:
        return {"Qty": 1, "UnitPrice": amount}
    if qty is not None and price is None:
        return {"UnitPrice": _quotient(amount, qty, 0, f"{field}.Amount")}
    if price is not None and qty is None:
        return {"Qty": _quotient(amount, price, 1, f"{field}.Amount")}
    return {}


def _number(value: object, field: str) -> Decimal | None:
    return None if value is None else number(value, field)


def _quotient(amount: Decimal, divisor: Decimal, of_zero: int, field: str) -> Decimal:
    """Return amount / divisor to seven decimals without trailing zeros, or `of_zero` for x / 0."""
    if not divisor:
        return Decimal(of_zero)
    result = _WIDE.quantize(_WIDE.divide(amount, divisor), _UNIT)
    check_size(result, field)
    if result == result.to_integral_value():
        return Decimal(int(result))  # normalize() would write 100 as 1E+2
    return result.normalize()
