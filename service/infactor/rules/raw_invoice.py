"""What the rules ask of an invoice as QuickBooks gave it, which the mapping does not keep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from service.errors import Unmappable
from service.infactor.money import minor_unit
from service.infactor.quickbooks_records import number

_NOTHING = Decimal(0)
_GROUP = "GroupLineDetail"
_SALES = "SalesItemLineDetail"
_DISCOUNT = "DiscountLineDetail"
_SUBTOTAL = "SubTotalLineDetail"
_DESCRIPTION = "DescriptionOnly"
# Each line is rounded on its own; but no invoice may be out by more than so many units.
_MOST_UNITS = 100
_MOST_DIGITS = 15


def was_sent(raw: Mapping[str, Any]) -> bool | None:
    """Return whether it was ever sent by e-mail or printed; None where QuickBooks does not say.

    `NeedToSend` is an intention; but one that is to be sent again was sent once, at a time.
    """
    delivery = raw.get("DeliveryInfo")
    if raw.get("EmailStatus") == "EmailSent" or raw.get("PrintStatus") == "PrintComplete":
        return True
    if isinstance(delivery, Mapping) and delivery.get("DeliveryTime"):
        return True
    return False if raw.get("EmailStatus") or raw.get("PrintStatus") else None


def takes_payment(raw: Mapping[str, Any]) -> bool:
    """Return whether the buyer may pay it online, which pays the supplier.

    That needs QuickBooks Payments, of which the invoice says nothing unless it shows the link.
    """
    if raw.get("InvoiceLink") or raw.get("AllowIPNPayment") is True:
        return True
    return any(raw[name] is True for name in raw if name.startswith("AllowOnline"))


def differing_sum(raw: Mapping[str, Any], total: Decimal, currency: str | None) -> Decimal | None:
    """Return what lines, discounts and tax come to, if that is not the total.

    None also where QuickBooks does not show all that the total is made of.
    """
    try:
        sums = _sums(raw)
    except Unmappable:
        return None
    if sums is None:
        return None
    tolerance = minor_unit(currency) * min(max(sums.counted, 1), _MOST_UNITS)
    if any(abs(one - total) <= tolerance for one in sums.possible):
        return None
    return sums.possible[0]


@dataclass(slots=True)
class _Sums:
    net: Decimal = _NOTHING
    gross: Decimal = _NOTHING
    counted: int = 0
    tax: Decimal = _NOTHING
    inclusive: bool = False

    def add(self, amount: Decimal, with_tax: Decimal) -> None:
        self.net += amount
        self.gross += with_tax
        self.counted += 1

    @property
    def possible(self) -> list[Decimal]:
        """Every total that fits; an inclusive company's lines may be given with their tax."""
        with_tax = self.net + self.tax
        return [with_tax, self.net, self.gross] if self.inclusive else [with_tax]


def _sums(raw: Mapping[str, Any]) -> _Sums | None:
    """Return the sums; None if a line is of a kind that is not known, or none has an amount.

    Raises Unmappable for an amount that is no number.
    """
    lines = raw.get("Line")
    if not isinstance(lines, Sequence) or raw.get("TxnRetainageDetail"):
        return None
    charges = _has_statement_charge(raw)
    detail = raw.get("TxnTaxDetail")
    tax = detail.get("TotalTax") if isinstance(detail, Mapping) else None
    sums = _Sums(tax=_amount(tax), inclusive=raw.get("GlobalTaxCalculation") == "TaxInclusive")
    for line in _flat(lines):
        kind, amount = line.get("DetailType"), _amount(line.get("Amount"))
        if kind in (_SALES, _GROUP):
            sums.add(amount, _with_tax(line, amount) if sums.inclusive else amount)
        elif kind == _DISCOUNT:
            sums.add(-amount, -amount)
        elif kind == _SUBTOTAL:
            if charges or not sums.counted:  # it has lines that the API does not show
                sums.net = sums.gross = amount
                sums.counted += 1
        elif kind != _DESCRIPTION and amount:
            return None
    return sums if sums.counted else None


def _flat(lines: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield each line; those of a bundle in its place, if it shows any."""
    for line in lines:
        if not isinstance(line, Mapping):
            continue
        bundle = line.get(_GROUP)
        inner = bundle.get("Line") if isinstance(bundle, Mapping) else None
        if isinstance(inner, Sequence) and inner:
            yield from (one for one in inner if isinstance(one, Mapping))
        else:
            yield line


def _has_statement_charge(raw: Mapping[str, Any]) -> bool:
    """Return whether it bills a charge of a statement, which is in the subtotal but in no line."""
    linked = raw.get("LinkedTxn")
    return isinstance(linked, Sequence) and any(
        isinstance(one, Mapping) and one.get("TxnType") == "StatementCharge" for one in linked
    )


def _with_tax(line: Mapping[str, Any], amount: Decimal) -> Decimal:
    detail = line.get(_SALES)
    given = detail.get("TaxInclusiveAmt") if isinstance(detail, Mapping) else None
    return amount if given is None else _amount(given)


def _amount(value: object) -> Decimal:
    if value is None:
        return _NOTHING
    # Nearly every amount is like this, and there are several in each invoice.
    if type(value) is Decimal and value.is_finite() and abs(value.adjusted()) < _MOST_DIGITS:
        return value
    return number(value, "Line.Amount")
