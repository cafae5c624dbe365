"""Warnings: what a supplier should fix on an invoice in QuickBooks. A warning stops nothing."""

from dataclasses import dataclass
from enum import StrEnum


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
    """One thing to fix: `field` is QuickBooks' name of it, `text` tells the supplier how."""

    code: WarningCode
    field: str
    text: str


_WARNINGS = {
    WarningCode.NO_INVOICE_NUMBER: (
        "DocNumber",
        "This invoice has no number. In QuickBooks, open the invoice, fill in 'Invoice no.' "
        "and save.",
    ),
    WarningCode.NO_DUE_DATE: (
        "DueDate",
        "This invoice has no due date, so Infactor cannot show the days to payout. "
        "In QuickBooks, open the invoice, fill in 'Due date' and save.",
    ),
    WarningCode.NO_BUYER_NAME: (
        "CustomerRef",
        "This invoice names no customer, so Infactor cannot show who the buyer is. "
        "In QuickBooks, open the invoice, choose the customer and save.",
    ),
    WarningCode.NO_BUYER_EMAIL: (
        "BillEmail",
        "There is no valid e-mail address of the buyer, so the buyer cannot see this invoice in "
        "Infactor. In QuickBooks, open the customer, fill in 'Email' with the address that the "
        "buyer uses in Infactor and save: once, for all of this customer's invoices that have no "
        "other. Or, for this one alone, open the invoice, fill in 'Customer email' and save.",
    ),
    WarningCode.UNUSABLE_BILL_EMAIL: (
        "BillEmail",
        "The e-mail address on this invoice is not valid, so the one of the customer is used. "
        "In QuickBooks, open the invoice, correct 'Customer email' and save.",
    ),
    WarningCode.TOO_MANY_LINES: (
        "Line",
        "This invoice has more lines than Infactor can hold, so the last ones are not shown there. "
        "Its totals are right. To have all lines shown: In QuickBooks, open the invoice, move some "
        "of its lines to another invoice and save.",
    ),
    WarningCode.UNNAMED_CURRENCY: (
        "CurrencyRef",
        "It is not certain in which currency this invoice is: its country, its customer or its "
        "exchange rate speaks against the one of Infactor. In QuickBooks, open the invoice, "
        "correct the currency, the exchange rate or the country of the billing address, and save.",
    ),
    WarningCode.BUYER_NOT_REGISTERED: (
        "BillEmail",
        "No buyer is registered in Infactor with an e-mail address of this invoice or of its "
        "customer, so the buyer cannot see the invoice until they sign up there with it. If their "
        "address in Infactor is another one, correct it. In QuickBooks, open the customer, fill in "
        "'Email' with that address and save: once, for all of this customer's invoices that have "
        "no other. Or, for this one alone, open the invoice, fill in 'Customer email' and save.",
    ),
}


def warning(code: WarningCode) -> InvoiceWarning:
    field, text = _WARNINGS[code]
    return InvoiceWarning(code=code, field=field, text=text)
