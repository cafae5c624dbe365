"""An invoice as its supplier sees it: the row of the list, and its status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from service.database.tables import Document, Invoice
from service.domain import RuleCode
from service.infactor.document_lifecycle import MARKER, is_withdrawn
from service.infactor.quickbooks_records import calendar_date
from service.infactor.rules.catalogue import code_of, sentence
from service.infactor.warnings import WarningCode
from service.infactor.wording import days_to_payout, status

Found = tuple[Invoice, Document | None]


@dataclass(frozen=True, slots=True)
class InvoiceStatus:
    """A status in words, with its hold; `withdrawn`: Infactor had it before the hold applied."""

    words: str
    hold: RuleCode | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class ListedInvoice:
    """One row of the list: the columns of Infactor's dashboard, and the balance."""

    id: str
    connection_id: str
    number: str
    buyer: str
    title: str
    amount: Any
    currency: str
    balance_currency: str
    balance: Decimal | None
    days: int
    due: str
    payout: str
    status: InvoiceStatus
    warnings: int
    changed: bool


def row(found: Found, currency: str, today: date, *, changed: bool = False) -> ListedInvoice:
    """Return the row of the list; `changed`: it differs from what was approved in Infactor.

    An invoice that names no currency is in `currency`.
    """
    invoice, _ = found
    shown, where = fields(found), status_of(found)
    return ListedInvoice(
        id=invoice.id,
        connection_id=invoice.connection_id,
        number=shown["invoiceNo"],
        buyer=shown["companyName"],
        title=shown["purchaseTitle"],
        amount=shown["invoiceAmount"],
        currency=currency_of(found, currency),
        balance_currency=invoice.currency or currency,
        balance=invoice.balance,
        days=0 if where.hold else days_to_payout(shown["payableDate"], today),
        due=shown["payableDate"],
        payout="-" if where.hold else payout(shown["payableDate"], today),
        status=where,
        warnings=len(to_mend(invoice)),
        changed=changed,
    )


def to_mend(invoice: Invoice) -> Sequence[Mapping[str, Any]]:
    """Return the warnings that the supplier should fix; for a held invoice, only the reason."""
    if invoice.hold == RuleCode.CURRENCY:
        return [one for one in invoice.warnings if one["code"] == WarningCode.UNNAMED_CURRENCY]
    return [] if invoice.hold else [*invoice.warnings, *invoice.delivery_warnings]


def currency_of(found: Found, currency: str) -> str:
    """Return the document's currency, which was approved, rather than QuickBooks' present one."""
    invoice, document = found
    return (document and document.currency) or invoice.currency or currency


def payout(due: str, today: date) -> str:
    """Return the days until an invoice is due, "today", "overdue", or "-" without a date."""
    day = calendar_date(due)
    if day is None:
        return "-"
    if day > today:
        return f"{days_to_payout(due, today):,}"
    return "today" if day == today else "overdue"


def fields(found: Found) -> Mapping[str, Any]:
    """Return Infactor's document, or the one that it would have.

    Fields that were removed there, or got another type, are as recorded.
    """
    invoice, document = found
    mapped = {**(invoice.mapped or {}), "invoiceId": invoice.document_id}
    if document is None:
        return mapped
    theirs = {
        name: value
        for name, value in document.document.items()
        if name not in mapped or _kind(value) == _kind(mapped[name])
    }
    return {**mapped, **theirs}


def _kind(value: Any) -> type:
    """Return the JSON type of a value; numbers with and without decimals are one type."""
    kind = type(value)
    return Decimal if kind is int else kind


def status_of(found: Found) -> InvoiceStatus:
    """Return Infactor's word for the invoice's state, or why it is not there."""
    invoice, document = found
    if document is None and invoice.old_rows_held:
        return InvoiceStatus("Not offered: Infactor has an older copy of it")
    if document is None:
        return _held(invoice.hold) if invoice.hold else InvoiceStatus("On its way to Infactor")
    if not is_withdrawn(document.document):
        return InvoiceStatus(status(document.state))
    # The marker keeps the first reason; the record has the present one.
    return _held(invoice.hold or code_of(document.document[MARKER]), withdrawn=True)


def _held(name: str, *, withdrawn: bool = False) -> InvoiceStatus:
    hold = RuleCode(name)
    return InvoiceStatus(sentence(hold), hold, withdrawn)
