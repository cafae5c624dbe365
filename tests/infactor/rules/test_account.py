"""The rules about the whole account of an invoice's buyer, around each limit."""

from datetime import date
from decimal import Decimal

import pytest

from service.domain import RuleCode
from service.infactor.rules.book import parse_changes, rule_book
from service.infactor.rules.circumstances import Account, Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.judge import judge
from service.infactor.rules.rule import Profile


def applies(rule: str, account: Account, balance: str = "10") -> str | None:
    """Return the share that this rule, `code[=limit]`, gives; None if it does not apply."""
    code, _, limit = rule.partition("=")
    change = f"{code}=hold:{limit}" if limit else f"{code}=hold"
    book = rule_book(Profile.GUIDE, parse_changes(change))
    facts = InvoiceFacts(total=Decimal(10), balance=Decimal(balance))
    around = Circumstances(today=date(2026, 11, 30), currency="USD", account=account)
    holds = judge(facts, around, book).holds
    assert [one.code for one in holds] in ([], [RuleCode(code)])
    return holds[0].figures["share"] if holds else None


@pytest.mark.parametrize(
    ("rule", "account", "share"),
    [
        ("concentration", Account(concentration=25), None),
        ("concentration", Account(concentration=26), "25"),
        ("concentration", Account(concentration=30), "25"),
        ("concentration", Account(concentration=31), "30"),
        ("concentration=27", Account(concentration=28), "27"),
        ("concentration=27", Account(concentration=100), "95"),
        ("concentration", Account(overdue=100, credit=100), None),
        ("cross_aged", Account(overdue=50), None),
        ("cross_aged", Account(overdue=51), "50"),
        ("cross_aged", Account(concentration=100, credit=100), None),
        ("set_off", Account(credit=10), None),
        ("set_off", Account(credit=11), "10"),
        ("set_off", Account(credit=151), "150"),
        ("set_off=0", Account(credit=0), None),
        ("set_off=0", Account(credit=1), "0"),
        ("set_off", Account(concentration=100, overdue=100), None),
    ],
)
def test_a_share_above_the_limit(rule: str, account: Account, share: str | None):
    """The figures move in steps of five, or each payment of a buyer would rewrite all invoices."""
    assert applies(rule, account) == share


@pytest.mark.parametrize("rule", ["concentration", "cross_aged", "set_off"])
def test_the_account_says_nothing_of_what_is_paid(rule: str):
    account = Account(concentration=100, overdue=100, credit=100)
    assert applies(rule, account) == "95"
    assert applies(rule, account, balance="0") is None
