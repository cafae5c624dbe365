"""The properties of each entity, and which of them a client may write."""

from decimal import Decimal, InvalidOperation
from typing import Any

from service.simulator.faults import invalid_query
from service.simulator.records import Json, Record

_META = ("Id", "SyncToken", "MetaData.CreateTime", "MetaData.LastUpdatedTime")
_OF_TRANSACTIONS = (
    *_META,
    "DocNumber",
    "TxnDate",
    "TotalAmt",
    "Balance",
    "CustomerRef",
    "PrivateNote",
)
_BILLED = ("CurrencyRef", "ExchangeRate", "EmailStatus", "PrintStatus", "BillEmail")

PROPERTIES: dict[str, tuple[str, ...]] = {
    "Invoice": (*_OF_TRANSACTIONS, *_BILLED, "DueDate", "SalesTermRef", "CustomerMemo", "Deposit"),
    "CreditMemo": (*_OF_TRANSACTIONS, *_BILLED, "RemainingCredit"),
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
    "Estimate": (*_OF_TRANSACTIONS, *_BILLED, "TxnStatus", "ExpirationDate"),
    "SalesReceipt": (*_OF_TRANSACTIONS, *_BILLED, "PaymentRefNum", "PaymentMethodRef"),
    "Vendor": (
        *_META, "DisplayName", "CompanyName", "GivenName", "MiddleName", "FamilyName",
        "PrintOnCheckName", "Active", "Balance", "Vendor1099", "CurrencyRef", "PrimaryEmailAddr",
    ),
    "CompanyInfo": (*_META, "CompanyName", "LegalName", "Country"),
    "JournalEntry": (
        *_META, "DocNumber", "TxnDate", "TotalAmt", "Adjustment", "PrivateNote", "CurrencyRef",
        "ExchangeRate",
    ),
    "Account": (
        *_META, "Name", "FullyQualifiedName", "Active", "SubAccount", "ParentRef",
        "Classification", "AccountType", "AccountSubType", "AcctNum", "CurrentBalance",
        "CurrencyRef",
    ),
}  # fmt: skip

# Of these queries tell how many there are in all.
COUNTED = ("Invoice", "JournalEntry")
# What answers of 2026 leave out, although other answers about the same object have it.
_HIDDEN = {
    ("Customer", "query"): ("DefaultTaxCodeRef",),
    ("Customer", "read"): ("ClientEntityId",),
    ("Customer", "write"): ("ClientEntityId", "V4IDPseudonym"),
    ("Invoice", "query"): ("InvoiceLink",),
}

ENTITY_NAMES = {entity.lower(): entity for entity in PROPERTIES}

_SPELLING = {entity: {name.lower(): name for name in names} for entity, names in PROPERTIES.items()}


def property_name(entity: str, name: str) -> str:
    """Return the property in QuickBooks' spelling; raises Fault 4001 for an unknown one."""
    found = _SPELLING[entity].get(name.lower())
    if found is None:
        raise invalid_query(f"Property {name} not found for Entity {entity}")
    return found


def field_name(entity: str, name: str) -> str:
    """Return the spelling of a property in a projection, which may be any that the entity has."""
    known = {other.lower(): other for other in SCHEMA.get(entity, ())}
    return known.get(name.lower()) or property_name(entity, name)


def shown(record: Record, entity: str, answer: str, all_fields: bool) -> Any:
    """Return the record as a query, a read or a write answers it."""
    return record.without(_HIDDEN.get((entity, answer), ())) if all_fields else record.raw


_TRANSACTION = (
    "Id", "SyncToken", "MetaData", "domain", "sparse", "status", "CustomField", "DocNumber",
    "TxnDate", "DepartmentRef", "CurrencyRef", "ExchangeRate", "PrivateNote", "LinkedTxn", "Line",
    "TxnTaxDetail", "TxnSource", "TaxFormType", "TaxFormNum", "TransactionLocationType", "Tag",
    "TxnApprovalInfo", "RecurDataRef", "RecurringInfo", "AttachableRef", "NameAndId",
    "ProjectRef", "TxnStatus", "TaxExemptionRef", "TotalAmt", "HomeTotalAmt", "CustomerRef",
)  # fmt: skip
_SALE = (
    *_TRANSACTION, "AutoDocNumber", "CustomerMemo", "BillAddr", "ShipAddr", "ShipFromAddr",
    "FreeFormAddress", "RemitToRef", "ClassRef", "SalesTermRef", "SalesRepRef", "PONumber",
    "FOB", "ShipMethodRef", "ShipDate", "TrackingNum", "GlobalTaxCalculation", "PrintStatus",
    "EmailStatus", "BillEmail", "BillEmailCc", "BillEmailBcc", "ARAccountRef", "Balance",
    "HomeBalance", "DiscountRate", "DiscountAmt", "ApplyTaxAfterDiscount", "PaymentMethodRef",
    "PaymentRefNum", "DepositToAccountRef", "DeliveryInfo", "ConvenienceFeeDetail",
    "GovtTxnRefIdentifier",
)  # fmt: skip

# Sales have these by now as well.
_NEWER = (
    "TemplateRef",
    "FinanceCharge",
    "CostEstimate",
    "IncludeInAnnualTPAR",
    "HomeRetainage",
    "RetainageBalance",
)

SCHEMA: dict[str, tuple[str, ...]] = {
    # 103 of them, as in Intuit's SDK of July 2026; a recorded refusal of 2020 counted 83.
    "Invoice": (
        *_SALE, "DueDate", "Deposit", "AllowIPNPayment", "AllowOnlinePayment",
        "AllowOnlineCreditCardPayment", "AllowOnlineACHPayment", "EInvoiceStatus",
        "ECloudStatusTimeStamp", "InvoiceEx", "InvoiceLink", "LessCIS", "callToAction",
        "invoiceStatus", "invoiceStatusLog", "PaymentDetailsMessage", "CheckPayment",
        "CreditCardPayment", "PaymentType", "AllowOnlinePayPalPayment",
        "AllowOnlineAffirmPayment", "InvoiceLinkSecurityCode", "InvoiceLinkExpiryDate",
        "AutoPayEligible", "SchedulePayEligible", "ScheduledPaymentId", "GratuityEnabled",
        "FinancingProductType", "SubscriptionPaymentsSetting", "CfdiUse", "Exportation",
        "GlobalInfo", "TxnRetainageDetail", *_NEWER,
    ),
    "CreditMemo": (*_SALE, "RemainingCredit", "InvoiceRef", *_NEWER),
    "Estimate": (
        *_SALE, "ExpirationDate", "AcceptedBy", "AcceptedDate", "DueDate", "EstimateEx", *_NEWER,
    ),
    "SalesReceipt": (
        *_SALE, "CheckPayment", "CreditCardPayment", "PaymentType", "SalesReceiptEx", *_NEWER,
    ),
    "Payment": (
        *_TRANSACTION, "ARAccountRef", "DepositToAccountRef", "PaymentMethodRef", "PaymentRefNum",
        "UnappliedAmt", "ProcessPayment", "CreditCardPayment", "CheckPayment", "PaymentType",
    ),
    "Customer": (
        "Id", "SyncToken", "MetaData", "domain", "sparse", "status", "CustomField", "Title",
        "GivenName", "MiddleName", "FamilyName", "Suffix", "FullyQualifiedName", "CompanyName",
        "DisplayName", "PrintOnCheckName", "Active", "PrimaryPhone", "AlternatePhone", "Mobile",
        "Fax", "PrimaryEmailAddr", "WebAddr", "DefaultTaxCodeRef", "Taxable", "BillAddr",
        "ShipAddr", "Notes", "Job", "BillWithParent", "ParentRef", "Level", "SalesTermRef",
        "PaymentMethodRef", "Balance", "OpenBalanceDate", "BalanceWithJobs", "CurrencyRef",
        "PreferredDeliveryMethod", "ResaleNum", "ARAccountRef", "IsProject", "ClientEntityId",
        "PrimaryTaxIdentifier", "TaxExemptionReasonId", "CustomerTypeRef", "Source",
        "V4IDPseudonym", "GSTIN", "GSTRegistrationType", "BusinessNumber", "TaxRegime",
        "AltContactName", "ContactName", "RootCustomerRef", "SalesRepRef", "TaxGroupCodeRef",
        "TaxRateRef", "CCDetail", "PriceLevelRef", "CreditLimit", "AcctNum", "OverDueBalance",
        "TotalRevenue", "TotalExpense", "JobInfo", "TDSEnabled", "CustomerEx",
        "SecondaryTaxIdentifier", "IntuitId", "Organization", "UserId", "OtherAddr",
        "OtherContactInfo", "AttachableRef", "NameAndId", "source",
    ),
    "Vendor": (
        "Id", "SyncToken", "MetaData", "domain", "sparse", "status", "CustomField", "Title",
        "GivenName", "MiddleName", "FamilyName", "Suffix", "CompanyName", "DisplayName",
        "PrintOnCheckName", "Active", "PrimaryPhone", "AlternatePhone", "Mobile", "Fax",
        "PrimaryEmailAddr", "WebAddr", "BillAddr", "TermRef", "AcctNum", "Vendor1099", "Balance",
        "CurrencyRef", "APAccountRef", "TaxIdentifier", "TaxReportingBasis", "BillRate",
        "CostRate", "VendorPaymentBankDetail", "ClientEntityId", "V4IDPseudonym", "GSTIN",
        "GSTRegistrationType", "BusinessNumber", "HasTPAR", "T4AEligible", "T5018Eligible",
        "Source", "Notes",
    ),
}  # fmt: skip

# Computed by QuickBooks; ignored when a client sends them back.
_OWN = {"Id", "SyncToken", "MetaData", "domain", "sparse", "status"}
_OWN_OF_SALES = {
    "TotalAmt", "HomeTotalAmt", "Balance", "HomeBalance", "LinkedTxn", "InvoiceLink",
    "RemainingCredit", "DeliveryInfo",
}  # fmt: skip
READ_ONLY: dict[str, set[str]] = {
    "Invoice": _OWN | _OWN_OF_SALES,
    # The last two are taken and never shown, as a recorded one of 2013 has it.
    "CreditMemo": _OWN | _OWN_OF_SALES | {"DepositToAccountRef", "PaymentMethodRef"},
    "Payment": _OWN | {"UnappliedAmt", "HomeTotalAmt", "LinkedTxn"},
    "Customer": _OWN | {"Balance", "BalanceWithJobs", "FullyQualifiedName", "Level"},
    "Estimate": _OWN | _OWN_OF_SALES,
    "SalesReceipt": _OWN | _OWN_OF_SALES,
    "Vendor": _OWN | {"Balance"},
}
# A full update that leaves these out does not empty them.
KEPT = ("DocNumber",)

LENGTHS: dict[str, int] = {
    "DocNumber": 21,
    "PrivateNote": 4000,
    "PaymentRefNum": 21,
    "DisplayName": 500,
    "CompanyName": 100,
    "GivenName": 100,
    "FamilyName": 100,
}
ADDRESS_LENGTH = 100


_NUMBERS = {
    "Amount", "TotalAmt", "Qty", "UnitPrice", "ExchangeRate", "TotalTax", "DiscountPercent",
    "Deposit", "TaxPercent", "NetAmountTaxable", "Quantity",
}  # fmt: skip


def with_numbers(value: Any) -> Any:
    """Return the value with amounts as numbers, also those in text; raises ValueError."""
    if isinstance(value, list):
        return [with_numbers(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {k: _number(k, v) if k in _NUMBERS else with_numbers(v) for k, v in value.items()}


def _number(name: str, value: Any) -> Any:
    if value is None or value == "" or (isinstance(value, int | Decimal) and value is not True):
        return value
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{name} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{name} is not a number")
    return number


def writable(entity: str, given: Json) -> Json:
    """Return the writable properties of a client's object; None for those that it empties."""
    kept = {k: v for k, v in given.items() if k not in READ_ONLY[entity]}
    return {k: None if v in (None, "", {}) else v for k, v in kept.items()}
