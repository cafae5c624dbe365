"""Grades the differences between a decided document and the invoice as it is now in QuickBooks.

The document is what was approved. It is never overwritten; differences become findings.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from service.domain import Hold, Severity, State
from service.infactor.document import QUICKBOOKS_OWNED


@dataclass(frozen=True, slots=True)
class Deviation:
    """One field that differs from what was approved; values as text."""

    field: str
    approved: str | None
    current: str | None
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFacts:
    """What is recorded of an invoice beside its document."""

    balance: Decimal | None
    currency: str | None
    hold: Hold | None = None
    deleted: bool = False


# Fields that follow from another one are not reported twice.
_FOLLOWING = frozenset(
    {
        *("contactName", "companyEmail"),
        *("purchaseDate", "purchaseTitle", "purchaseNo", "purchaseAmount"),
    }
)
_COMPARED = tuple(name for name in QUICKBOOKS_OWNED if name not in _FOLLOWING)
_BUYER = frozenset({"companyName", "buyerEmail"})
_TOO_LONG = frozenset({"items", "taxDetails"})
# States in which no money moves any more.
_OVER = frozenset(
    {
        State.INVOICE_REJECTED,
        State.IFACTOR_REJECTED,
        State.IFACTOR_PROPOSAL_REJECTED,
        State.INVOICE_PAID,
        State.COMPLETED,
    }
)
_LONGEST_TEXT = 300


def deviations(
    approved: Mapping[str, Any],
    mapped: Mapping[str, Any] | None,
    then: InvoiceFacts | None,
    now: InvoiceFacts,
    state: str,
) -> list[Deviation]:
    """Return the differences between the decided document and the invoice, in exact numbers.

    `then` are the facts when the document was last written, if known; `now` the present ones.
    `mapped` is None for an invoice that was never read. While money may still move, these are
    critical: void, deletion, lower amount or balance, other buyer or currency. Afterwards every
    difference is information.
    """
    found = [*_fate(now), *_fields(approved, mapped or approved)]
    if then is not None:
        found += _facts(then, now)
    if state in _OVER:
        return [Deviation(d.field, d.approved, d.current, Severity.INFO) for d in found]
    return found


def _fate(now: InvoiceFacts) -> Iterator[Deviation]:
    if now.deleted or now.hold in (Hold.DELETED, Hold.VOID):
        fate = "deleted" if now.deleted else str(now.hold)
        yield Deviation("invoice", "open", fate, Severity.CRITICAL)


def _fields(approved: Mapping[str, Any], mapped: Mapping[str, Any]) -> Iterator[Deviation]:
    for name in _COMPARED:
        before, after = approved.get(name), mapped.get(name)
        if before != after:
            texts = (None, None) if name in _TOO_LONG else (text_of(before), text_of(after))
            yield Deviation(name, *texts, _severity(name, before, after))


def _severity(name: str, before: Any, after: Any) -> Severity:
    if name in _BUYER:
        return Severity.CRITICAL
    if name == "invoiceAmount":
        return Severity.WARNING if _more(before, after) else Severity.CRITICAL
    if name == "payableDate" and str(after) > str(before):
        return Severity.WARNING
    return Severity.INFO


def _facts(then: InvoiceFacts, now: InvoiceFacts) -> Iterator[Deviation]:
    if then.currency != now.currency:
        yield Deviation("currency", then.currency, now.currency, Severity.CRITICAL)
    if then.balance is not None and now.balance is not None and then.balance != now.balance:
        lower = now.balance < then.balance
        severity = Severity.CRITICAL if lower else Severity.INFO
        yield Deviation("balance", text_of(then.balance), text_of(now.balance), severity)


def _more(before: Any, after: Any) -> bool:
    """Return whether an amount rose; False for anything but numbers."""
    numbers = (int, Decimal)
    return isinstance(before, numbers) and isinstance(after, numbers) and after > before


def text_of(value: Any) -> str | None:
    """Return a value as the text of a finding; amounts without trailing zeros."""
    if value is None:
        return None
    text = f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
    return text[:_LONGEST_TEXT]
