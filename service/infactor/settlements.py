"""What settled an invoice, as the payments say that QuickBooks links to it.

QuickBooks applies credit notes and journal entries by a Payment too: its lines name them beside the
invoice, and its own total is the cash alone (reference 4.2).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from service.domain import SettlementKind
from service.infactor.quickbooks_records import calendar_date

_ZERO = Decimal(0)


_BY_TYPE = {
    "CreditMemo": SettlementKind.CREDIT_NOTE,
    "JournalEntry": SettlementKind.WRITE_OFF,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One part of an invoice that one payment settled in one way.

    `account` is the name or id of the account that the cash went to, and `payer` the customer's.
    """

    payment_id: str
    kind: SettlementKind
    amount: Decimal
    on: date | None
    payer: str = ""
    account: str = ""


def payments_of(invoice: Mapping[str, Any]) -> list[str]:
    """Return the ids of the payments that QuickBooks links to an invoice, each once."""
    links = invoice.get("LinkedTxn")
    found = [
        str(link["TxnId"])
        for link in (links if isinstance(links, list) else [])
        if isinstance(link, dict) and link.get("TxnType") == "Payment" and _is_id(link.get("TxnId"))
    ]
    return list(dict.fromkeys(found))


def settlements_of(invoice_id: str, payment: Mapping[str, Any]) -> list[Settlement]:
    """Return what this payment settled of the invoice with this QuickBooks Id.

    Where a payment with credit notes settles several invoices, QuickBooks does not say which of
    them took which credit. Then credits are counted first: no cash is claimed that nobody paid.
    """
    lines = list(_lines(payment))
    applied = sum(
        (amount for kind, id_, amount in lines if (kind, id_) == ("Invoice", invoice_id)), _ZERO
    )
    found = []
    for type_, settled_by in _BY_TYPE.items():
        given = sum((abs(amount) for kind, _, amount in lines if kind == type_), _ZERO)
        part = min(given, applied)
        applied -= part
        found.append((settled_by, part))
    found.insert(0, (SettlementKind.CASH, applied))
    return [
        Settlement(
            payment_id=str(payment.get("Id")),
            kind=kind,
            amount=amount,
            on=calendar_date(_text(payment.get("TxnDate"))),
            payer=_reference(payment, "CustomerRef"),
            account=_reference(payment, "DepositToAccountRef")
            if kind is SettlementKind.CASH
            else "",
        )
        for kind, amount in found
        if amount > 0
    ]


def _lines(payment: Mapping[str, Any]) -> Iterator[tuple[str, str, Decimal]]:
    """Yield (type, id, amount) of each transaction that a payment's lines link to."""
    lines = payment.get("Line")
    for line in lines if isinstance(lines, list) else []:
        links = line.get("LinkedTxn") if isinstance(line, dict) else None
        amount = line.get("Amount") if isinstance(line, dict) else None
        if not isinstance(amount, int | Decimal) or isinstance(amount, bool):
            continue
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict):
                yield str(link.get("TxnType")), str(link.get("TxnId")), Decimal(amount)


def _is_id(value: object) -> bool:
    text = str(value)
    return text.isascii() and text.isdigit()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _reference(payment: Mapping[str, Any], name: str) -> str:
    """Return the name that a reference gives, else its id."""
    found = payment.get(name)
    if not isinstance(found, dict):
        return ""
    return _text(found.get("name")) or (
        f"Id {value}" if (value := _text(found.get("value"))) else ""
    )
