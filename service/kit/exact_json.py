"""JSON in which a number keeps its digits.

QuickBooks sends money as JSON numbers. A binary float would change cents, so numbers with a
fraction decode to `Decimal` and encode back to the digits that came in.
"""

from decimal import Decimal
from typing import Any

import msgspec

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(data: bytes | str | msgspec.Raw) -> Any:
    """Return the value, fractions as `Decimal`; raises ValueError for what is not JSON."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, ArithmeticError, RecursionError, UnicodeDecodeError) as e:
        raise ValueError(f"not JSON: {e}") from e


def encode(value: Any) -> bytes:
    """Return compact JSON, with keys in the order given and decimals as numbers."""
    return _encoder.encode(value)


def encoded(value: Any) -> msgspec.Raw:
    """Return the value as JSON that `encode` takes over as it is, alone or as a part."""
    return msgspec.Raw(_encoder.encode(value))
