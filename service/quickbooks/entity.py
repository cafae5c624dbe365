"""What every QuickBooks object has: id, version, time of its last change (reference 4.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from service.errors import Unmappable

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)", re.ASCII)

# Fits a 64-bit column.
_LONGEST_NUMBER = 18


@dataclass(frozen=True, slots=True)
class Entity:
    """An object's identity and version; `raw` is all of it as QuickBooks sent it."""

    id: str
    sync_token: int
    last_updated: datetime
    raw: dict[str, Any] = field(repr=False)


def entity(raw: dict[str, Any]) -> Entity:
    """Return the object with its version; raises Unmappable, which never quotes a value."""
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
        return parse_instant(value)
    except ValueError as e:
        raise Unmappable(name, str(e)) from e


@lru_cache(maxsize=4096)  # a row's time is asked for several times, and many rows share theirs
def parse_instant(text: str) -> datetime:
    """Return the instant in UTC, cut to microseconds.

    QuickBooks writes 0 to 9 fractional digits, and `Z`, `-07:00` or `-0700` (reference 1.2, 1.3).
    Raises ValueError, which does not quote the text.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError("is not a time with an offset")
    if not "1970" < text[:4] < "9000":
        raise ValueError("is not a time of our days")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a time that exists") from None


def quickbooks_time(instant: datetime) -> str:
    """Return the instant as queries need it: UTC, `Z`, rounded down to skip no change."""
    if instant.tzinfo is None:
        raise ValueError("a time without a zone is no instant")
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
