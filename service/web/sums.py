"""How an invoice's lines come to its total."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from service.web.lines import Line, number

_TOLD_ALREADY = frozenset({"subtotal", "text"})


@dataclass(frozen=True, slots=True)
class Sums:
    """`lines` and `tax`, unless that is in the lines already, and `rest` come to the total."""

    lines: Decimal
    tax: Decimal
    tax_inside: bool
    rest: Decimal


def sums_of(lines: Sequence[Line], tax: Any, total: Any) -> Sums | None:
    """Return how the lines come to the total, or None where one of them is no number.

    A subtotal and the parts of a bundle repeat what other lines say.
    """
    of_tax, whole = number(tax), number(total)
    if of_tax is None or whole is None:
        return None
    counted = (
        line.amount
        for line in lines
        if line.kind not in _TOLD_ALREADY and not line.inside and line.amount is not None
    )
    net = sum(counted, Decimal(0))
    inside = of_tax != 0 and net == whole
    return Sums(net, of_tax, inside, whole - net - (0 if inside else of_tax))
