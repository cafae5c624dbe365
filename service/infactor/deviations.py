"""Grades the differences between a decided document and the invoice as it is now in QuickBooks.

The document is what was approved. It is never overwritten; differences become findings.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from service.domain import RuleCode, Severity, State
from service.infactor.buyers import same_address, same_name
from service.infactor.document_lifecycle import QUICKBOOKS_OWNED
from service.infactor.money import same_amount, same_currency
from service.infactor.quickbooks_records import calendar_date
from service.infactor.rules.catalogue import public
from service.infactor.wording import AMOUNTS, DATES


@dataclass(frozen=True, slots=True)
class Deviation:
    """One field that differs from what was approved; values as text."""

    field: str
    approved: str | None
    current: str | None
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionBasis:
    """What is recorded of an invoice beside its document."""

    balance: Decimal | None
    currency: str | None
    customer_id: str | None = None
    hold: RuleCode | None = None
    deleted: bool = False


# Fields that follow from another one are not reported twice.
_FOLLOWING = frozenset(
    {
        *("contactName", "companyEmail"),
        *("purchaseDate", "purchaseTitle", "purchaseNo", "purchaseAmount"),
    }
)
_COMPARED = tuple(name for name in QUICKBOOKS_OWNED if name not in _FOLLOWING)
_TOO_LONG = frozenset({"items", "taxDetails"})
OVER = frozenset(
    {
        State.INVOICE_REJECTED,
        State.IFACTOR_REJECTED,
        State.IFACTOR_PROPOSAL_REJECTED,
        State.INVOICE_PAID,
        State.COMPLETED,
    }
)
"""States in which no money moves any more."""
_LONGEST_TEXT = 300


def deviations(
    approved: Mapping[str, Any],
    mapped: Mapping[str, Any] | None,
    then: DecisionBasis | None,
    now: DecisionBasis,
    state: str,
) -> list[Deviation]:
    """Return the differences between the decided document and the invoice, in exact numbers.

    `then` are the facts when the document was last written, if known; `now` the present ones.
    `mapped` is None for an invoice that was never read. While money may still move, these are
    critical: void, deletion, lower amount or balance, other buyer or currency. Afterwards every
    difference is information. What reads the same is no difference, and the same customer of
    QuickBooks is the same buyer, by whatever name.
    """
    found = [*_fate(then, now), *_fields(approved, mapped or approved, then, now)]
    if then is not None:
        found += _facts(then, now)
    if state in OVER:
        return [Deviation(d.field, d.approved, d.current, Severity.INFO) for d in found]
    return found


def _fate(then: DecisionBasis | None, now: DecisionBasis) -> Iterator[Deviation]:
    if now.deleted or now.hold in (RuleCode.DELETED, RuleCode.VOID):
        fate = "deleted" if now.deleted else str(now.hold)
        yield Deviation("invoice", "open", fate, Severity.CRITICAL)
    elif then is None and now.hold:
        # It was approved before it was first seen, and nobody knows whether it was held then.
        # Suppliers read it too.
        yield Deviation("invoice", None, public(now.hold), Severity.CRITICAL)


def _fields(
    approved: Mapping[str, Any],
    mapped: Mapping[str, Any],
    then: DecisionBasis | None,
    now: DecisionBasis,
) -> Iterator[Deviation]:
    customers = (then.customer_id if then else None, now.customer_id)
    same_customer = None not in customers and len(set(customers)) == 1
    for name in _COMPARED:
        before, after = approved.get(name), mapped.get(name)
        if not _reads_the_same(name, before, after, now.currency, same_customer=same_customer):
            texts = (None, None) if name in _TOO_LONG else (text_of(before), text_of(after))
            severity = _severity(name, before, after, same_customer=same_customer)
            yield Deviation(name, *texts, severity)


def _reads_the_same(
    name: str, before: Any, after: Any, currency: str | None, *, same_customer: bool
) -> bool:
    if name == "companyName":
        read = same_name(before, after, same_customer=same_customer)
    elif name == "buyerEmail":
        read = same_address(before, after)
    elif name in AMOUNTS:
        read = same_amount(before, after, currency)
    elif name in DATES:
        read = _day(before) is not None and _day(before) == _day(after)
    else:
        read = False
    return read or bool(before == after)


def _day(value: Any) -> date | None:
    return calendar_date(value) if isinstance(value, str) else None


def _severity(name: str, before: Any, after: Any, *, same_customer: bool) -> Severity:
    if name == "companyName":
        return Severity.INFO if same_customer else Severity.CRITICAL
    if name == "buyerEmail":
        return Severity.CRITICAL
    if name == "invoiceAmount":
        return Severity.WARNING if _more(before, after) else Severity.CRITICAL
    if name == "payableDate" and str(after) > str(before):
        return Severity.WARNING
    return Severity.INFO


def _facts(then: DecisionBasis, now: DecisionBasis) -> Iterator[Deviation]:
    if None not in (then.customer_id, now.customer_id) and then.customer_id != now.customer_id:
        customers = (f"Id {then.customer_id}", f"Id {now.customer_id}")
        yield Deviation("customer", *customers, Severity.CRITICAL)
    if not same_currency(then.currency, now.currency):
        yield Deviation("currency", then.currency, now.currency, Severity.CRITICAL)
    if then.balance is None or now.balance is None:
        return
    if not same_amount(then.balance, now.balance, now.currency):
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
