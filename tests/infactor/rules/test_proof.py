"""The rule that asks whether anything proves the record."""

from datetime import date
from decimal import Decimal

import pytest

from service.domain import RuleCode
from service.infactor.rules import catalogue
from service.infactor.rules.book import parse_changes, rule_book
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.judge import judge
from service.infactor.rules.rule import Profile

FACTS = InvoiceFacts(
    total=Decimal(100), balance=Decimal(100), currency="USD", due_date=date(2027, 1, 1)
)


def holds(profile: Profile, facts: InvoiceFacts = FACTS, *, proved: bool) -> list[str]:
    around = Circumstances(today=date(2026, 11, 30), currency="USD", proved=proved)
    return [one.code.value for one in judge(facts, around, rule_book(profile)).holds]


@pytest.mark.parametrize(
    ("profile", "proved", "held"),
    [
        (Profile.GUIDE, False, []),
        (Profile.STANDARD, True, []),
        (Profile.STANDARD, False, ["unproven"]),
        (Profile.LENDER, True, []),
        (Profile.LENDER, False, ["unproven"]),
    ],
)
def test_what_nothing_proves_is_held(profile: Profile, held: list[str], *, proved: bool):
    assert holds(profile, proved=proved) == held


def test_what_quickbooks_said_leads_before_that_nothing_proves_it():
    void = InvoiceFacts(void=True, currency="USD")
    assert holds(Profile.STANDARD, void, proved=False) == ["void", "not_positive", "unproven"]


def test_its_limit_is_36_hours_and_a_book_without_it_has_none():
    assert rule_book(Profile.STANDARD).limit_of(RuleCode.UNPROVEN) == 36
    changed = rule_book(Profile.STANDARD, parse_changes("unproven=hold:4"))
    assert changed.limit_of(RuleCode.UNPROVEN) == 4
    assert rule_book(Profile.GUIDE).limit_of(RuleCode.UNPROVEN) is None


def test_the_supplier_may_know_what_to_do():
    code = RuleCode.UNPROVEN
    assert catalogue.public(code) == "unproven"
    assert catalogue.sentence(code) == "Not in Infactor: not confirmed in QuickBooks"
    assert "connect QuickBooks again" in catalogue.advice(code, "USD")
    assert catalogue.remark("unproven") == (
        "Automatic, from QuickBooks: not confirmed, not a decision of your buyer"
    )
