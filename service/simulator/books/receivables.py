"""What each customer owes, which QuickBooks keeps as the customer's Balance."""

from collections.abc import Iterable
from decimal import Decimal

from service.simulator.books.totals import money
from service.simulator.records import Json

MOST_LEVELS = 6
"""A customer, and sub-customers five deep."""

_NOTHING = Decimal(0)


def owed(entity: str, data: Json) -> Decimal:
    """Return what a transaction adds to its customer's balance; credits take away from it."""
    if entity == "Invoice":
        return money(data, "Balance")
    if entity == "CreditMemo":
        return -money(data, "Balance")
    return -money(data, "UnappliedAmt") if entity == "Payment" else _NOTHING


def customer_of(data: Json) -> str:
    """Return the Id of a transaction's customer, "" if it names none."""
    reference = data.get("CustomerRef")
    return str(reference.get("value") or "") if isinstance(reference, dict) else ""


def parent_of(customer: Json) -> str:
    """Return the Id of a customer's parent, "" if it has none."""
    reference = customer.get("ParentRef")
    return str(reference.get("value") or "") if isinstance(reference, dict) else ""


def owing(customer: Json, amount: Decimal, *, itself: bool) -> Json:
    """Return the customer owing so much more, itself or by one of its sub-customers.

    A balance that the record does not have is not added.
    """
    names = ("Balance", "BalanceWithJobs") if itself else ("BalanceWithJobs",)
    return {**customer, **{n: money(customer, n) + amount for n in names if n in customer}}


def with_balances(customers: Iterable[Json], amounts: Iterable[tuple[str, Decimal]]) -> list[Json]:
    """Return the customers with what they owe; `amounts` are (customer's Id, what is added)."""
    known = {customer["Id"]: customer for customer in customers}
    for owner, amount in amounts:
        customer_id = owner
        for _ in range(MOST_LEVELS):
            if customer_id not in known:
                break
            known[customer_id] = owing(known[customer_id], amount, itself=customer_id == owner)
            customer_id = parent_of(known[customer_id])
    return list(known.values())
