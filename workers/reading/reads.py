"""What was read, as data for recording; nothing here calls QuickBooks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from service.errors import SyncError, Unmappable
from service.kit import exact_json
from service.quickbooks.entity import Entity, entity
from service.store.customers import CustomerRead

# The same limit as for the ids of invoices.
_LONGEST_ID = 18


@dataclass(frozen=True)
class Read:
    """One object as QuickBooks sent it, and the fetch number of that read.

    What several steps ask for is found out once.
    """

    raw: dict[str, Any]
    fetch_number: int

    @cached_property
    def entity(self) -> Entity:
        """The object's identity and version; raises Unmappable."""
        return entity(self.raw)

    @cached_property
    def changed_at(self) -> datetime | None:
        """The second of the object's last change, or None if it names none."""
        try:
            return self.entity.last_updated.replace(microsecond=0)
        except Unmappable:
            return None

    @cached_property
    def customer_id(self) -> str | None:
        """The id of the invoice's customer, or None if it names none that is an id."""
        return id_in(self.raw, "CustomerRef")

    @cached_property
    def text(self) -> bytes:
        """All of the object as JSON, with every number's digits."""
        return exact_json.encode(self.raw)


class Place(str):
    """Where an unreadable invoice is, in words; its Id is not known.

    `since` is when the readable one before it changed; None if there is none.
    """

    __slots__ = ("since",)

    def __new__(cls, words: str, since: datetime | None) -> "Place":
        """Return the words with the time."""
        place = super().__new__(cls, words)
        place.since = since
        return place

    since: datetime | None


@dataclass
class InvoiceReads:
    """What QuickBooks answered about some invoices.

    `gone`: a single read answered 610. `failed`: QuickBooks cannot show it. `unnamed`: the same,
    but only the place is known, not the Id.
    """

    found: list[Read] = field(default_factory=list)
    gone: dict[str, int] = field(default_factory=dict)  # id -> fetch number
    failed: dict[str, SyncError] = field(default_factory=dict)
    unnamed: dict[Place, SyncError] = field(default_factory=dict)


@dataclass(kw_only=True)
class CompleteReads(InvoiceReads):
    """Invoices with their customers by id: together with the cache, all that recording needs."""

    customers: Mapping[str, CustomerRead]


def id_in(raw: dict[str, Any], name: str) -> str | None:
    """Return the id in the reference of this name, or None if it holds none."""
    reference = raw.get(name)
    value = reference.get("value") if isinstance(reference, dict) else None
    return value if isinstance(value, str) and is_id(value) else None


def is_id(text: str) -> bool:
    """Return whether QuickBooks accepts this text as an id."""
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID
