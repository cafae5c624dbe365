"""An invoice as its supplier sees it: the row of the list, its status, lines and sums."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from service.database.tables import Document, Invoice, Revision
from service.domain import APPROVED, RevisionCause, RuleCode, State
from service.infactor.document_lifecycle import MARKER, is_withdrawn
from service.infactor.money import round_to_minor_unit
from service.infactor.quickbooks_records import calendar_date
from service.infactor.rules.catalogue import (
    advice,
    code_of,
    leading,
    public_words,
    sentence,
)
from service.infactor.warnings import UNSEEN_BY_BUYER, WarningCode
from service.infactor.wording import days_to_payout, status

Found = tuple[Invoice, Document | None]
Tone = Literal["plain", "info", "good", "warn", "bad"]

_TONES: Mapping[str, Tone] = {
    **dict.fromkeys(APPROVED, "good"),
    State.INVOICE_CREATED: "info",
    State.IFACTOR_REQUEST: "info",
    State.IFACTOR_PROPOSED: "info",
    State.INVOICE_REJECTED: "bad",
    State.IFACTOR_REJECTED: "bad",
    State.IFACTOR_PROPOSAL_REJECTED: "bad",
}
UNSEEN = "Buyer can't see it yet"
WAITING = "Waiting for buyer"
"""What suppliers read where Infactor says `Approval Awaited`."""


@dataclass(frozen=True, slots=True)
class InvoiceStatus:
    """A status in words, with its hold; `withdrawn`: Infactor had it before the hold applied.

    `tone` is the colour of its badge.
    """

    words: str
    hold: RuleCode | None = None
    withdrawn: bool = False
    tone: Tone = field(default="plain", compare=False)


@dataclass(frozen=True, slots=True)
class ListedInvoice:
    """One row of the list: the columns of Infactor's dashboard, and the balance."""

    id: str
    connection_id: str
    number: str
    buyer: str
    title: str
    amount: Any
    currency: str
    balance_currency: str
    balance: Decimal | None
    days: int
    due: str
    payout: str
    status: InvoiceStatus
    warnings: int
    changed: bool

    @property
    def whole(self) -> bool:
        """True if all of the amount is due, as QuickBooks and Infactor both say."""
        return (self.balance, self.balance_currency) == (self.amount, self.currency)


def row(found: Found, currency: str, today: date, *, changed: bool = False) -> ListedInvoice:
    """Return the row of the list; `changed`: it differs from what was approved in Infactor.

    An invoice that names no currency is in `currency`.
    """
    invoice, _ = found
    shown, where = fields(found), status_of(found)
    return ListedInvoice(
        id=invoice.id,
        connection_id=invoice.connection_id,
        number=shown["invoiceNo"],
        buyer=shown["companyName"],
        title=shown["purchaseTitle"],
        amount=shown["invoiceAmount"],
        currency=currency_of(found, currency),
        balance_currency=invoice.currency or currency,
        balance=invoice.balance,
        days=0 if where.hold else days_to_payout(shown["payableDate"], today),
        due=shown["payableDate"],
        payout="-" if where.hold else payout(shown["payableDate"], today),
        status=where,
        warnings=len(to_fix(found)),
        changed=changed,
    )


def to_fix(found: Found) -> Sequence[Mapping[str, Any]]:
    """Return the warnings that the supplier should fix; for a held invoice, only the reason.

    None once somebody has decided: they have seen the invoice, and it is not written any more.
    """
    invoice, document = found
    if document is not None and document.state != State.INVOICE_CREATED:
        return []
    if invoice.hold == RuleCode.CURRENCY:
        return [one for one in invoice.warnings if one["code"] == WarningCode.UNNAMED_CURRENCY]
    return [] if invoice.hold else [*(invoice.warnings or ()), *(invoice.delivery_warnings or ())]


def currency_of(found: Found, currency: str) -> str:
    """Return the document's currency, which was approved, rather than QuickBooks' present one."""
    invoice, document = found
    return (document and document.currency) or invoice.currency or currency


def payout(due: str, today: date) -> str:
    """Return the days until an invoice is due, "today", "overdue", or "-" without a date."""
    day = calendar_date(due)
    if day is None:
        return "-"
    if day > today:
        return f"{days_to_payout(due, today):,}"
    return "today" if day == today else "overdue"


def fields(found: Found) -> Mapping[str, Any]:
    """Return Infactor's document, or the one that it would have.

    Fields that were removed there, or got another type, are as recorded.
    """
    invoice, document = found
    mapped = {**(invoice.mapped or {}), "invoiceId": invoice.document_id}
    if document is None:
        return mapped
    theirs = {
        name: value
        for name, value in document.document.items()
        if name not in mapped or _kind(value) == _kind(mapped[name])
    }
    return {**mapped, **theirs}


def _kind(value: Any) -> type:
    """Return the JSON type of a value; numbers with and without decimals are one type."""
    kind = type(value)
    return Decimal if kind is int else kind


def status_of(found: Found) -> InvoiceStatus:
    """Return the invoice's state in words, mostly Infactor's, or why it is not there."""
    invoice, document = found
    if document is None and invoice.old_rows_held:
        return InvoiceStatus("Not in Infactor: Infactor has an older copy of it")
    hold = leading(holds_of(invoice))
    if document is None:
        return _held(hold) if hold else InvoiceStatus("On its way to Infactor")
    if not is_withdrawn(document.document):
        if any(one.get("code") in UNSEEN_BY_BUYER for one in to_fix(found)):
            return InvoiceStatus(UNSEEN, tone="warn")
        waits = document.state == State.INVOICE_CREATED
        words = WAITING if waits else status(document.state)
        return InvoiceStatus(words, tone=_TONES.get(document.state, "plain"))
    # The marker keeps the first reason; the record has the present ones.
    return _held(hold or code_of(document.document[MARKER]), withdrawn=True)


def holds_of(held: Invoice | Revision) -> list[RuleCode]:
    """Return all the rules that hold the invoice, or held it then, the leading one first."""
    first = [held.hold] if held.hold else []
    return [*dict.fromkeys(map(RuleCode, [*first, *(one["code"] for one in held.holds or ())]))]


def _held(hold: RuleCode, *, withdrawn: bool = False) -> InvoiceStatus:
    return InvoiceStatus(sentence(hold), hold, withdrawn)


@dataclass(frozen=True, slots=True)
class HeldReason:
    """Why an invoice is not in Infactor, and what its supplier can do."""

    words: str
    advice: str


def reasons_of(invoice: Invoice, where: InvoiceStatus, currency: str) -> list[HeldReason]:
    """Return all reasons that the supplier can do something about, the leading one first.

    The others are one together: that Infactor is checking it. Empty if it is not held.
    """
    if where.hold is None:
        return []
    told = dict.fromkeys([where.hold, *holds_of(invoice)])
    each = {sentence(code): code for code in reversed(told)}
    return [HeldReason(words, advice(code, currency)) for words, code in reversed(each.items())]


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A revision as its supplier reads it; `reason` is why the invoice was not offered then."""

    revision: Revision
    reason: str


def entries_of(history: Sequence[Revision], most: int) -> list[HistoryEntry]:
    """Return what happened in QuickBooks, of the newest `most` of revisions from the newest on.

    Without those in which rules alone came to another reason, unless it is another one to the
    supplier too.
    """
    entries = [
        HistoryEntry(one, public_words(hold) if (hold := leading(holds_of(one))) else "")
        for one in history
    ]
    before = [*(entry.reason for entry in entries[1:]), None]
    return [
        entry
        for entry, earlier in zip(entries[:most], before, strict=False)
        if entry.revision.cause != RevisionCause.RULES or entry.reason != earlier
    ]


Kind = Literal["sale", "bundle", "text", "subtotal", "discount", "other"]

_SHOWN_ELSEWHERE = frozenset({"subtotal", "text"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `inside` marks a part of a bundle, whose amount is also in the bundle's own."""

    kind: Kind
    text: str
    quantity: Decimal | None = None
    price: Decimal | None = None
    amount: Decimal | None = None
    inside: bool = False


@dataclass(frozen=True, slots=True)
class Tax:
    """One tax: its rate in per cent, the net amount taxed, and the tax."""

    percent: Decimal | None
    on: Decimal | None
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class Sums:
    """How the total adds up: `lines`, `tax` (unless it is inside the lines), and `rest`."""

    lines: Decimal
    tax: Decimal
    tax_inside: bool
    rest: Decimal


def lines_of(items: Iterable[Any]) -> list[Line]:
    """Return the invoice's lines in order, each bundle followed by its parts."""
    return [line for item in items if isinstance(item, dict) for line in _lines(item)]


def taxes_of(details: Mapping[str, Any]) -> list[Tax]:
    """Return the taxes of a TxnTaxDetail."""
    found = details.get("TaxLine")
    return [_tax(line) for line in (found if isinstance(found, list) else [])]


def sums_of(
    lines: Sequence[Line], tax: Any, total: Any, currency: str | None = None
) -> Sums | None:
    """Return how the lines add up, without repeated ones; None if tax or total is no number."""
    of_tax, whole = number(tax), number(total)
    if of_tax is None or whole is None:
        return None
    counted = (
        line.amount
        for line in lines
        if line.kind not in _SHOWN_ELSEWHERE and not line.inside and line.amount is not None
    )
    net = round_to_minor_unit(sum(counted, Decimal(0)), currency)
    inside = of_tax != 0 and net == whole
    return Sums(net, of_tax, inside, whole - net - (0 if inside else of_tax))


def _lines(item: dict[str, Any]) -> Iterator[Line]:
    kind = item.get("DetailType")
    detail = _part(item, kind if isinstance(kind, str) else "")
    amount = number(item.get("Amount"))
    match kind:
        case "SalesItemLineDetail":
            yield _sale(item, detail, amount)
        case "GroupLineDetail":
            yield from _bundle(item, detail)
        case "SubTotalLineDetail":
            yield Line("subtotal", _text(item) or "Subtotal", amount=amount)
        case "DiscountLineDetail":
            yield _discount(item, detail, amount)
        case "TDSLineDetail":  # India: tax that the buyer deducts at source, and pays itself
            taken = None if amount is None else -abs(amount)
            yield Line("discount", _text(item) or "Tax deducted at source", amount=taken)
        case "DescriptionOnly":
            yield Line("text", _text(item) or "-", amount=amount or None)
        case _:
            yield Line("other", _text(item) or "Other line", amount=amount)


def _sale(item: dict[str, Any], detail: dict[str, Any], amount: Decimal | None) -> Line:
    name = _reference(detail, "ItemRef")
    return Line(
        "sale",
        _text(item) or name or "Not described",
        quantity=number(detail.get("Qty")),
        price=number(detail.get("UnitPrice")),
        amount=amount,
    )


def _bundle(item: dict[str, Any], detail: dict[str, Any]) -> Iterator[Line]:
    found = detail.get("Line")
    inner = [part for part in (found if isinstance(found, list) else []) if isinstance(part, dict)]
    parts = [
        _sale(part, _part(part, "SalesItemLineDetail"), number(part.get("Amount")))
        for part in inner
    ]
    name = _text(item) or _reference(detail, "GroupItemRef") or "Bundle"
    # QuickBooks writes 0 as the bundle's own amount where its parts have it (reference 4.2).
    known = [part.amount for part in parts if part.amount is not None]
    total = sum(known, Decimal(0)) if known else number(item.get("Amount")) or Decimal(0)
    yield Line("bundle", name, quantity=number(detail.get("Quantity")), amount=total)
    for part in parts:
        yield Line("sale", part.text, part.quantity, part.price, part.amount, inside=True)


def _discount(item: dict[str, Any], detail: dict[str, Any], amount: Decimal | None) -> Line:
    percent = number(detail.get("DiscountPercent"))
    words = _text(item) or (f"Discount of {percent.normalize():f} %" if percent else "Discount")
    return Line("discount", words, amount=None if amount is None else -amount)


def _tax(line: Any) -> Tax:
    item = line if isinstance(line, dict) else {}
    detail = _part(item, "TaxLineDetail")
    return Tax(
        percent=number(detail.get("TaxPercent")),
        on=number(detail.get("NetAmountTaxable")),
        amount=number(item.get("Amount")),
    )


def _part(item: dict[str, Any], key: str) -> dict[str, Any]:
    found = item.get(key)
    return found if isinstance(found, dict) else {}


def _reference(detail: dict[str, Any], key: str) -> str:
    name = _part(detail, key).get("name")
    return name if isinstance(name, str) else ""


def _text(item: dict[str, Any]) -> str:
    text = item.get("Description")
    return text.strip() if isinstance(text, str) else ""


def number(value: Any) -> Decimal | None:
    """Return a number that an invoice may have, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    # A larger exponent would be written out digit by digit.
    return number if number.is_finite() and -40 < number.adjusted() < 20 else None
