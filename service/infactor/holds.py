"""The reasons why an invoice is recorded but not sent to Infactor.

Financiers advance money on it there, so a paid, void or deleted invoice, or one in another currency
than Infactor shows, must not be offered.
"""

from decimal import Decimal
from typing import Protocol

from service.domain import Hold
from service.infactor.money import same_currency

ALL_HOLDS = frozenset(Hold)

_WORDS = {
    Hold.DELETED: "deleted",
    Hold.VOID: "voided",
    Hold.NOT_POSITIVE: "total of zero or less",
    Hold.PAID: "paid",
    Hold.PARTLY_PAID: "partly paid",
    Hold.CURRENCY: "another currency",
}


_FIELDS = {
    Hold.DELETED: "",
    Hold.VOID: "TotalAmt",
    Hold.NOT_POSITIVE: "TotalAmt",
    Hold.PAID: "Balance",
    Hold.PARTLY_PAID: "Balance",
    Hold.CURRENCY: "CurrencyRef",
}


class HoldFacts(Protocol):
    """What a hold depends on."""

    @property
    def total(self) -> Decimal: ...

    @property
    def balance(self) -> Decimal: ...

    @property
    def currency(self) -> str | None: ...

    @property
    def voided(self) -> bool: ...


def hold_of(
    facts: HoldFacts,
    *,
    deleted: bool,
    voided_by_notice: bool,
    currency: str,
    in_force: frozenset[Hold],
) -> Hold | None:
    """Return the first hold in force that applies, or None.

    `currency` is Infactor's; an invoice that names none is taken to be in it. A hold that is not in
    force does not hide a later one: a void is also `not_positive`.
    """
    applies = {
        Hold.DELETED: deleted,
        # A void whose total is not 0 was undone, or never was one.
        Hold.VOID: facts.total == 0 and (facts.voided or voided_by_notice),
        Hold.NOT_POSITIVE: facts.total <= 0,
        Hold.PAID: facts.balance <= 0 < facts.total,
        Hold.PARTLY_PAID: 0 < facts.balance < facts.total,
        Hold.CURRENCY: bool(facts.currency) and not same_currency(facts.currency, currency),
    }
    return next((hold for hold in Hold if hold in in_force and applies[hold]), None)


def parse_holds(text: str) -> frozenset[Hold]:
    """Return the holds of INFACTOR_HOLD: comma-separated names, `none`, or all if it is empty.

    Raises ValueError with the valid names.
    """
    names = [name for part in text.split(",") if (name := part.strip().lower())]
    if not names:
        return ALL_HOLDS
    if names == ["none"]:
        return frozenset()
    if not all(name in list(Hold) for name in names):
        valid = ", ".join(Hold)
        raise ValueError(f"must be none, or a comma-separated list of: {valid}")
    return frozenset(map(Hold, names))


def word(hold: str) -> str:
    """Return the hold in words that also fit after a number: 3 paid, 2 deleted."""
    return _WORDS[Hold(hold)]


def sentence(hold: Hold) -> str:
    """Return what the supplier reads instead of a status."""
    return f"Not offered: {_WORDS[hold]} in QuickBooks"


def field(hold: Hold) -> str:
    """Return QuickBooks' name of the field that is the reason; "" for a deletion."""
    return _FIELDS[hold]


def remark(hold: Hold) -> str:
    """Return the remark of a withdrawn invoice; it must never change, or none would be restored."""
    return f"Automatic, from QuickBooks: {_WORDS[hold]}, not a decision of your buyer"
