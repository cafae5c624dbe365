"""One change that QuickBooks announced, or anything else that came with a valid signature."""

import hashlib
import re
from datetime import datetime
from typing import Literal

from msgspec import Struct

from service.kit import exact_json

# Webhook types write entities in lower case; the API wants them in Pascal case (reference 1.3).
_ENTITIES = (
    "Account",
    "Bill",
    "BillPayment",
    "Budget",
    "ChangeOrder",
    "Class",
    "CompanyCurrency",
    "CreditMemo",
    "Currency",
    "Customer",
    "Department",
    "Deposit",
    "Employee",
    "Estimate",
    "Invoice",
    "Item",
    "JournalCode",
    "JournalEntry",
    "Payment",
    "PaymentMethod",
    "Preferences",
    "Purchase",
    "PurchaseOrder",
    "RefundReceipt",
    "SalesReceipt",
    "TaxAgency",
    "Term",
    "TimeActivity",
    "Transfer",
    "Vendor",
    "VendorCredit",
)
_PASCAL = {name.lower(): name for name in _ENTITIES}

# CloudEvents says `void` (seen) where prose says `voided`; the legacy format has its own forms.
_OPERATIONS = {
    "create": "created",
    "created": "created",
    "update": "updated",
    "updated": "updated",
    "delete": "deleted",
    "deleted": "deleted",
    "void": "voided",
    "voided": "voided",
    "email": "emailed",
    "emailed": "emailed",
    "merge": "merged",
    "merged": "merged",
}

_TRANSACTION = frozenset({"created", "updated", "deleted", "voided", "emailed"})

FOLLOWED: dict[str, frozenset[str]] = {
    "Invoice": _TRANSACTION,
    "Customer": frozenset({"created", "updated", "deleted", "merged"}),
    "Payment": _TRANSACTION,
    "CreditMemo": _TRANSACTION,
}
"""The entities that this service acts upon, each with its operations."""

Format = Literal["cloudevents", "legacy", "unknown"]

_LONGEST_TEXT = 128
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Event(Struct, frozen=True, kw_only=True):
    """Names what changed; the data itself is always read again.

    `problem` says why the event cannot be acted upon. Without one, `realm_id` and `entity_id` are
    digits, and `entity` and `operation` are in FOLLOWED. Texts have at most 128 characters and no
    control characters. `digest` is the same for repeated deliveries of an event.
    """

    format: Format
    digest: str
    event_id: str | None = None
    realm_id: str | None = None
    entity: str | None = None
    operation: str | None = None
    entity_id: str | None = None
    deleted_id: str | None = None
    changed_at: datetime | None = None
    problem: str | None = None

    def __repr__(self) -> str:
        """Leave out the company: no log may name it."""
        return f"<{self.format} event: {self.entity} {self.entity_id} {self.operation}>"


def bounded(text: str | None) -> str | None:
    """Return the text, cut, without control characters, which PostgreSQL or a terminal may not
    take.
    """
    if text is None or (text.isprintable() and len(text) <= _LONGEST_TEXT):
        return text  # nearly always
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text[:_LONGEST_TEXT])


def digest_of(*parts: str) -> str:
    """Return the SHA-256 of the parts as a JSON array, so that no two lists of parts are equal."""
    return hashlib.sha256(exact_json.encode(parts)).hexdigest()


def digest_of_bytes(raw: bytes) -> str:
    """Return the digest of something that has no readable identity."""
    return digest_of("bytes", hashlib.sha256(raw).hexdigest())


def entity_name(written: str) -> str:
    """Return the Pascal-case name of an entity; an unknown one stays as written."""
    return _PASCAL.get(written.lower(), written)


def operation_name(written: str) -> str:
    """Return the past-tense name of an operation; an unknown one stays as written."""
    return _OPERATIONS.get(written.lower(), written)
