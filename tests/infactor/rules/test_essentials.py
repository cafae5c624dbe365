"""Which invoices there is nothing to lend on, and what suppliers read about it."""

from datetime import date
from decimal import Decimal

import pytest

from service.domain import RuleCode
from service.infactor.rules.book import parse_changes, rule_book
from service.infactor.rules.catalogue import public, remark, sentence
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.judge import judge
from service.infactor.rules.rule import Profile


def figures(
    total: str, balance: str, currency: str | None = "USD", *, void: bool = False
) -> InvoiceFacts:
    return InvoiceFacts(
        total=Decimal(total),
        balance=Decimal(balance),
        currency=currency,
        void=void,
        due_date=date(2026, 12, 31),
    )


def holds(facts: InvoiceFacts, *, currency: str = "USD", rules: str = "") -> list[str]:
    around = Circumstances(today=date(2026, 11, 30), currency=currency)
    book = rule_book(Profile.STANDARD, parse_changes(rules))
    return [reason.code.value for reason in judge(facts, around, book).holds]


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        (figures("10.00", "10.00"), []),
        (figures("10.00", "9.99"), ["partly_paid"]),
        (figures("10.00", "0.01"), ["partly_paid"]),
        (figures("10.00", "0.00"), ["paid"]),
        (figures("10.00", "-1"), ["paid"]),
        (figures("10.00", "12.00"), []),
        (figures("0.00", "0"), ["not_positive"]),
        (figures("-5", "-5"), ["not_positive"]),
        (figures("-5", "0"), ["not_positive"]),
        (figures("0", "0", void=True), ["void", "not_positive"]),
        (figures("10", "10", "EUR"), ["currency"]),
        (figures("10", "10", "usd "), []),
        (figures("10", "10", None), []),
        (figures("10", "10", ""), []),
        (figures("10", "0", "EUR"), ["paid", "currency"]),
        (figures("10", "5", "EUR"), ["partly_paid", "currency"]),
        (figures("0", "0", "EUR", void=True), ["void", "not_positive", "currency"]),
    ],
)
def test_an_invoice_keeps_all_its_reasons_the_leading_one_first(
    facts: InvoiceFacts, reasons: list[str]
) -> None:
    assert holds(facts) == reasons


def test_a_deleted_invoice_has_no_other_reason() -> None:
    facts = InvoiceFacts(deleted=True, currency="EUR")
    assert holds(facts) == ["deleted"]
    assert holds(facts, rules="deleted=off") == ["not_positive", "currency"]
    assert holds(facts, rules="deleted=signal") == []


def test_the_currency_is_a_setting_in_any_case() -> None:
    assert holds(figures("10", "10", "EUR"), currency=" eur") == []
    assert holds(figures("10", "10", "USD"), currency="EUR") == ["currency"]


@pytest.mark.parametrize(
    ("facts", "rules", "reasons"),
    [
        (figures("0", "0", void=True), "void=off", ["not_positive"]),
        (figures("0", "0", void=True), "void=signal,not_positive=off", []),
        (figures("10", "0", "EUR"), "paid=off", ["currency"]),
    ],
)
def test_a_rule_that_is_not_in_force_does_not_hide_a_later_one(
    facts: InvoiceFacts, rules: str, reasons: list[str]
) -> None:
    assert holds(facts, rules=rules) == reasons


@pytest.mark.parametrize(
    ("hold", "words"),
    [
        (RuleCode.DELETED, "deleted"),
        (RuleCode.VOID, "voided"),
        (RuleCode.NOT_POSITIVE, "total of zero or less"),
        (RuleCode.PAID, "paid"),
        (RuleCode.PARTLY_PAID, "partly paid"),
        (RuleCode.CURRENCY, "another currency"),
        (RuleCode.OVERDUE, "overdue"),
    ],
)
def test_suppliers_read_the_reason_in_plain_words(hold: RuleCode, words: str) -> None:
    """The remark may never change: a withdrawn invoice is restored only while it is the same."""
    assert sentence(hold) == f"Not in Infactor: {words} in QuickBooks"
    assert public(hold) == hold.value
    assert remark(hold) == f"Automatic, from QuickBooks: {words}, not a decision of your buyer"


def test_suppliers_do_not_read_what_makes_them_suspect() -> None:
    assert sentence(RuleCode.BACKDATED) == "Not in Infactor: under review at Infactor"
    assert public(RuleCode.BACKDATED) == "review"
    assert remark("review") == (
        "Automatic, from QuickBooks: under review, not a decision of your buyer"
    )
