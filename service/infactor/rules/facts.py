"""What the rules know of an invoice: kept beside its record, so that judging reads no original."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from service.infactor.mapping import Mapped
from service.infactor.rules.raw_invoice import differing_sum, takes_payment, was_sent

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
    total_before_void: Decimal | None = None
    """What it was for before it was voided, where that was ever read."""
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
    address_changed: date | None = None
    """When the first of them was last another one than before, in INFACTOR_TIMEZONE."""
    address_before: str = ""
    """Which one it was until then."""
    top_customer_id: str | None = None
    """Of the customer, or of the one to which the project or sub-customer belongs."""


def facts_of(
    raw: Mapping[str, Any],
    mapped: Mapped,
    *,
    called_void: bool,
    today: date,
    before: InvoiceFacts | None = None,
    top_customer_id: str | None = None,
) -> InvoiceFacts:
    """Return the facts of an invoice as QuickBooks gave it and as it was mapped.

    `called_void`: a notice has said that it was voided, which counts only while its total is 0.
    `before`: its facts as they are recorded so far; `today` is the day on which it was read.
    """
    changed, address_before = _change(before, mapped.buyer_emails, today)
    return InvoiceFacts(
        total=mapped.total,
        balance=mapped.balance,
        currency=mapped.currency,
        void=mapped.total == 0 and (mapped.voided or called_void),
        total_before_void=_last_total(before) if mapped.total == 0 else None,
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
        address_changed=changed,
        address_before=address_before,
        top_customer_id=top_customer_id or mapped.customer_id,
    )


def _edits(mapped: Mapped, before: InvoiceFacts | None, today: date) -> tuple[date, ...]:
    if before is None:
        return ()
    known = (before.total, before.currency, before.customer_id, before.due_date)
    found = (mapped.total, mapped.currency, mapped.customer_id, mapped.due_date)
    edits = before.edited if known == found else (*before.edited, today)
    return edits[-_MOST_EDITS:]


def _change(
    before: InvoiceFacts | None, emails: Sequence[str], today: date
) -> tuple[date | None, str]:
    """Return when the buyer's first address was last replaced, and what it was until then."""
    if before is None:
        return None, ""
    was, is_now = (some[0] if some else "" for some in (before.emails, emails))
    if was and was.casefold() != is_now.casefold():
        return today, was
    return before.address_changed, before.address_before


def _last_total(before: InvoiceFacts | None) -> Decimal | None:
    if before is None:
        return None
    return before.total if before.total > 0 else before.total_before_void


_decoder = msgspec.json.Decoder(InvoiceFacts)


def encoded(facts: InvoiceFacts) -> str:
    """Return the facts as the text of a column; equal facts give equal texts."""
    return msgspec.json.encode(facts).decode()


def decoded(text: str) -> InvoiceFacts:
    """Return the facts of such a text; an empty one is of an invoice that was never read."""
    return _decoder.decode(text) if text else InvoiceFacts()
