"""The rules about dates, on the days around each limit."""

from datetime import date

import pytest

from service.domain import RuleCode
from service.infactor.rules.book import parse_changes, rule_book
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.judge import judge
from service.infactor.rules.rule import Profile

DATES = {
    "no_due_date",
    "overdue",
    "due_too_soon",
    "terms_too_long",
    "too_old",
    "future_dated",
    "backdated",
}


def applies(today: str, rule: str, **dates: str | None) -> dict[str, str] | None:
    """Return the figures with which this rule, `code[=limit]`, applies; None if it does not."""
    code, _, limit = rule.partition("=")
    change = f"{code}=hold:{limit}" if limit else f"{code}=hold"
    facts = InvoiceFacts(**{n: date.fromisoformat(d) if d else None for n, d in dates.items()})
    around = Circumstances(today=date.fromisoformat(today), currency="USD")
    book = rule_book(Profile.GUIDE, parse_changes(change))
    holds = judge(facts, around, book).holds
    assert [one.code for one in holds] in ([], [RuleCode(code)])
    return dict(holds[0].figures) if holds else None


@pytest.mark.parametrize(
    ("today", "rule", "due", "applied"),
    [
        ("2026-11-30", "overdue", "2026-11-30", False),
        ("2026-12-01", "overdue", "2026-11-30", True),
        ("2026-12-30", "overdue=30", "2026-11-30", False),
        ("2026-12-31", "overdue=30", "2026-11-30", True),
        ("2026-11-30", "overdue", None, False),
        ("2026-11-30", "due_too_soon", "2026-12-06", True),
        ("2026-11-30", "due_too_soon", "2026-12-07", False),
        ("2026-11-30", "due_too_soon", "2026-11-30", True),
        ("2026-11-30", "due_too_soon", "2026-11-29", False),
        ("2026-11-30", "due_too_soon=0", "2026-11-30", False),
        ("2026-11-30", "due_too_soon", None, False),
        ("2026-11-30", "no_due_date", None, True),
        ("2026-11-30", "no_due_date", "2026-12-07", False),
    ],
)
def test_the_due_date(today: str, rule: str, due: str | None, *, applied: bool):
    figures = applies(today, rule, due_date=due)
    assert figures == (None if not applied else {"due": due} if due else {})


@pytest.mark.parametrize(
    ("rule", "dated", "due", "applied"),
    [
        ("terms_too_long", "2026-01-01", "2026-05-01", False),
        ("terms_too_long", "2026-01-01", "2026-05-02", True),
        ("terms_too_long=30", "2026-01-01", "2026-01-31", False),
        ("terms_too_long=30", "2026-01-01", "2026-02-01", True),
        ("terms_too_long", "2026-01-01", None, False),
    ],
)
def test_the_time_to_pay(rule: str, dated: str, due: str | None, *, applied: bool):
    figures = applies("2026-11-30", rule, txn_date=dated, due_date=due)
    assert figures == ({"dated": dated, "due": due} if applied else None)


@pytest.mark.parametrize(
    ("today", "rule", "dated", "applied"),
    [
        ("2026-06-30", "too_old", "2026-01-01", False),
        ("2026-07-01", "too_old", "2026-01-01", True),
        ("2026-01-02", "too_old=0", "2026-01-01", True),
        ("2026-01-01", "future_dated", "2026-01-02", False),
        ("2026-01-01", "future_dated", "2026-01-03", True),
        ("2026-01-01", "future_dated=0", "2026-01-02", True),
    ],
)
def test_the_invoices_own_date(today: str, rule: str, dated: str, *, applied: bool):
    assert applies(today, rule, txn_date=dated) == ({"dated": dated} if applied else None)
    # Without one the day counts on which it was entered.
    assert applies(today, rule, created=dated) == ({"dated": dated} if applied else None)


@pytest.mark.parametrize(
    ("created", "applied"), [("2026-01-31", False), ("2026-02-01", True), ("2025-12-01", False)]
)
def test_an_invoice_entered_long_after_its_date(created: str, *, applied: bool):
    figures = applies("2026-11-30", "backdated", txn_date="2026-01-01", created=created)
    assert figures == ({"dated": "2026-01-01", "created": created} if applied else None)


@pytest.mark.parametrize("code", sorted(DATES))
def test_an_invoice_without_dates_is_judged_all_the_same(code: str):
    assert applies("2026-11-30", code) == ({} if code == "no_due_date" else None)
