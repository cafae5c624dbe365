"""The rules as an operator sets them."""

import re
from typing import get_args

import pytest

from service.domain import RuleCode
from service.infactor.rules.book import parse_changes, rule_book
from service.infactor.rules.catalogue import CATALOGUE
from service.infactor.rules.rule import Mode, Profile

ESSENTIALS = {"deleted", "void", "not_positive", "paid", "partly_paid", "currency"}


def modes(profile: Profile, changes: str = "") -> dict[str, str]:
    book = rule_book(profile, parse_changes(changes))
    return {one.rule.code.value: one.mode.value for one in book.every}


def test_the_guide_offers_everything():
    assert set(modes(Profile.GUIDE).values()) == {"off"}
    assert rule_book(Profile.GUIDE).in_force == ()


def test_standard_holds_the_essentials_and_signals_the_rest():
    found = modes(Profile.STANDARD)
    assert {code for code, mode in found.items() if mode == "hold"} == ESSENTIALS | {"unproven"}
    assert "off" not in found.values()


def test_single_rules_are_changed_in_any_profile():
    found = modes(Profile.GUIDE, " overdue = hold:30 ,, paid=signal")
    assert (found["overdue"], found["paid"], found["void"]) == ("hold", "signal", "off")
    book = rule_book(Profile.GUIDE, parse_changes("overdue=hold:30"))
    assert [(one.rule.code, one.limit) for one in book.in_force] == [("overdue", 30)]


def test_a_limit_that_is_not_given_stays():
    book = rule_book(Profile.GUIDE, parse_changes("too_old=hold"))
    assert [(one.rule.code, one.limit) for one in book.in_force] == [("too_old", 180)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("overdu=hold", "there is no rule 'overdu'; the rules are: deleted, void, "),
        ("overdue", "overdue: must be one of off, signal, hold, such as overdue=signal"),
        ("overdue=Hold", "overdue: must be one of off, signal, hold"),
        (
            "overdue=hold:",
            "overdue: the limit must be a whole number of days, such as overdue=hold",
        ),
        ("overdue=hold:abc", "overdue: the limit must be a whole number of days"),
        ("overdue=hold:-1", "overdue: the limit must be a whole number of days"),
        ("overdue=hold:1.5", "overdue: the limit must be a whole number of days"),
        ("overdue=hold:٣", "overdue: the limit must be a whole number of days"),
        ("overdue=hold:99999999", "overdue: the limit must be a whole number of days"),
        ("paid=hold:3", "paid: has no limit; write paid=hold"),
        ("paid=off,paid=hold", "names paid twice; keep one of them"),
    ],
)
def test_a_misspelt_change_is_answered_with_the_fix(text: str, problem: str):
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_changes(text)


def test_every_change_makes_another_digest():
    texts = ["", "overdue=hold", "overdue=hold:1", "overdue=off", "paid=signal"]
    digests = {rule_book(p, parse_changes(text)).digest for p in Profile for text in texts}
    # The guide has `overdue=off` as its default, and the lender `overdue=hold`.
    assert len(digests) == len(Profile) * len(texts) - 2


def test_the_settings_know_every_profile():
    from service.config.settings import Settings

    kinds = Settings.model_fields["infactor_profile"].annotation
    assert set(get_args(kinds)) == set(Profile)


def test_the_catalogue_has_each_code_once_in_order():
    order = list(RuleCode)
    codes = list(CATALOGUE)
    assert codes == sorted(codes, key=order.index)
    assert all(rule.lender is not Mode.OFF for rule in CATALOGUE.values())
