"""A JSON object of which nothing is trusted: each field is decoded alone, when it is asked for."""

from collections.abc import Mapping
from typing import Any, Self

import msgspec

# Longer ones are no ids: QuickBooks would refuse a whole query for one of them.
LONGEST_ID = 18
LONGEST_REALM_ID = 20

_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_text_decoder = msgspec.json.Decoder(str)


class Fields:
    """The fields of an object, and in `problem` the first thing found wrong with them."""

    def __init__(self, fields: Mapping[str, msgspec.Raw]) -> None:
        self.problem: str | None = None
        self._fields = fields

    @classmethod
    def of(cls, raw: bytes | msgspec.Raw | None) -> Self | None:
        """Return the fields, or None for what is not an object."""
        fields = _decoded(_fields_decoder, raw)
        return None if fields is None else cls(fields)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def blame(self, problem: str | None) -> None:
        """Keep the problem, if it is one and unless there is one already."""
        self.problem = self.problem or problem

    def given(self, **fields: msgspec.Raw | None) -> "Fields":
        """Return the same fields with some set, or taken away, from outside."""
        merged = {**self._fields, **fields}
        return Fields({name: raw for name, raw in merged.items() if raw is not None})

    def raw(self, name: str) -> msgspec.Raw | None:
        """Return the undecoded field, if there is one."""
        return self._fields.get(name)

    def nested(self, name: str) -> "Fields":
        """Return the fields of an inner object; none at all where it is missing or no object."""
        return Fields.of(self.raw(name)) or Fields({})

    def items(self, name: str) -> list[msgspec.Raw] | None:
        """Return the undecoded items of a list, or None where it is missing or no list."""
        return items_of(self.raw(name))

    def optional(self, name: str) -> str | None:
        """Return the field if it is text."""
        text: str | None = _decoded(_text_decoder, self._fields.get(name))
        return text

    def text(self, name: str) -> str | None:
        """Return a field that has to be there."""
        text: str | None = _decoded(_text_decoder, self.raw(name))
        if text is None:
            self.blame(f"{name} is {'not text' if name in self else 'missing'}")
        return text

    def id(self, name: str, longest: int = LONGEST_ID) -> str | None:
        """Return a field that has to be the id of something, as it is written."""
        text = self.text(name)
        if text is not None and len(text) > longest:
            self.blame(f"{name} is too long")
        elif text is not None and not (text.isascii() and text.isdigit()):
            self.blame(f"{name} is not digits")
        elif text is not None and text.startswith("0"):
            self.blame(f"{name} begins with a zero")
        return text


def items_of(raw: bytes | msgspec.Raw | None) -> list[msgspec.Raw] | None:
    """Return the undecoded items of a JSON list, or None for what is not a list."""
    items: list[msgspec.Raw] | None = _decoded(_items_decoder, raw)
    return items


def _decoded(decoder: msgspec.json.Decoder[Any], raw: bytes | msgspec.Raw | None) -> Any:
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        return None
