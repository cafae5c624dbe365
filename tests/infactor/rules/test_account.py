"""The rules about the whole account of an invoice's buyer, around each limit."""

from datetime import date
from decimal import Decimal

import pytest

from service.domain import RuleCode
from service.infactor.rules.book import parse_changes, rule_book
from service.infactor.rules.circumstances import AccountShares, Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.judge import judge
from service.infactor.rules.rule import Profile


def applies(rule: str, account: AccountShares, balance: str = "10") -> str | None:
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
        ("concentration", AccountShares(concentration=25), None),
        ("concentration", AccountShares(concentration=26), "25"),
        ("concentration", AccountShares(concentration=30), "25"),
        ("concentration", AccountShares(concentration=31), "30"),
        ("concentration=27", AccountShares(concentration=28), "27"),
        ("concentration=27", AccountShares(concentration=100), "95"),
        ("concentration", AccountShares(overdue=100, credit=100), None),
        ("cross_aged", AccountShares(overdue=50), None),
        ("cross_aged", AccountShares(overdue=51), "50"),
        ("cross_aged", AccountShares(concentration=100, credit=100), None),
        ("set_off", AccountShares(credit=10), None),
        ("set_off", AccountShares(credit=11), "10"),
        ("set_off", AccountShares(credit=151), "150"),
        ("set_off=0", AccountShares(credit=0), None),
        ("set_off=0", AccountShares(credit=1), "0"),
        ("set_off", AccountShares(concentration=100, overdue=100), None),
    ],
)
def test_a_share_above_the_limit(rule: str, account: AccountShares, share: str | None):
    """The figures move in steps of five, or each payment of a buyer would rewrite all invoices."""
    assert applies(rule, account) == share


@pytest.mark.parametrize("rule", ["concentration", "cross_aged", "set_off"])
def test_the_account_says_nothing_of_what_is_paid(rule: str):
    account = AccountShares(concentration=100, overdue=100, credit=100)
    assert applies(rule, account) == "95"
    assert applies(rule, account, balance="0") is None
