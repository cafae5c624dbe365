"""What the rules know of an invoice: kept beside its record, so that judging reads no original."""

from collections.abc import Mapping, Sequence
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
    before: InvoiceFacts | None = None,
    today: date | None = None,
    top_customer_id: str | None = None,
) -> InvoiceFacts:
    """Return the facts of an invoice as QuickBooks gave it and as it was mapped.

    `called_void`: a notice has said that it was voided, which counts only while its total is 0.
    `before`: its facts as they are recorded so far; what has changed since has changed `today`.
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
        address_changed=changed,
        address_before=address_before,
        top_customer_id=top_customer_id or mapped.customer_id,
    )


def _change(
    before: InvoiceFacts | None, emails: Sequence[str], today: date | None
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
