"""Infactor's words for the fields and states of an invoice."""

from collections.abc import Mapping
from datetime import date

from service.domain import FindingKind, RuleCode, State
from service.infactor.quickbooks_records import calendar_date
from service.infactor.rules.catalogue import CATALOGUE

_WORDING = {
    State.DRAFT: "Draft",
    State.INVOICE_CREATED: "Approval Awaited",
    State.INVOICE_REJECTED: "Rejected",
    State.INVOICE_ACCEPTED: "Approved",
    State.IFACTOR_REQUEST: "Factoring Requested",
    State.IFACTOR_REJECTED: "Rejected",
    State.IFACTOR_PROPOSED: "Proposal Received",
    State.IFACTOR_PROPOSAL_ACCEPTED: "Proposal Accepted",
    State.IFACTOR_PROPOSAL_REJECTED: "Proposal Rejected",
    State.IFACTOR_PREPAID: "In Progress",
    State.INVOICE_PAID: "In Progress",
    State.COMPLETED: "Completed",
}

LABELS = {
    "invoice": "Invoice",
    "document": "Document",
    "state": "Status",
    "invoiceNo": "Invoice no.",
    "invoiceAmount": "Amount",
    "invoiceDate": "Invoice date",
    "payableDate": "Due",
    "taxAmount": "Tax",
    "items": "Items",
    "taxDetails": "Tax by rate",
    "companyName": "Buyer",
    "buyerEmail": "Buyer's e-mail address",
    "currency": "Currency",
    "customer": "Customer",
    "balance": "Balance due",
    "cash": "Paid",
    "credit_note": "Credit note",
    "write_off": "Written off",
}
"""By field of a finding: of the document, or recorded beside it."""

_OTHERS = {
    "contactName": "Contact",
    "companyEmail": "Company's e-mail address",
    "purchaseTitle": "PO title",
    "purchaseNo": "PO no",
    "purchaseAmount": "PO amount",
    "purchaseDate": "PO date",
    "supplierName": "Supplier",
    "supplierEmail": "Supplier's e-mail address",
    "supplierAddress": "Supplier's address",
    "purchaseDocs": "PO documents",
    "grnNo": "Goods receipt no.",
    "grnDate": "Goods receipt date",
    "grnAmount": "Goods receipt amount",
    "companyType": "Company's kind",
    "companyPhone": "Company's phone",
    "qbkInvoiceId": "Id in QuickBooks",
    "invoiceId": "Id in Infactor",
    "source": "Source",
    "created": "Entered in QuickBooks",
    "buyerInvoiceRemark": "Remark",
}

AMOUNTS = frozenset({"invoiceAmount", "taxAmount", "balance", "purchaseAmount"})
WORDS = frozenset({"invoice", "state"})  # their values are words of ours or of Infactor's
DATES = frozenset({"invoiceDate", "payableDate", "purchaseDate"})

_ABOUT: Mapping[str, str] = {
    FindingKind.CHANGED: "",
    FindingKind.MOVED_ON: "moved on though held back",
    FindingKind.HURRIED: "written over just before the approval",
    FindingKind.SETTLED: "after the approval",
    FindingKind.MISSING: "gone from Infactor",
    FindingKind.DOUBLED: "in Infactor more than once",
}


def label(field: str) -> str:
    """Return the label of a document's field, or its name if it has none."""
    return LABELS.get(field) or _OTHERS.get(field, field)


def finding_words(field: str, kind: str) -> str:
    """Return a finding in words: the field, and what happened unless it merely changed."""
    if kind == FindingKind.RULE:
        return f"Approved, though {CATALOGUE[RuleCode(field)].words}"
    name, about = label(field), _ABOUT.get(kind, kind)
    return f"{name}: {about}" if about else name


def status(state: str) -> str:
    """Return Infactor's word for a state, or "-" for an unknown one."""
    return _WORDING[State(state)] if state in list(State) else "-"


def states_by_word() -> dict[str, tuple[str, ...]]:
    """Return {Infactor's word: states that it stands for}, in the order of an invoice's life."""
    found: dict[str, tuple[str, ...]] = {}
    for state, word in _WORDING.items():
        found[word] = (*found.get(word, ()), state.value)
    return found


def days_to_payout(payable_date: str, today: date) -> int:
    """Return the days left until `payable_date`, in years of 360 days, as Infactor counts them.

    `today` is the day in UTC, as on Infactor's page. 0 for past, missing and invalid dates.
    """
    due = calendar_date(payable_date)
    days = (due - today).days if due else 0
    # Rounded to the nearest day; 72/73 of a day never ends in a half.
    return max(0, (2 * days * 72 + 73) // 146)
