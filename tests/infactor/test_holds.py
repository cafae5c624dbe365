"""Which invoices are not offered, and what suppliers read about it."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from service.domain import Hold
from service.infactor.holds import ALL_HOLDS, hold_of, parse_holds, remark, sentence


@dataclass(frozen=True)
class Figures:
    total: Decimal
    balance: Decimal
    currency: str | None = "USD"
    voided: bool = False


def figures(
    total: str, balance: str, currency: str | None = "USD", *, voided: bool = False
) -> Figures:
    return Figures(Decimal(total), Decimal(balance), currency, voided)


def held(
    facts: Figures,
    *,
    deleted: bool = False,
    voided_by_notice: bool = False,
    currency: str = "USD",
    in_force: frozenset[Hold] = ALL_HOLDS,
) -> str | None:
    hold = hold_of(
        facts,
        deleted=deleted,
        voided_by_notice=voided_by_notice,
        currency=currency,
        in_force=in_force,
    )
    return hold.value if hold else None


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (figures("10.00", "10.00"), None),
        (figures("10.00", "9.99"), "partly_paid"),
        (figures("10.00", "0.01"), "partly_paid"),
        (figures("10.00", "0.00"), "paid"),
        (figures("10.00", "-1"), "paid"),
        (figures("10.00", "12.00"), None),
        (figures("0.00", "0"), "not_positive"),
        (figures("-5", "-5"), "not_positive"),
        (figures("-5", "0"), "not_positive"),
        (figures("0", "0", voided=True), "void"),
        (figures("10", "10", voided=True), None),
        (figures("10", "10", "EUR"), "currency"),
        (figures("10", "10", "usd "), None),
        (figures("10", "10", None), None),
        (figures("10", "10", ""), None),
        (figures("10", "0", "EUR"), "paid"),
        (figures("10", "5", "EUR"), "partly_paid"),
        (figures("0", "0", "EUR"), "not_positive"),
        (figures("0", "0", "EUR", voided=True), "void"),
    ],
)
def test_the_figures_give_the_reason(facts: Figures, reason: str | None) -> None:
    assert held(facts) == reason


def test_deleted_comes_before_everything() -> None:
    assert held(figures("10", "10"), deleted=True) == "deleted"
    assert held(figures("0", "0", "EUR", voided=True), deleted=True) == "deleted"


def test_a_void_notice_counts_only_while_the_total_is_zero() -> None:
    assert held(figures("0", "0"), voided_by_notice=True) == "void"
    assert held(figures("10", "10"), voided_by_notice=True) is None
    assert held(figures("10", "0"), voided_by_notice=True) == "paid"


def test_the_currency_is_a_setting_in_any_case() -> None:
    assert held(figures("10", "10", "EUR"), currency=" eur") is None
    assert held(figures("10", "10", "USD"), currency="EUR") == "currency"


@pytest.mark.parametrize(
    ("facts", "in_force", "reason"),
    [
        (figures("0", "0", voided=True), ALL_HOLDS - {Hold.VOID}, "not_positive"),
        (figures("0", "0", voided=True), ALL_HOLDS - {Hold.VOID, Hold.NOT_POSITIVE}, None),
        (figures("0", "0"), ALL_HOLDS - {Hold.NOT_POSITIVE}, None),
        (figures("10", "0", "EUR"), frozenset({Hold.CURRENCY}), "currency"),
        (figures("10", "0"), ALL_HOLDS - {Hold.PAID}, None),
        (figures("10", "5"), frozenset({Hold.PARTLY_PAID}), "partly_paid"),
        (figures("-1", "0", "EUR", voided=True), frozenset(), None),
    ],
)
def test_a_reason_that_is_not_in_force_does_not_hide_a_later_one(
    facts: Figures, in_force: frozenset[Hold], reason: str | None
) -> None:
    assert held(facts, in_force=in_force) == reason


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", ALL_HOLDS),
        ("  ", ALL_HOLDS),
        ("none", frozenset()),
        (" None ", frozenset()),
        ("paid", {Hold.PAID}),
        ("void, deleted ,PARTLY_PAID,", {Hold.VOID, Hold.DELETED, Hold.PARTLY_PAID}),
        ("deleted,void,not_positive,paid,partly_paid,currency", ALL_HOLDS),
    ],
)
def test_the_setting_lists_the_reasons_in_force(text: str, holds: frozenset[Hold]) -> None:
    assert parse_holds(text) == holds


@pytest.mark.parametrize("text", ["payed", "none,paid", "paid void", "paid;void"])
def test_an_unknown_reason_is_answered_with_the_valid_ones(text: str) -> None:
    with pytest.raises(ValueError, match="deleted, void, not_positive, paid, partly_paid, curr"):
        parse_holds(text)


@pytest.mark.parametrize(
    ("hold", "words"),
    [
        (Hold.DELETED, "deleted"),
        (Hold.VOID, "voided"),
        (Hold.NOT_POSITIVE, "total of zero or less"),
        (Hold.PAID, "paid"),
        (Hold.PARTLY_PAID, "partly paid"),
        (Hold.CURRENCY, "another currency"),
    ],
)
def test_suppliers_read_the_reason_in_plain_words(hold: Hold, words: str) -> None:
    """The remark may never change: a withdrawn invoice is restored only while it is the same."""
    assert sentence(hold) == f"Not offered: {words} in QuickBooks"
    assert remark(hold) == f"Automatic, from QuickBooks: {words}, not a decision of your buyer"
