"""The types in which Infactor's old driver can read a document, and the way back to exact ones.

That driver cuts a document off at a Decimal128 and reads a whole number beyond 2^53 as text, so
every number is stored as a double, as Infactor itself does it.
"""

import math
from datetime import datetime
from decimal import Decimal
from typing import Any

_AS_THEY_ARE = frozenset({str, bool, type(None)})
_NUMBERS = frozenset({int, Decimal})


def stored(value: Any) -> Any:
    """Return exact JSON in the types of a stored document: numbers as doubles, names as allowed.

    A server of 4.2 refuses names that begin with `$` or hold a dot; they get the full-width twins.
    """
    kind = type(value)
    if kind is dict:
        return {
            name if name.isidentifier() else _allowed(name): (
                inner if type(inner) in _AS_THEY_ARE else stored(inner)
            )
            for name, inner in value.items()
        }
    if kind is list:
        return [stored(inner) for inner in value]
    if kind in _NUMBERS:
        return float(value)
    if kind in _AS_THEY_ARE:
        return value
    raise TypeError(f"{kind.__name__} is not exact JSON")


def exact(value: Any) -> Any:
    """Return a stored value as exact JSON; what is none, such as an ObjectId, as its text.

    A double says no more than the shortest decimal that gives it; one that is whole is a whole
    number.
    """
    match value:
        case bool() | None | str() | int():
            return value
        case float():
            return _number(value)
        case datetime():
            return value.isoformat()
        case dict():
            return {str(name): exact(inner) for name, inner in value.items()}
        case list():
            return [exact(inner) for inner in value]
    return str(value)


def _number(value: float) -> int | Decimal | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else Decimal(repr(value))


def _allowed(name: str) -> str:
    if "." in name:
        name = name.replace(".", "\N{FULLWIDTH FULL STOP}")
    return f"\N{FULLWIDTH DOLLAR SIGN}{name[1:]}" if name.startswith("$") else name
