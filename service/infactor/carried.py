"""JSON from QuickBooks that goes into an Infactor document as it came.

Three things cannot be carried: U+0000, which PostgreSQL refuses in text and JSON; numbers that
no invoice holds, whose conversion to a double or a column would fail or never end; and nesting
that would exhaust the stack of whoever reads the document.
"""

from decimal import Decimal
from typing import Any

from service.errors import Unmappable

_MAX_DEPTH = 50
_MAX_INTEGER_DIGITS = 15
_MAX_DECIMALS = 40  # QuickBooks has sent residues of its own arithmetic such as 5.68E-14

MOST_MONEY = 9_000_000_000_000
"""More than any invoice is worth: SQLite keeps amounts as millionths in 64 bits."""


def carried(value: Any, field: str, _depth: int = 0) -> Any:
    """Return a deep copy of `value` without NUL characters; `field` is its path, for errors.

    Raises Unmappable where a number is out of all proportion or the nesting is too deep.
    """
    if _depth > _MAX_DEPTH:
        raise Unmappable(field, "nested too deeply")
    match value:
        case None | bool():
            return value
        case str():
            return without_nul(value)
        case int() | Decimal():
            check_size(value, field)
            return value
        case dict():
            named = ((without_nul(key), inner) for key, inner in value.items())
            return {key: carried(inner, f"{field}.{key}", _depth + 1) for key, inner in named}
        case list():
            return [carried(inner, f"{field}[{i}]", _depth + 1) for i, inner in enumerate(value)]
    raise Unmappable(field, f"a {type(value).__name__} is not exact JSON")


def without_nul(text: str) -> str:
    """Return `text` without the one character that PostgreSQL cannot store."""
    return text.replace("\0", "")


def check_size(value: Decimal | int, field: str) -> None:
    """Return only when `value` is a number that an invoice may hold; else raise Unmappable."""
    # Exponents are compared before any arithmetic: int(Decimal("1E+999999999")) never returns.
    if isinstance(value, int):
        in_range = abs(value) < 10**_MAX_INTEGER_DIGITS
    elif not value.is_finite():
        raise Unmappable(field, "not a finite number")
    else:
        exponent = value.as_tuple().exponent
        in_range = (
            value.adjusted() < _MAX_INTEGER_DIGITS
            and isinstance(exponent, int)
            and exponent >= -_MAX_DECIMALS
        )
    if not in_range:
        raise Unmappable(field, "number out of range")


def check_money(value: Decimal | int, field: str) -> None:
    """Return only when `value` is an amount that the record can hold; else raise Unmappable."""
    check_size(value, field)
    if not -MOST_MONEY < value < MOST_MONEY:
        raise Unmappable(field, "number out of range")


def number(value: object, field: str) -> Decimal:
    """Return a JSON number, or the numeric text that QuickBooks may put in its place.

    Raises Unmappable for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise Unmappable(field, "not a number")
    try:
        result = Decimal(value)
    except ArithmeticError as e:
        raise Unmappable(field, "not a number") from e
    check_size(result, field)
    return result
