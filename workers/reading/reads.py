"""What was read, as data: what recording needs to know of it, and nothing that calls QuickBooks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.errors import SyncError
from service.store.customers import CustomerRead

# As long as the ids of invoices may be, too.
_LONGEST_ID = 18


@dataclass(frozen=True, slots=True)
class Read:
    """One object as QuickBooks wrote it, and the number of the read that brought it."""

    raw: dict[str, Any]
    fetch_number: int


@dataclass
class InvoiceReads:
    """What QuickBooks answered about some invoices.

    `gone` are those for which a read of their own answered 610; `failed` those that QuickBooks
    cannot even show. Of some of these nobody knows more than their place: `unnamed`.
    """

    found: list[Read] = field(default_factory=list)
    gone: dict[str, int] = field(default_factory=dict)  # id -> fetch number
    failed: dict[str, SyncError] = field(default_factory=dict)
    unnamed: dict[str, SyncError] = field(default_factory=dict)  # "after 144", by change


@dataclass(kw_only=True)
class CompleteReads(InvoiceReads):
    """Invoices as they were read, with the customers that were read for them, by id.

    With these and the cache, they can be recorded without another read.
    """

    customers: Mapping[str, CustomerRead]


def customer_id_of(raw_invoice: dict[str, Any]) -> str | None:
    """Return the id of the invoice's customer, if it names one that can be asked for."""
    return id_in(raw_invoice, "CustomerRef")


def id_in(raw: dict[str, Any], name: str) -> str | None:
    """Return the id that a reference of this name holds, if it is one that can be asked for."""
    reference = raw.get(name)
    value = reference.get("value") if isinstance(reference, dict) else None
    return value if isinstance(value, str) and is_id(value) else None


def is_id(text: str) -> bool:
    """Return whether QuickBooks can be asked for this id."""
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID
