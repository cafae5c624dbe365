"""An invoice as a supplier sees it: the row of the table, and the words for where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from service.database.tables import Document, Invoice
from service.domain import Hold
from service.infactor.document import MARKER, is_withdrawn
from service.infactor.holds import sentence
from service.infactor.source import calendar_date
from service.infactor.warnings import WarningCode
from service.infactor.wording import days_to_payout, status

Found = tuple[Invoice, Document | None]


@dataclass(frozen=True, slots=True)
class InvoiceStatus:
    """Where an invoice stands: `words` for people, and the hold if that is why it is not offered.

    `withdrawn` marks one that Infactor had before the hold applied.
    """

    words: str
    hold: Hold | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class ListedInvoice:
    """One line of the table, with the columns of Infactor's dashboard and the balance."""

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
    """Return the table's row; `currency` is the one that an invoice without any is in.

    `changed` marks one that is not any more what somebody in Infactor has decided about.
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
    """Return what its supplier has to mend: of one that is not offered anyway, only why not."""
    if invoice.hold == Hold.CURRENCY:
        return [one for one in invoice.warnings if one["code"] == WarningCode.UNNAMED_CURRENCY]
    return [] if invoice.hold else [*invoice.warnings, *invoice.delivery_warnings]


def currency_of(found: Found, currency: str) -> str:
    """Return the currency of the amounts that are shown: the document's own, if there is one.

    QuickBooks may have another by now, which nobody has agreed to.
    """
    invoice, document = found
    return (document and document.currency) or invoice.currency or currency


def payout(due: str, today: date) -> str:
    """Return in how many days an invoice is due, or in a word that it is, or was."""
    day = calendar_date(due)
    if day is None:
        return "-"
    if day > today:
        return f"{days_to_payout(due, today):,}"
    return "today" if day == today else "overdue"


def fields(found: Found) -> Mapping[str, Any]:
    """Return Infactor's document, or the one that it would have.

    Where somebody has put something of another kind into Infactor's, or taken something out, it is
    the record that is shown.
    """
    invoice, document = found
    mapped = invoice.mapped or {}
    if document is None:
        return mapped
    theirs = {
        name: value
        for name, value in document.document.items()
        if name not in mapped or _kind(value) == _kind(mapped[name])
    }
    return {**mapped, **theirs}


def _kind(value: Any) -> type:
    """Return what kind of JSON a value is; a number is one, with decimals or without."""
    kind = type(value)
    return Decimal if kind is int else kind


def status_of(found: Found) -> InvoiceStatus:
    """Return Infactor's word for the invoice's state, or why it is not offered there."""
    invoice, document = found
    if document is None and invoice.old_rows_held:
        return InvoiceStatus("Not offered: Infactor has an older copy of it")
    if document is None:
        return _held(invoice.hold) if invoice.hold else InvoiceStatus("On its way to Infactor")
    if not is_withdrawn(document.document):
        return InvoiceStatus(status(document.state))
    # The marker keeps the first reason for ever; the record has the one that holds now.
    return _held(invoice.hold or document.document[MARKER], withdrawn=True)


def _held(name: str, *, withdrawn: bool = False) -> InvoiceStatus:
    hold = Hold(name)
    return InvoiceStatus(sentence(hold), hold, withdrawn)
