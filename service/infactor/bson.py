"""Converts exact JSON to the types that Infactor's old driver can read, and back.

That driver cuts off a document at a Decimal128 and reads whole numbers beyond 2^53 as text. So
every number is stored as a double, as Infactor itself does.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

MOST_BYTES = 15_000_000
"""Limit of our document; the rest of MongoDB's 16 MB is for what Infactor adds."""

_HEADER = 5  # of a document: its length, and the zero at its end
_FIELD = 2  # the type before a name, and the zero behind it
_NUMBER = 8

_AS_THEY_ARE = frozenset({str, bool, type(None)})
_NUMBERS = frozenset({int, Decimal})


def to_bson(value: Any) -> Any:
    """Return exact JSON in stored types: numbers as doubles, names that MongoDB 4.2 allows.

    A leading `$` and dots in names become full-width characters.
    """
    kind = type(value)
    if kind is dict:
        return {
            name if name.isidentifier() else _allowed(name): (
                inner if type(inner) in _AS_THEY_ARE else to_bson(inner)
            )
            for name, inner in value.items()
        }
    if kind is list:
        return [to_bson(inner) for inner in value]
    if kind in _NUMBERS:
        return float(value)
    if kind in _AS_THEY_ARE:
        return value
    raise TypeError(f"{kind.__name__} is not exact JSON")


def from_bson(value: Any) -> Any:
    """Return a stored value as exact JSON; other types, such as an ObjectId, as their text.

    A double becomes the shortest decimal that gives it, or a whole number.
    """
    match value:
        case bool() | None | str() | int():
            return value
        case float():
            return _number(value)
        case datetime():
            return value.isoformat()
        case dict():
            return {str(name): from_bson(inner) for name, inner in value.items()}
        case list():
            return [from_bson(inner) for inner in value]
    return str(value)


def _number(value: float) -> int | Decimal | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else Decimal(repr(value))


def _allowed(name: str) -> str:
    if "." in name:
        name = name.replace(".", "\N{FULLWIDTH FULL STOP}")
    return f"\N{FULLWIDTH DOLLAR SIGN}{name[1:]}" if name.startswith("$") else name


def size(value: Any) -> int:
    """Return the size in bytes of exact JSON as BSON, with every number a double (bsonspec.org)."""
    match value:
        case None:
            return 0
        case bool():
            return 1
        case str():
            return _HEADER + len(value.encode())
        case int() | Decimal():
            return _NUMBER
        case Mapping():
            fields = (_FIELD + len(name.encode()) + size(inner) for name, inner in value.items())
            return _HEADER + sum(fields)
        case _:
            inner = (_FIELD + len(str(at)) + size(item) for at, item in enumerate(value))
            return _HEADER + sum(inner)


def shortened(items: Sequence[Any], room: int) -> list[Any]:
    """Return as many of the first items as fit, as an array, into `room` bytes."""
    left = room - _HEADER
    for at, item in enumerate(items):
        left -= _FIELD + len(str(at)) + size(item)
        if left < 0:
            return list(items[:at])
    return list(items)
