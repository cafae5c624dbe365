"""Warnings: what a supplier should fix on an invoice in QuickBooks. A warning stops nothing."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class WarningCode(StrEnum):
    NO_INVOICE_NUMBER = "no_invoice_number"
    NO_DUE_DATE = "no_due_date"
    NO_BUYER_NAME = "no_buyer_name"
    NO_BUYER_EMAIL = "no_buyer_email"
    UNUSABLE_BILL_EMAIL = "unusable_bill_email"
    TOO_MANY_LINES = "too_many_lines"
    UNNAMED_CURRENCY = "unnamed_currency"
    BUYER_NOT_REGISTERED = "buyer_not_registered"


@dataclass(frozen=True, slots=True)
class InvoiceWarning:
    """One thing to fix: `field` is the API's name of it, `text` tells the supplier how.

    `value` is what QuickBooks has there instead, "" if it has nothing.
    """

    code: WarningCode
    field: str
    text: str
    value: str = ""


class _Words(NamedTuple):
    """What is said of a warning: what is wrong, what was done once it is right, and what to do."""

    field: str
    title: str
    fixed: str
    text: str


_WORDS = {
    WarningCode.NO_INVOICE_NUMBER: _Words(
        "DocNumber",
        "No invoice number",
        "Invoice number added",
        "This invoice has no number. In QuickBooks, open the invoice, enter 'Invoice no.', "
        "and save.",
    ),
    WarningCode.NO_DUE_DATE: _Words(
        "DueDate",
        "No due date",
        "Due date added",
        "This invoice has no due date, so Infactor can't show the days to payout. "
        "In QuickBooks, open the invoice, enter 'Due date', and save.",
    ),
    WarningCode.NO_BUYER_NAME: _Words(
        "CustomerRef",
        "No customer",
        "Customer added",
        "This invoice has no customer, so Infactor can't show who the buyer is. "
        "In QuickBooks, open the invoice, choose the customer, and save.",
    ),
    WarningCode.NO_BUYER_EMAIL: _Words(
        "BillEmail",
        "No valid e-mail address",
        "E-mail address added",
        "The buyer has no valid e-mail address, so they can't see this invoice. In QuickBooks, "
        "open the customer, enter the e-mail they use in Infactor, and save. This fixes all their "
        "invoices that have no e-mail address of their own.",
    ),
    WarningCode.UNUSABLE_BILL_EMAIL: _Words(
        "BillEmail",
        "The e-mail address on the invoice is not valid",
        "E-mail address corrected",
        "The e-mail address on this invoice is not valid, so we use the customer's. "
        "In QuickBooks, open the invoice, correct 'Customer email', and save.",
    ),
    WarningCode.TOO_MANY_LINES: _Words(
        "Line",
        "Too many lines",
        "Lines fit now",
        "This invoice has more lines than Infactor can show. The last ones are missing there; its "
        "totals are right. To show all lines, open the invoice in QuickBooks, move some of its "
        "lines to another invoice, and save.",
    ),
    WarningCode.UNNAMED_CURRENCY: _Words(
        "CurrencyRef",
        "The currency is not certain",
        "Currency corrected",
        "The currency of this invoice is not certain: its country, customer or exchange rate "
        "doesn't fit. In QuickBooks, open the invoice, correct the currency, the exchange rate or "
        "the country of the billing address, and save.",
    ),
    WarningCode.BUYER_NOT_REGISTERED: _Words(
        "BillEmail",
        "Not signed up to Infactor",
        "Buyer signed up",
        "This buyer hasn't signed up to Infactor with this e-mail address, so they can't see the "
        "invoice. Ask them to sign up with it. If they use a different address in Infactor, "
        "enter that one in QuickBooks: open the customer, change 'Email', and save.",
    ),
}

UNSEEN_BY_BUYER = frozenset({WarningCode.NO_BUYER_EMAIL, WarningCode.BUYER_NOT_REGISTERED})
"""While one of these stands, the buyer cannot see the invoice."""


def title(code: WarningCode) -> str:
    """Return what is wrong in a few words."""
    return _WORDS[code].title


def fixed(code: WarningCode) -> str:
    """Return what was done in a few words, once it is no longer wrong."""
    return _WORDS[code].fixed


def warning(code: WarningCode, value: str = "") -> InvoiceWarning:
    words = _WORDS[code]
    return InvoiceWarning(code=code, field=words.field, text=words.text, value=value)
