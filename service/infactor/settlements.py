"""What settled an invoice, as the transactions say that QuickBooks links to it.

QuickBooks applies credit memos and journal entries by a Payment too: its lines name them beside the
invoice, and its own total is the cash alone (reference 4.2). Who was credited, from which account
and why, only they say themselves.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from service.domain import SettlementKind
from service.infactor.quickbooks_records import calendar_date

_ZERO = Decimal(0)
_MOST_ACCOUNTS = 3
# Intuit tells suppliers to write an invoice off by a credit memo for an item of this name.
_BAD_DEBT = re.compile(r"bad\W*debt|write[\W_]*off|uncollect", re.IGNORECASE)

CREDITS = ("CreditMemo", "JournalEntry")
"""The transactions that settle an invoice without cash, the plainer first."""


class Transaction(NamedTuple):
    """Which transaction of QuickBooks: its entity and Id."""

    entity: str
    id: str


Transactions = Mapping[Transaction, Mapping[str, Any]]
"""Transactions as QuickBooks shows them; with the accounts that payments went to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One part of an invoice that one transaction settled.

    `source_id` is that transaction's Id, and `payment_id` that of the payment which applied it: the
    same one for cash, "" where the invoice itself names a credit. `share` is what falls on this
    invoice if all that the payment settles share a credit by their amounts: one credit of several
    invoices is counted once in the sum of these. `on` is when it was applied; `number` and `dated`
    are a credit's own. `account` is the name or Id of the account that cash went to or a credit was
    booked on, and `payer` the customer's name.
    """

    payment_id: str
    source_id: str
    kind: SettlementKind
    amount: Decimal
    share: Decimal
    on: date | None
    payer: str = ""
    account: str = ""
    number: str = ""
    dated: date | None = None


def links_of(invoice: Mapping[str, Any]) -> list[Transaction]:
    """Return the payments and credits that QuickBooks links to an invoice, each once."""
    return _each_once(
        link for link in _links(invoice) if link.entity == "Payment" or link.entity in CREDITS
    )


def credits_in(payment: Mapping[str, Any]) -> list[Transaction]:
    """Return the credit memos and journal entries that a payment names, each once."""
    return _each_once(link for link, _ in _lines(payment) if link.entity in CREDITS)


def account_of(payment: Mapping[str, Any]) -> str:
    """Return the Id of the account that a payment went to, where QuickBooks does not name it.

    Payments hardly ever do (reference, recorded traffic). "" for none.
    """
    reference = payment.get("DepositToAccountRef")
    if not isinstance(reference, dict) or reference.get("name"):
        return ""
    id_ = _text(reference.get("value"))
    return id_ if id_.isascii() and id_.isdigit() else ""


def settlements_of(invoice: Mapping[str, Any], read: Transactions) -> list[Settlement]:
    """Return what settled this invoice, of the transactions that were read.

    Where a payment with credits settles several invoices, QuickBooks does not say which of them
    took which credit. Then credits are counted first: no cash is claimed that nobody paid.
    """
    found: list[Settlement] = []
    links = links_of(invoice)
    for link in links:
        if link.entity == "Payment" and link in read:
            found += _by_payment(str(invoice.get("Id")), read[link], read)
    named = {one.source_id for one in found}
    left = _amount(invoice.get("TotalAmt")) - _amount(invoice.get("Balance"))
    left -= sum((one.amount for one in found), _ZERO)
    for link in links:
        if link.entity in CREDITS and link.id not in named:
            part = min(left, _own_amount(link, read, left))
            left -= max(part, _ZERO)
            found.append(_credit(link, part, part, read, None))
    return [one for one in found if one.amount > 0]


def with_known(
    invoice: Mapping[str, Any],
    found: Sequence[Settlement],
    known: Sequence[Settlement],
    read: Transactions,
    unread: Collection[Transaction],
) -> list[Settlement]:
    """Return what settled this invoice, with what is `known` since an earlier reading of those of
    its transactions that could not be read now.
    """
    links = links_of(invoice)
    links += [link for payment in links if payment in read for link in credits_in(read[payment])]
    missing = {link.id for link in links if link in unread}
    before = {(one.payment_id, one.source_id): one for one in known}
    now = {(one.payment_id, one.source_id): one for one in found}
    lost = {key: one for key, one in before.items() if one.payment_id in missing}
    for key, one in now.items():
        if one.source_id in missing and key in before:
            # A payment says for how much a credit was used, though not what the credit is.
            told = one if one.payment_id else before[key]
            lost[key] = replace(before[key], amount=told.amount, share=told.share)
    return list({**now, **lost}.values())


def _by_payment(
    invoice_id: str, payment: Mapping[str, Any], read: Transactions
) -> Iterator[Settlement]:
    amounts: dict[Transaction, Decimal] = {}
    for link, amount in _lines(payment):
        amounts[link] = amounts.get(link, _ZERO) + amount
    own = applied = amounts.get(Transaction("Invoice", invoice_id), _ZERO)
    all_invoices = sum((abs(a) for link, a in amounts.items() if link.entity == "Invoice"), _ZERO)
    lowers_more = _has_more_credits(amounts, payment, read)
    given = []
    for entity in CREDITS:
        for link, amount in amounts.items():
            is_unknown = entity == "JournalEntry" and link not in read
            is_credit = lowers_more if is_unknown else not _is_charge(link, read)
            if link.entity == entity and is_credit:
                part = min(abs(amount), applied)
                applied -= part
                share = min(part, abs(amount) * own / all_invoices) if part > 0 else part
                given.append(_credit(link, part, share, read, payment))
    yield Settlement(
        payment_id=str(payment.get("Id")),
        source_id=str(payment.get("Id")),
        kind=SettlementKind.CASH,
        amount=applied,
        share=applied,
        on=_day(payment),
        payer=_name(payment.get("CustomerRef")),
        account=_text(read.get(Transaction("Account", account_of(payment)), {}).get("Name"))
        or _name(payment.get("DepositToAccountRef")),
        number=_text(payment.get("PaymentRefNum")),
    )
    yield from given


def _credit(
    link: Transaction,
    amount: Decimal,
    share: Decimal,
    read: Transactions,
    payment: Mapping[str, Any] | None,
) -> Settlement:
    own, applied = read.get(link, {}), payment or {}
    is_journal = link.entity == "JournalEntry"
    payer = _name(_credited(own)) if is_journal else _name(own.get("CustomerRef"))
    accounts = _debited(own) if is_journal else _items(own)
    return Settlement(
        payment_id=str(applied.get("Id") or ""),
        source_id=link.id,
        kind=SettlementKind.WRITE_OFF
        if is_journal or _is_bad_debt(own)
        else SettlementKind.CREDIT_NOTE,
        amount=amount,
        share=share,
        on=_day(applied) or _day(own),
        payer=payer or _name(applied.get("CustomerRef")),
        account=", ".join(list(dict.fromkeys(filter(None, accounts)))[:_MOST_ACCOUNTS]),
        number=_text(own.get("DocNumber")),
        dated=_day(own),
    )


def _has_more_credits(
    amounts: Mapping[Transaction, Decimal], payment: Mapping[str, Any], read: Transactions
) -> bool:
    """Return whether a payment's cash, which is its total, is less than is left to pay by it.

    Then the journal entries that could not be read are credits, and otherwise they ask for more.
    """
    left = _amount(payment.get("UnappliedAmt")) - _amount(payment.get("TotalAmt"))
    for link, amount in amounts.items():
        if link.entity == "CreditMemo":
            left -= abs(amount)
        elif link.entity == "JournalEntry" and link in read:
            left += abs(amount) if _is_charge(link, read) else -abs(amount)
        elif link.entity == "Invoice":
            left += amount
    return _is_number(payment.get("TotalAmt")) and left > 0


def _is_charge(link: Transaction, read: Transactions) -> bool:
    """Return whether a journal entry asks for more: it is paid, and settles nothing."""
    sides = [side for _, side, customer in _postings(read.get(link, {})) if customer is not None]
    return link.entity == "JournalEntry" and bool(sides) and "Credit" not in sides


def _is_bad_debt(memo: Mapping[str, Any]) -> bool:
    """Return whether every line of a credit memo takes the sale back as a bad debt."""
    names = [
        f"{_name(detail.get('ItemRef'))} {_name(detail.get('ItemAccountRef'))}"
        for detail in _details(memo, "SalesItemLineDetail")
    ]
    return bool(names) and all(_BAD_DEBT.search(name) for name in names)


def _own_amount(link: Transaction, read: Transactions, unknown: Decimal) -> Decimal:
    """Return for how much this credit can be used; `unknown` if it was not read."""
    own = read.get(link)
    if own is None:
        return unknown
    if link.entity == "CreditMemo":
        return _amount(own.get("TotalAmt"))
    postings = _postings(own)
    return sum((a for a, side, customer in postings if customer and side == "Credit"), _ZERO)


def _credited(journal: Mapping[str, Any]) -> object:
    """Return the reference to the customer whose debt a journal entry lowers."""
    for _, side, customer in _postings(journal):
        if customer is not None and side == "Credit":
            return customer
    return None


def _debited(journal: Mapping[str, Any]) -> list[str]:
    """Return the accounts that a journal entry books a customer's debt on."""
    return [
        _name(detail.get("AccountRef"))
        for detail in _details(journal, "JournalEntryLineDetail")
        if detail.get("PostingType") == "Debit"
    ]


def _postings(
    journal: Mapping[str, Any],
) -> Iterator[tuple[Decimal, str, Mapping[str, Any] | None]]:
    """Yield (amount, Debit or Credit, reference to its customer if it has one) of each line."""
    for line in _dicts(journal.get("Line")):
        detail = line.get("JournalEntryLineDetail")
        if not isinstance(detail, dict):
            continue
        entity = detail.get("Entity")
        of_customer = isinstance(entity, dict) and entity.get("Type") == "Customer"
        customer = entity.get("EntityRef") if isinstance(entity, dict) and of_customer else None
        known = customer if isinstance(customer, dict) else None
        yield _amount(line.get("Amount")), _text(detail.get("PostingType")), known


def _items(memo: Mapping[str, Any]) -> list[str]:
    """Return the accounts from which a credit memo takes the sale back, else the items."""
    return [
        _name(detail.get("ItemAccountRef")) or _name(detail.get("ItemRef"))
        for detail in _details(memo, "SalesItemLineDetail")
    ]


def _details(transaction: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    for line in _dicts(transaction.get("Line")):
        detail = line.get(name)
        if isinstance(detail, dict):
            yield detail


def _lines(payment: Mapping[str, Any]) -> Iterator[tuple[Transaction, Decimal]]:
    """Yield each transaction that a payment's lines link to, with the line's amount."""
    for line in _dicts(payment.get("Line")):
        if _is_number(line.get("Amount")):
            for link in _links(line):
                yield link, _amount(line["Amount"])


def _links(record: Mapping[str, Any]) -> Iterator[Transaction]:
    for link in _dicts(record.get("LinkedTxn")):
        id_ = str(link.get("TxnId"))
        if id_.isascii() and id_.isdigit():
            yield Transaction(str(link.get("TxnType")), id_)


def _each_once(links: Iterator[Transaction]) -> list[Transaction]:
    return list(dict.fromkeys(links))


def _dicts(value: object) -> Sequence[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _amount(value: Any) -> Decimal:
    return Decimal(value) if _is_number(value) else _ZERO


def _day(transaction: Mapping[str, Any]) -> date | None:
    return calendar_date(_text(transaction.get("TxnDate")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _name(reference: object) -> str:
    """Return the name that a reference gives, else its Id."""
    if not isinstance(reference, dict):
        return ""
    value = _text(reference.get("value"))
    return _text(reference.get("name")) or (f"Id {value}" if value else "")
