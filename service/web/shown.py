"""An invoice as a supplier sees it: the row of the table, and the words for where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from service.infactor.dashboard import days_to_payout, status
from service.infactor.document import MARKER, is_withdrawn
from service.infactor.holds import Hold, sentence
from service.store.tables import Document, Invoice

Found = tuple[Invoice, Document | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an invoice stands: `words` for people, and the hold if that is why it is not there."""

    words: str
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, with the columns of Infactor's dashboard."""

    id: str
    number: str
    buyer: str
    title: str
    amount: Any
    currency: str
    days: int
    standing: Standing
    warnings: int


def row(found: Found, currency: str, today: date) -> Row:
    """Return the table's row; `currency` is the one that an invoice without any is in."""
    invoice, _ = found
    shown = fields(found)
    return Row(
        id=invoice.id,
        number=shown["invoiceNo"],
        buyer=shown["companyName"],
        title=shown["purchaseTitle"],
        amount=shown["invoiceAmount"],
        currency=invoice.currency or currency,
        days=days_to_payout(shown["payableDate"], today),
        standing=standing(found),
        warnings=len(invoice.warnings),
    )


def fields(found: Found) -> Mapping[str, Any]:
    """Return Infactor's document, or the one that it would have."""
    invoice, document = found
    return document.document if document else invoice.mapped or {}


def standing(found: Found) -> Standing:
    """Return Infactor's word for the invoice's state, or why it is not offered there."""
    invoice, document = found
    if document is None:
        if invoice.hold is None:
            return Standing("On its way to Infactor")
        return _held(Hold(invoice.hold))
    if is_withdrawn(document.document):
        return _held(Hold(document.document[MARKER]))
    return Standing(status(document.state))


def _held(hold: Hold) -> Standing:
    return Standing(sentence(hold), hold)
