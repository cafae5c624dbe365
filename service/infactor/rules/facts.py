"""What the rules know of an invoice: kept beside its record, so that judging reads no original."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from service.infactor.mapping import Mapped

_NOTHING = Decimal(0)


class InvoiceFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The facts of one invoice as last read; amounts in its own currency, rounded to its unit."""

    total: Decimal = _NOTHING
    balance: Decimal = _NOTHING
    currency: str | None = None
    deleted: bool = False
    void: bool = False
    """QuickBooks marks it as void, or a notice has called it so; and its total is 0."""
    created: date | None = None
    """The day of MetaData.CreateTime, in the offset that QuickBooks wrote."""
    txn_date: date | None = None
    due_date: date | None = None
    number: str = ""
    customer_id: str | None = None
    buyer: str = ""
    emails: tuple[str, ...] = ()
    """Every valid address that QuickBooks gives for the buyer, the document's own first."""


def facts_of(raw: Mapping[str, Any], mapped: Mapped, *, called_void: bool) -> InvoiceFacts:
    """Return the facts of an invoice as QuickBooks gave it and as it was mapped.

    `called_void`: a notice has said that it was voided, which counts only while its total is 0.
    """
    return InvoiceFacts(
        total=mapped.total,
        balance=mapped.balance,
        currency=mapped.currency,
        void=mapped.total == 0 and (mapped.voided or called_void),
        created=date.fromisoformat(mapped.document["invoiceDate"]),
        txn_date=mapped.txn_date,
        due_date=mapped.due_date,
        number=mapped.doc_number or "",
        customer_id=mapped.customer_id,
        buyer=mapped.document["companyName"],
        emails=mapped.buyer_emails,
    )


_decoder = msgspec.json.Decoder(InvoiceFacts)


def encoded(facts: InvoiceFacts) -> str:
    """Return the facts as the text of a column; equal facts give equal texts."""
    return msgspec.json.encode(facts).decode()


def decoded(text: str) -> InvoiceFacts:
    """Return the facts of such a text; an empty one is of an invoice that was never read."""
    return _decoder.decode(text) if text else InvoiceFacts()
