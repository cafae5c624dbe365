"""Reads the lines of an invoice, which may contain anything, and how they add up to its total."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from service.infactor.money import round_to_minor_unit

Kind = Literal["sale", "bundle", "text", "subtotal", "discount", "other"]

_TOLD_ALREADY = frozenset({"subtotal", "text"})


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
        if line.kind not in _TOLD_ALREADY and not line.inside and line.amount is not None
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
