"""JSON whose numbers keep their digits: 275.00 stays 275.00."""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(data: bytes | str) -> Any:
    """Return the JSON value; raises ValueError if it is not JSON."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ValueError(f"not JSON: {e}") from e


def convert(value: Any, type_: type[T]) -> T:
    """Return the value as that type; raises ValueError that says which part does not fit."""
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as e:
        raise ValueError(str(e)) from e


def encode(value: Any) -> bytes:
    """Return compact JSON in the given order, with `msgspec.Raw` parts as they are."""
    return _encoder.encode(value)
