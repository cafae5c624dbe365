"""Amounts of money: to how many decimals, and which are the same."""

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

_WIDE = Context(prec=80, rounding=ROUND_HALF_UP)
_USUAL_DECIMALS = 2
# ISO 4217, where it is not 2.
_DECIMALS = {
    code: decimals
    for decimals, codes in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    )
    for code in codes.split()
}


_UNITS = [Decimal(1).scaleb(-decimals) for decimals in range(5)]


def round_to_minor_unit(amount: Decimal, currency: str | None) -> Decimal:
    """Return the amount to the decimals of its currency, half a unit away from zero.

    QuickBooks sends residues of its own arithmetic, such as 362.06999999999994 for 362.07. An
    amount that has no more than its decimals keeps its digits.
    """
    exact = _WIDE.quantize(amount, minor_unit(currency))
    if exact == amount:
        return amount
    return exact if exact else abs(exact)


def minor_unit(currency: str | None) -> Decimal:
    """Return the smallest amount of this currency, such as 0.01."""
    return _UNITS[_DECIMALS.get(_code(currency), _USUAL_DECIMALS)]


def same_amount(one: Any, other: Any, currency: str | None) -> bool:
    """Return whether these are the same amount of money; what is no number is only itself."""
    if not _is_number(one) or not _is_number(other):
        return bool(one == other)
    first, second = (round_to_minor_unit(Decimal(amount), currency) for amount in (one, other))
    return first == second


def same_currency(one: str | None, other: str | None) -> bool:
    """Return whether these are codes of the same currency."""
    return _code(one) == _code(other)


def _code(currency: str | None) -> str:
    return (currency or "").strip().upper()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)
