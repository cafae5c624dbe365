"""The rules about the invoice itself and how it came to be, around each limit."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from service.domain import RuleCode
from service.infactor.rules.book import parse_changes, rule_book
from service.infactor.rules.circumstances import Circumstances, NumberGap
from service.infactor.rules.facts import InvoiceFacts, decoded, encoded
from service.infactor.rules.judge import judge
from service.infactor.rules.rule import Mode, Profile

TODAY = date(2026, 11, 30)


def applies(rule: str, facts: InvoiceFacts, **around: Any) -> dict[str, str] | None:
    """Return the figures with which this rule, `code[=limit]`, applies; None if it does not."""
    code, _, limit = rule.partition("=")
    change = f"{code}=hold:{limit}" if limit else f"{code}=hold"
    book = rule_book(Profile.GUIDE, parse_changes(change))
    holds = judge(facts, Circumstances(today=TODAY, currency="USD", **around), book).holds
    assert [one.code for one in holds] in ([], [RuleCode(code)])
    assert all(str(one) for one in holds)
    return dict(holds[0].figures) if holds else None


def amount(total: str, balance: str | None = None, **fields: Any) -> InvoiceFacts:
    left = total if balance is None else balance
    return InvoiceFacts(total=Decimal(total), balance=Decimal(left), **fields)


@pytest.mark.parametrize(("sent", "found"), [(True, None), (False, {}), (None, None)])
def test_not_sent(sent: bool | None, found: dict[str, str] | None):
    assert applies("not_sent", amount("10", sent=sent)) == found


def test_lines_differ():
    facts = amount("5000.00", lines_total=Decimal("100.00"))
    assert applies("lines_differ", facts) == {"lines": "100.00", "total": "5000.00"}
    assert applies("lines_differ", amount("5000.00")) is None


@pytest.mark.parametrize(
    ("balance", "online", "found"),
    [("10", True, {}), ("10", False, None), ("0", True, None)],
)
def test_pay_link(balance: str, online: bool, found: dict[str, str] | None):
    assert applies("pay_link", amount("10", balance, online_payment=online)) == found


@pytest.mark.parametrize(
    ("rule", "total", "found"),
    [
        ("round_amount", "1000.00", True),
        ("round_amount", "25000", True),
        ("round_amount", "1000.01", False),
        ("round_amount", "1500", False),
        ("round_amount=500", "1500", True),
        ("round_amount=0", "1500", False),
        ("round_amount", "0", False),
        ("round_amount", "-1000", False),
        ("round_amount", "999999999999000", True),
    ],
)
def test_round_amount(rule: str, total: str, *, found: bool):
    assert applies(rule, amount(total)) == ({"total": total} if found else None)


@pytest.mark.parametrize(
    ("rule", "missing", "found"),
    [
        ("number_gap", 10, False),
        ("number_gap", 11, True),
        ("number_gap=0", 0, False),
        ("number_gap=0", 1, True),
    ],
)
def test_number_gap(rule: str, missing: int, *, found: bool):
    facts = amount("10", number="1050")
    figures = applies(rule, facts, numbers_missing=NumberGap("1000", missing))
    expected = {"number": "1050", "before": "1000", "missing": str(missing)}
    assert figures == (expected if found else None)
    assert applies(rule, facts) is None


@pytest.mark.parametrize(
    ("rule", "days", "last"),
    [
        ("edited_often", ["2026-11-01", "2026-11-02", "2026-11-02", "2026-11-30"], "2026-11-30"),
        # The first day is thirty days ago.
        ("edited_often", ["2026-10-31", "2026-11-02", "2026-11-02", "2026-11-30"], None),
        ("edited_often", ["2026-11-02", "2026-11-02", "2026-11-30"], None),
        ("edited_often=0", ["2026-11-02"], "2026-11-02"),
        ("edited_often=0", ["2026-12-24"], "2026-12-24"),
        ("edited_often=0", [], None),
    ],
)
def test_edited_often(rule: str, days: list[str], last: str | None):
    facts = amount("10", edited=tuple(map(date.fromisoformat, days)))
    assert applies(rule, facts) == ({"last": last} if last else None)


def test_burst():
    facts = amount("10")
    hour = "2026-11-30 14:00 UTC"
    assert applies("burst", facts, busy_hour=hour) == {"hour": hour}
    assert applies("burst", facts) is None


def test_a_lender_holds_what_is_not_sent_or_differs_and_signals_the_rest():
    modes = {one.rule.code.value: one.mode for one in rule_book(Profile.LENDER).every}
    assert (modes["not_sent"], modes["lines_differ"]) == (Mode.HOLD, Mode.HOLD)
    signs = ("pay_link", "round_amount", "number_gap", "edited_often", "burst")
    assert {modes[code] for code in signs} == {Mode.SIGNAL}


def test_the_facts_stand_in_a_column():
    facts = amount(
        "5000.00",
        sent=False,
        online_payment=True,
        lines_total=Decimal("100.00"),
        edited=(date(2026, 11, 1), date(2026, 11, 1)),
        created_ms=1_764_511_200_000,
    )
    assert decoded(encoded(facts)) == facts
