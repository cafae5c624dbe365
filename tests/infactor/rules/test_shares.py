"""The shares of a buyer's account, and busy hours: what is counted, and that it moves seldom."""

from decimal import Decimal

import pytest

from service.infactor.rules.circumstances import AccountShares
from service.infactor.rules.shares import account_of, busy_hours, percent


def account(
    invoices: int = 5,
    open_amount: str = "100",
    overdue: str = "0",
    credit: str = "0",
    buyers: int = 3,
    all_invoices: int = 10,
    all_open: str = "400",
    before: AccountShares | None = None,
) -> AccountShares:
    return account_of(
        invoices=invoices,
        open_amount=Decimal(open_amount),
        overdue=Decimal(overdue),
        credit=Decimal(credit),
        buyers=buyers,
        all_invoices=all_invoices,
        all_open=Decimal(all_open),
        before=before or AccountShares(),
    )


def test_an_account_in_percent():
    assert account(overdue="40", credit="7.01") == AccountShares(25, 40, 8)
    assert account(overdue="100", credit="250") == AccountShares(25, 100, 250)


@pytest.mark.parametrize(
    ("buyers", "all_invoices", "share"), [(3, 5, 25), (2, 5, None), (3, 4, None), (1, 100, None)]
)
def test_the_share_of_a_few_buyers_or_invoices_says_nothing(
    buyers: int, all_invoices: int, share: int | None
):
    assert account(buyers=buyers, all_invoices=all_invoices).concentration == share


def test_a_single_invoice_that_is_overdue_says_nothing_of_others():
    assert account(invoices=1, overdue="100").overdue is None
    assert account(invoices=2, overdue="100").overdue == 100


def test_a_balance_above_the_invoices_is_no_credit():
    assert account(credit="-50").credit == 0


@pytest.mark.parametrize(
    ("part", "before", "share"),
    [
        ("25", None, 25),
        ("25.01", None, 26),
        # Around a limit of 25 it swings without a change.
        ("25.1", 25, 25),
        ("24.9", 26, 25),
        ("24.9", 25, 25),
        ("25.99", 25, 25),
        ("26", 25, 26),
        ("25.01", 26, 26),
        ("25", 26, 25),
        ("0", 0, 0),
        ("0.01", None, 1),
    ],
)
def test_a_share_moves_by_a_whole_percent_at_least(part: str, before: int | None, share: int):
    assert percent(Decimal(part), Decimal(100), before) == share


def test_a_share_fits_its_column_whatever_it_is_of():
    assert percent(Decimal("8999999999999"), Decimal("0.000001"), None) == 1_000


@pytest.mark.parametrize(
    ("counts", "busy"),
    [
        # The tenth other hour makes a habit.
        ([2] * 10 + [21], [10]),
        ([2] * 9 + [21], []),
        ([2] * 10 + [20], []),
        # Three times as many as usual, and no more.
        ([7] * 10 + [21], []),
        ([7] * 10 + [22], [10]),
        # Who enters all of a month at once has that habit.
        ([50] * 12, []),
        ([], []),
    ],
)
def test_busy_hours(counts: list[int], busy: list[int]):
    assert busy_hours(dict(enumerate(counts)), limit=20, before=[]) == busy


def test_a_busy_hour_stays_so_while_it_is_counted():
    later = dict(enumerate([30] * 10 + [21]))
    assert busy_hours(later, limit=20, before=[]) == []
    assert busy_hours(later, limit=20, before=[10, 99]) == [10]
    assert busy_hours({10: 21}, limit=20, before=[10, 99]) == [10]
    assert busy_hours(later, limit=21, before=[10]) == []
