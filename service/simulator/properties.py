"""Which properties a query may name, per entity."""

from service.simulator.faults import invalid_query

_META = ("Id", "SyncToken", "MetaData.CreateTime", "MetaData.LastUpdatedTime")
_TRANSACTION = (*_META, "DocNumber", "TxnDate", "TotalAmt", "Balance", "CustomerRef", "PrivateNote")
_BILLED = ("CurrencyRef", "ExchangeRate", "EmailStatus", "PrintStatus", "BillEmail")

PROPERTIES: dict[str, tuple[str, ...]] = {
    "Invoice": (*_TRANSACTION, *_BILLED, "DueDate", "SalesTermRef", "CustomerMemo", "Deposit"),
    "CreditMemo": (*_TRANSACTION, *_BILLED, "RemainingCredit"),
    "Payment": (
        *_META, "TxnDate", "TotalAmt", "UnappliedAmt", "CustomerRef", "PaymentRefNum",
        "PaymentMethodRef", "PrivateNote", "CurrencyRef",
    ),
    "Customer": (
        *_META, "DisplayName", "FullyQualifiedName", "CompanyName", "GivenName", "MiddleName",
        "FamilyName", "PrintOnCheckName", "Active", "Job", "ParentRef", "Level", "Balance",
        "BalanceWithJobs", "BillWithParent", "Taxable", "CurrencyRef", "PrimaryEmailAddr",
        "PreferredDeliveryMethod",
    ),
    "CompanyInfo": (*_META, "CompanyName", "LegalName", "Country"),
}  # fmt: skip

ENTITY_NAMES = {entity.lower(): entity for entity in PROPERTIES}

_SPELLING = {entity: {name.lower(): name for name in names} for entity, names in PROPERTIES.items()}


def property_name(entity: str, name: str) -> str:
    """Return the property as QuickBooks writes it; raises Fault 4001 for one it does not know."""
    found = _SPELLING[entity].get(name.lower())
    if found is None:
        raise invalid_query(f"Property {name} not found for Entity {entity}")
    return found
