"""Every rule, and the words for it."""

from collections.abc import Iterable

from service.domain import RuleCode
from service.infactor.rules import (
    account,
    addresses,
    authenticity,
    dates,
    duplicates,
    essentials,
    proof,
)
from service.infactor.rules.rule import Rule

_ORDER = list(RuleCode)
_RULES = (
    *(*essentials.RULES, *proof.RULES, *duplicates.RULES, *addresses.RULES),
    *(*dates.RULES, *authenticity.RULES, *account.RULES),
)

CATALOGUE: dict[RuleCode, Rule] = {
    rule.code: rule for rule in sorted(_RULES, key=lambda rule: _ORDER.index(rule.code))
}
"""By code, in the order in which they lead."""

REVIEW = "review"
"""Stands in Infactor for every rule whose reason is not for the supplier to know."""

_REVIEW_WORDS = "under review"


def word(code: str) -> str:
    """Return the reason in words that also fit after a number, for operators: 3 paid, 2 deleted."""
    return CATALOGUE[RuleCode(code)].words


def is_private(code: RuleCode) -> bool:
    """Return whether its reasons are never shown to a supplier: they may name another's invoice."""
    return CATALOGUE[code].advice is None


def public(code: RuleCode) -> str:
    """Return what Infactor's document says of the reason: its code, or `review`."""
    return REVIEW if is_private(code) else code.value


def public_words(code: RuleCode) -> str:
    """Return the reason in words for the supplier, who is not told what makes them suspect."""
    rule = CATALOGUE[code]
    return _REVIEW_WORDS if rule.advice is None else rule.words


def leading(codes: Iterable[RuleCode]) -> RuleCode | None:
    """Return the reason that the supplier is told of these: the first that they can fix, if any.

    What makes them suspect hides nothing of what they can do.
    """
    given = list(codes)
    known = (code for code in given if CATALOGUE[code].advice is not None)
    return next(known, given[0] if given else None)


def sentence(code: RuleCode) -> str:
    """Return what the supplier reads instead of a status."""
    where = "in QuickBooks" if CATALOGUE[code].advice is not None else "at Infactor"
    return f"Not in Infactor: {public_words(code)} {where}"


def advice(code: RuleCode, currency: str) -> str:
    """Return what the supplier can do; `currency` is Infactor's."""
    text = CATALOGUE[code].advice
    if text is None:
        return "Infactor is checking this invoice. You don't need to do anything."
    return text.format(currency=currency)


def remark(marker: str) -> str:
    """Return the remark of an invoice that was withdrawn with this marker, a value of `public`.

    It must never change, or none would be restored. Raises ValueError for an unknown marker.
    """
    words = _REVIEW_WORDS if marker == REVIEW else CATALOGUE[RuleCode(marker)].words
    return f"Automatic, from QuickBooks: {words}, not a decision of your buyer"


def is_marker(value: object) -> bool:
    """Return whether a document's marker is one of ours."""
    return isinstance(value, str) and value in _MARKERS


def code_of(marker: str) -> RuleCode:
    """Return the first rule that withdraws with this marker."""
    return _MARKERS[marker]


_MARKERS = {public(code): code for code in reversed(CATALOGUE)}
