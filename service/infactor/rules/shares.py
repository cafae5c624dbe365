"""The shares of a buyer's account, and which hours were busy: figures that move seldom."""

from collections.abc import Collection, Mapping
from decimal import ROUND_CEILING, Decimal

from service.domain import RuleCode
from service.infactor.rules.circumstances import AccountShares

ACCOUNT_RULES = frozenset({RuleCode.SET_OFF, RuleCode.CROSS_AGED, RuleCode.CONCENTRATION})
COUNTED_RULES = ACCOUNT_RULES | {RuleCode.BURST}
"""The rules that ask for what is counted of a whole company."""

_FEWEST_BUYERS = 3
_FEWEST_INVOICES = 5
_FEWEST_OF_A_BUYER = 2
_MOST_PERCENT = 1_000  # fits the column, whatever is shared by almost nothing

_FEWEST_HOURS = 10
_TIMES_THE_USUAL = 3


def account_of(
    *,
    invoices: int,
    open_amount: Decimal,
    overdue: Decimal,
    credit: Decimal,
    buyers: int,
    all_invoices: int,
    all_open: Decimal,
    before: AccountShares,
) -> AccountShares:
    """Return a buyer's account from their own amounts, all above zero, and the supplier's.

    `before` is the account as last counted. Its share of the supplier says nothing with fewer than
    3 buyers or 5 open invoices, and its overdue share nothing with a single invoice.
    """
    many = buyers >= _FEWEST_BUYERS and all_invoices >= _FEWEST_INVOICES
    return AccountShares(
        concentration=percent(open_amount, all_open, before.concentration) if many else None,
        overdue=percent(overdue, open_amount, before.overdue)
        if invoices >= _FEWEST_OF_A_BUYER
        else None,
        credit=percent(max(credit, Decimal(0)), open_amount, before.credit),
    )


def percent(part: Decimal, whole: Decimal, before: int | None) -> int:
    """Return the share in percent, rounded up; `before` stays until it is wrong by a whole percent.

    So a share that swings around a limit does not change what is offered all day.
    """
    exact = part * 100 / whole
    if before is not None and abs(exact - before) < 1:
        return before
    return int(min(exact, Decimal(_MOST_PERCENT)).to_integral_value(ROUND_CEILING))


def busy_hours(entered: Mapping[int, int], limit: int, before: Collection[int]) -> list[int]:
    """Return in which hours more than `limit` invoices were entered, and more than three times as
    many as in the others, on average. `entered` is how many by the hour, of those with any.

    It takes ten other hours to know what is usual. An hour that was busy `before` stays so.
    """
    hours, total = len(entered), sum(entered.values())
    if hours <= _FEWEST_HOURS:
        return sorted(hour for hour in before if hour in entered)
    return sorted(
        hour
        for hour, count in entered.items()
        if count > limit
        and (hour in before or count * (hours - 1) > _TIMES_THE_USUAL * (total - count))
    )
