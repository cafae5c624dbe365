"""What every QuickBooks object has in common, whatever it describes (reference 4.1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.errors import Unmappable
from service.quickbooks.moments import moment

# Fits a 64-bit column.
_LONGEST_NUMBER = 18


@dataclass(frozen=True, slots=True)
class Entity:
    """An object's identity and version; `raw` is all of it, as QuickBooks sent it."""

    id: str
    sync_token: int
    last_updated: datetime
    raw: dict[str, Any] = field(repr=False)


def entity(raw: dict[str, Any]) -> Entity:
    """Return the object with its version; raises Unmappable, which never repeats a value."""
    meta = raw.get("MetaData")
    updated = meta.get("LastUpdatedTime") if isinstance(meta, dict) else None
    return Entity(
        id=_digits(raw, "Id"),
        sync_token=int(_digits(raw, "SyncToken")),
        last_updated=_instant("MetaData.LastUpdatedTime", updated),
        raw=raw,
    )


def _digits(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if value is None:
        raise Unmappable(name, "is missing")
    if not (isinstance(value, str) and value.isascii() and value.isdigit()):
        raise Unmappable(name, "is not text of digits")
    if len(value) > _LONGEST_NUMBER:
        raise Unmappable(name, "is too long")
    return value


def _instant(name: str, value: object) -> datetime:
    if value is None:
        raise Unmappable(name, "is missing")
    if not isinstance(value, str):
        raise Unmappable(name, "is not text")
    try:
        return moment(value)
    except ValueError as e:
        raise Unmappable(name, str(e)) from e
