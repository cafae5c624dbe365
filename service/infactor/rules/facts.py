"""What the rules know of an invoice: kept beside its record, so that judging reads no original."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from service.infactor.mapping import Mapped
from service.infactor.rules.original import differing_sum, takes_payment, was_sent

_NOTHING = Decimal(0)
_MOST_EDITS = 20


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
    created_ms: int = 0
    """MetaData.CreateTime, in milliseconds since 1970."""
    txn_date: date | None = None
    due_date: date | None = None
    number: str = ""
    customer_id: str | None = None
    buyer: str = ""
    emails: tuple[str, ...] = ()
    """Every valid address that QuickBooks gives for the buyer, the document's own first."""
    sent: bool | None = None
    """It was e-mailed or printed; None where QuickBooks does not say."""
    online_payment: bool = False
    lines_total: Decimal | None = None
    """What lines, discounts and tax come to, if that is not the total."""
    edited: tuple[date, ...] = ()
    """The days on which its amount, currency, buyer or due date was found changed, the last ones,
    in INFACTOR_TIMEZONE; a day may stand there twice."""


def facts_of(
    raw: Mapping[str, Any],
    mapped: Mapped,
    *,
    called_void: bool,
    today: date,
    before: InvoiceFacts | None = None,
) -> InvoiceFacts:
    """Return the facts of an invoice as QuickBooks gave it and as it was mapped.

    `called_void`: a notice has said that it was voided, which counts only while its total is 0.
    `before`: its facts as they are recorded so far; `today` is the day on which it was read.
    """
    return InvoiceFacts(
        total=mapped.total,
        balance=mapped.balance,
        currency=mapped.currency,
        void=mapped.total == 0 and (mapped.voided or called_void),
        created=date.fromisoformat(mapped.document["invoiceDate"]),
        created_ms=mapped.document["created"],
        txn_date=mapped.txn_date,
        due_date=mapped.due_date,
        number=mapped.doc_number or "",
        customer_id=mapped.customer_id,
        buyer=mapped.document["companyName"],
        emails=mapped.buyer_emails,
        sent=was_sent(raw),
        online_payment=takes_payment(raw),
        lines_total=differing_sum(raw, mapped.total, mapped.currency),
        edited=_edits(mapped, before, today),
    )


def _edits(mapped: Mapped, before: InvoiceFacts | None, today: date) -> tuple[date, ...]:
    if before is None:
        return ()
    known = (before.total, before.currency, before.customer_id, before.due_date)
    found = (mapped.total, mapped.currency, mapped.customer_id, mapped.due_date)
    edits = before.edited if known == found else (*before.edited, today)
    return edits[-_MOST_EDITS:]


_decoder = msgspec.json.Decoder(InvoiceFacts)


def encoded(facts: InvoiceFacts) -> str:
    """Return the facts as the text of a column; equal facts give equal texts."""
    return msgspec.json.encode(facts).decode()


def decoded(text: str) -> InvoiceFacts:
    """Return the facts of such a text; an empty one is of an invoice that was never read."""
    return _decoder.decode(text) if text else InvoiceFacts()
