"""JSON in which a number stays the decimal that was written.

QuickBooks sends money as JSON numbers. A binary float on the way would change cents, so numbers
with a fraction decode to `Decimal` and encode back to the digits that came in.
"""

from decimal import Decimal
from typing import Any

import msgspec

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(data: bytes | str) -> Any:
    """Return the JSON value, with `Decimal` for every number that has a fraction or exponent.

    Raises ValueError when `data` is not JSON.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, ArithmeticError, RecursionError, UnicodeDecodeError) as e:
        raise ValueError(f"not JSON: {e}") from e


def encode(value: Any) -> bytes:
    """Return compact JSON with keys in the order given and decimals as plain numbers."""
    return _encoder.encode(value)
