"""An invoice as it is mapped: the text that the record has, decoded only where somebody looks."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypedDict

import msgspec

from service.infactor.mongo import to_bson
from service.kit import exact_json

# A value with every number a double, which is how Infactor stores it. The type has no end, so it
# ends at a depth that no invoice has.
_DEEPEST = 12
_Value: Any = str | bool | float | None
for _ in range(_DEEPEST):
    _Value = str | bool | float | None | list[_Value] | dict[str, _Value]


class _Texts(TypedDict, total=False):
    """What a delivery may know better than the record: nothing else is decoded to see that."""

    buyerEmail: Any
    companyEmail: Any
    supplierName: Any
    supplierAddress: Any


_doubles = msgspec.json.Decoder(dict[str, _Value])
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts = msgspec.json.Decoder(_Texts)


class MappedDocument(Mapping[str, Any]):
    """The mapping of Infactor's fields to exact JSON."""

    def __init__(self, text: str | bytes) -> None:
        """`text` is an object in compact JSON."""
        self.text = text

    def with_texts(self, texts: Mapping[str, str]) -> "MappedDocument":
        """Return the document with these fields set to these texts; itself if it has them."""
        if texts.items() <= _texts.decode(self.text).items():
            return self
        own = {name: exact_json.encoded(text) for name, text in texts.items()}
        return MappedDocument(exact_json.encode({**self._parts, **own}))

    @property
    def as_json(self) -> msgspec.Raw:
        """The document as the record keeps it."""
        return msgspec.Raw(self.text)

    @cached_property
    def exact(self) -> dict[str, Any]:
        """The document with the digits of its numbers."""
        found: dict[str, Any] = exact_json.decode(self.text)
        return found

    def doubles(self) -> dict[str, Any]:
        """Return the document with every number as a double, and names as they are."""
        try:
            found: dict[str, Any] = _doubles.decode(self.text)
        except msgspec.ValidationError:  # deeper than that
            return self.as_stored()
        return found

    def as_stored(self) -> dict[str, Any]:
        """Return the document as `to_bson` does: numbers as doubles, names that are allowed."""
        found: dict[str, Any] = to_bson(self.exact)
        return found

    def __getitem__(self, name: str) -> Any:
        return exact_json.decode(self._parts[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    @cached_property
    def _parts(self) -> dict[str, msgspec.Raw]:
        """The text of each field."""
        return _parts.decode(self.text)
