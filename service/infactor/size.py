"""How much room a document takes in MongoDB, which takes none of more than 16 MB."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

MOST_BYTES = 15_000_000
"""Of a whole document; the rest of the 16 MB is for what Infactor itself adds."""

_HEADER = 5  # of a document: its length, and the zero at its end
_FIELD = 2  # the type before a name, and the zero behind it
_NUMBER = 8


def size(value: Any) -> int:
    """Return the bytes of exact JSON as BSON with every number a double (bsonspec.org)."""
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
    """Return as many of the first items as fit into so many bytes, as an array."""
    left = room - _HEADER
    for at, item in enumerate(items):
        left -= _FIELD + len(str(at)) + size(item)
        if left < 0:
            return list(items[:at])
    return list(items)
