"""The names that Intuit uses for entities and operations, and the few that are followed."""

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
"""What this service acts upon: the entities, and of each the operations."""


def entity_name(written: str) -> str:
    """Return the Pascal-case name of an entity; one that is not known stays as written."""
    return _PASCAL.get(written.lower(), written)


def operation_name(written: str) -> str:
    """Return the past-tense name of an operation; one that is not known stays as written."""
    return _OPERATIONS.get(written.lower(), written)
