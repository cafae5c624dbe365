"""Maps a QuickBooks invoice to Infactor's document."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any

from service.domain import State
from service.errors import Unmappable
from service.infactor.currency import currency_of
from service.infactor.mongo import MOST_BYTES, shortened, size
from service.infactor.quickbooks_records import (
    Customer,
    Email,
    Invoice,
    Reference,
    calendar_date,
    check_size,
    milliseconds,
    number,
    read_customer,
    read_invoice,
    without_nul,
)
from service.infactor.warnings import InvoiceWarning, WarningCode, warning

_MAX_LENGTH = 254
_SEPARATORS = re.compile(r"[\s,;]+")
_WRAPPING = "<>()[]\"'"
_ADDRESS = re.compile(
    r"[^\s@<>()\[\],;:\"\\]{1,64}"
    r"@"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W_](?:[\w-]{0,61}[^\W_])"
)

_SALES = "SalesItemLineDetail"
_WIDE = Context(prec=80, rounding=ROUND_HALF_UP)
_UNIT = Decimal("1E-7")  # QuickBooks' own unit prices have at most seven decimals

_FEW_LINES = 100

Raw = Mapping[str, Any]
"""A QuickBooks record as `service.kit.exact_json.decode` returns it."""

PREFIX = "qbk-"
"""Begins every id of ours, and none of Infactor's own."""


@dataclass(frozen=True, slots=True)
class SupplierDetails:
    """The Infactor user who issues the invoices."""

    email: str
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """An Infactor document, the warnings, and what the record keeps beside it."""

    document: dict[str, Any]
    warnings: tuple[InvoiceWarning, ...]
    doc_number: str | None
    total: Decimal
    balance: Decimal
    currency: str | None
    customer_id: str | None
    buyer_emails: tuple[str, ...]
    """Every valid address that QuickBooks gives for the buyer, the document's own first."""
    voided: bool
    """QuickBooks' own mark of a void: a note that says so, and a total of 0."""
    txn_date: date | None
    due_date: date | None


@dataclass(frozen=True, slots=True)
class _Buyer:
    name: str
    emails: tuple[str, ...]
    bill_email_unusable: bool
    bad_email: str
    """What QuickBooks has in place of an address: the first text of these that has none."""


def map_invoice(
    raw_invoice: Raw,
    customers: Sequence[Raw],
    supplier: SupplierDetails,
    invoice_id: str,
    *,
    buyer_name: str | None = None,
    currency: str = "USD",
    country: str = "",
    text: bytes | None = None,
) -> Mapped:
    """Return Infactor's document of the invoice; raises Unmappable if a field does not allow it.

    `customers` is the invoice's customer, then its parents up to the top, as far as known;
    `buyer_name` replaces the name on the invoice after a rename. `currency` is Infactor's,
    `country` the company's. Amounts are rounded to the decimals of the invoice's currency.
    `text` is `raw_invoice` as `exact_json.encode` writes it, where that is known.
    """
    invoice = read_invoice(raw_invoice, currency, text)
    buyer = _buyer(invoice, [read_customer(raw) for raw in customers], buyer_name)
    customer = customers[0] if customers else {}
    own_currency, is_concluded = currency_of(
        raw_invoice, customer, country=country, infactors=currency
    )
    document, is_short = _that_fits(_document(invoice, buyer, supplier, invoice_id, currency))
    codes = _codes(invoice, buyer, is_short=is_short, is_concluded=is_concluded)
    return Mapped(
        document=document,
        warnings=tuple(warning(code, _bad_value(code, invoice, buyer)) for code in codes),
        doc_number=_filled(invoice.doc_number),
        total=invoice.total_amt,
        balance=invoice.total_amt if invoice.balance is None else invoice.balance,
        currency=own_currency,
        customer_id=_filled(_reference(invoice.customer_ref).value),
        buyer_emails=buyer.emails,
        voided=invoice.total_amt == 0 and (invoice.private_note or "").startswith("Voided"),
        txn_date=calendar_date(invoice.txn_date),
        due_date=calendar_date(invoice.due_date),
    )


def _document(
    invoice: Invoice, buyer: _Buyer, supplier: SupplierDetails, invoice_id: str, currency: str
) -> dict[str, Any]:
    number = _filled(invoice.doc_number) or ""
    created = invoice.created
    day = created.date().isoformat()
    due = calendar_date(invoice.due_date)
    email = buyer.emails[0] if buyer.emails else ""
    return {
        "invoiceNo": number,
        "invoiceAmount": invoice.total_amt,
        "invoiceDate": day,
        "payableDate": due.isoformat() if due else "",
        "taxAmount": invoice.rounded(invoice.total_tax, currency),
        "items": completed(invoice.line or []),
        "taxDetails": invoice.txn_tax_detail or {},
        "companyName": buyer.name,
        "contactName": buyer.name,
        "buyerEmail": email,
        "companyEmail": email,
        "purchaseDate": day,
        "state": State.INVOICE_CREATED.value,
        "qbkInvoiceId": invoice.id,
        "source": "QuickBooks",
        "invoiceId": invoice_id,
        "created": milliseconds(created),
        "supplierEmail": without_nul(supplier.email),
        "supplierName": without_nul(supplier.name),
        "supplierAddress": without_nul(supplier.address),
        "purchaseTitle": f"Quickbook #{number or invoice.id}",
        "purchaseNo": number,
        "purchaseAmount": invoice.total_amt,
        "purchaseDocs": "",
        "grnNo": "",
        "grnDate": "",
        "grnAmount": "",
        "companyType": "",
        "companyPhone": "",
    }


def _that_fits(document: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the document with as many lines as MongoDB has room for, and whether some are left
    out.
    """
    items = document["items"]
    if len(items) < _FEW_LINES:  # each is at most a part of what QuickBooks allows
        return document, False
    room = MOST_BYTES - size({**document, "items": []})
    kept = shortened(items, room)
    return {**document, "items": kept}, len(kept) < len(items)


def _buyer(invoice: Invoice, customers: Sequence[Customer], renamed: str | None) -> _Buyer:
    on_invoice = _address(invoice.bill_email)
    names = [
        without_nul(renamed or ""),
        _reference(invoice.customer_ref).name,
        *(customer.display_name for customer in customers[:1]),
    ]
    texts = [on_invoice, *(_address(customer.primary_email_addr) for customer in customers)]
    return _Buyer(
        name=next(filter(None, map(_filled, names)), ""),
        emails=distinct(address for text in texts for address in addresses(text)),
        bill_email_unusable=_filled(on_invoice) is not None and not addresses(on_invoice),
        bad_email=next((t for t in map(_filled, texts) if t and not addresses(t)), ""),
    )


def _codes(
    invoice: Invoice, buyer: _Buyer, *, is_short: bool, is_concluded: bool
) -> list[WarningCode]:
    deserved = {
        WarningCode.NO_INVOICE_NUMBER: not _filled(invoice.doc_number),
        WarningCode.NO_DUE_DATE: calendar_date(invoice.due_date) is None,
        WarningCode.NO_BUYER_NAME: not buyer.name,
        WarningCode.NO_BUYER_EMAIL: not buyer.emails,
        WarningCode.UNUSABLE_BILL_EMAIL: bool(buyer.emails) and buyer.bill_email_unusable,
        WarningCode.TOO_MANY_LINES: is_short,
        WarningCode.UNNAMED_CURRENCY: is_concluded,
    }
    return [code for code, yes in deserved.items() if yes]


def _bad_value(code: WarningCode, invoice: Invoice, buyer: _Buyer) -> str:
    """Return what QuickBooks has where something else is needed, "" if it has nothing there."""
    match code:
        case WarningCode.NO_BUYER_EMAIL | WarningCode.UNUSABLE_BILL_EMAIL:
            return without_nul(buyer.bad_email)
        case WarningCode.NO_DUE_DATE:
            return without_nul(_filled(invoice.due_date) or "")
        case _:
            return ""


def _filled(text: str | None) -> str | None:
    """Return `text`, or None if it is blank."""
    return text if text and not text.isspace() else None


def _reference(reference: Reference | None) -> Reference:
    return reference or Reference()


def _address(email: Email | None) -> str | None:
    return email.address if email else None


@lru_cache(maxsize=4096)
def invoice_id(realm_id: str, quickbooks_id: str) -> str:
    """Return Infactor's id of a QuickBooks invoice; it never changes.

    `qbk-` and the first 26 characters of the lower-case base-32 SHA-256 of "<realm id>:<Id>" in
    UTF-8. A realm id is digits only, so the colon is unambiguous.
    """
    digest = hashlib.sha256(f"{realm_id}:{quickbooks_id}".encode()).digest()
    return PREFIX + base64.b32encode(digest[:20]).decode("ascii")[:26].lower()


def completed(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines, with Qty and UnitPrice added to sales lines that lack them."""
    return [_completed(line, f"Line[{i}]") for i, line in enumerate(lines)]


def _completed(line: dict[str, Any], field: str) -> dict[str, Any]:
    if line.get("DetailType") != _SALES:
        return line
    detail = line.get(_SALES)
    if detail is None:
        detail = {}
    elif not isinstance(detail, dict):
        raise Unmappable(f"{field}.{_SALES}", "not an object")
    elif all(map(_is_number, (line.get("Amount"), detail.get("Qty"), detail.get("UnitPrice")))):
        return line
    return {**line, _SALES: {**detail, **_additions(line.get("Amount"), detail, field)}}


def _additions(raw_amount: object, detail: dict[str, Any], field: str) -> dict[str, Any]:
    """Return the missing one of Qty and UnitPrice, from the other one and the amount."""
    amount = _number(raw_amount, f"{field}.Amount") or Decimal(0)
    qty = _number(detail.get("Qty"), f"{field}.{_SALES}.Qty")
    price = _number(detail.get("UnitPrice"), f"{field}.{_SALES}.UnitPrice")
    if qty is None and price is None:
        return {"Qty": 1, "UnitPrice": amount}
    if qty is not None and price is None:
        return {"UnitPrice": _quotient(amount, qty, 0, f"{field}.Amount")}
    if price is not None and qty is None:
        return {"Qty": _quotient(amount, price, 1, f"{field}.Amount")}
    return {}


def _is_number(value: object) -> bool:
    return type(value) is Decimal or type(value) is int


def _number(value: object, field: str) -> Decimal | None:
    return None if value is None else number(value, field)


def _quotient(amount: Decimal, divisor: Decimal, of_zero: int, field: str) -> Decimal:
    """Return amount / divisor, to seven decimals without trailing zeros; `of_zero` for x / 0."""
    if not divisor:
        return Decimal(of_zero)
    result = _WIDE.quantize(_WIDE.divide(amount, divisor), _UNIT)
    check_size(result, field)
    if result == result.to_integral_value():
        return Decimal(int(result))  # normalize() would write 100 as 1E+2
    return result.normalize()


@lru_cache(maxsize=4096)
def addresses(text: str | None) -> tuple[str, ...]:
    """Return the valid addresses of a QuickBooks e-mail field, each once, in its order."""
    words = (word.strip(_WRAPPING) for word in _SEPARATORS.split(text or ""))
    return distinct(word for word in words if _is_address(word))


def distinct(found: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses without repetitions, ignoring case."""
    spelling: dict[str, str] = {}
    for address in found:
        spelling.setdefault(address.casefold(), address)
    return tuple(spelling.values())


def _is_address(word: str) -> bool:
    # Not printable: for example a zero-width space from copy and paste.
    well_formed = _ADDRESS.fullmatch(word) is not None and word.isprintable()
    return well_formed and len(word) <= _MAX_LENGTH
