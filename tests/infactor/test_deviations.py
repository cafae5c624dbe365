"""Who is the same buyer by another name, and what reads the same, raises no alarm."""

from decimal import Decimal
from typing import Any

import pytest

from service.infactor.buyers import same_address, same_name
from service.infactor.deviations import DecisionBasis, deviations

DOCUMENT = {
    "companyName": "Closing Co",
    "buyerEmail": "ap3@buyer.example",
    "invoiceNo": "1038",
    "invoiceAmount": Decimal("362.07"),
    "taxAmount": Decimal("22.00"),
    "payableDate": "2026-10-29",
}


def told(
    approved: dict[str, Any],
    mapped: dict[str, Any],
    customers: tuple[str | None, str | None] = ("7", "7"),
    balances: tuple[str, str] = ("362.07", "362.07"),
    currencies: tuple[str, str] = ("USD", "USD"),
) -> list[tuple[str, str]]:
    """Return (field, severity) of what is told of an approved document."""
    then, now = (
        DecisionBasis(balance=Decimal(balance), currency=currency, customer_id=customer)
        for balance, currency, customer in zip(balances, currencies, customers, strict=True)
    )
    found = deviations(DOCUMENT | approved, DOCUMENT | mapped, then, now, "invoice_accepted")
    return [(one.field, one.severity.value) for one in found]


NAMES = [
    ("Closing Co", "Closing Co (deleted)"),
    ("Closing Co (deleted)", "Closing Co"),
    ("Closing Co", "closing  CO "),
    ("Closing Co", "Closing Co (Deleted) (deleted)"),
    ("Closing Co", "Closing Co (deleted 2)"),
    ("Closing Co", "Closing\u200b Co"),
    ("Closing Co", "Closing\u00a0Co"),
    ("Marsh Group:Dock 5", "Marsh Group (deleted):Dock 5 (deleted)"),
    ("Marsh Group:Dock 5", "marsh group : dock 5"),
]
PATHS = [
    ("Dock 5", "Marsh Group:Dock 5"),
    ("Marsh Group:Dock 5", "Dock 5"),
    ("Dock 5", "Marsh Holdings:Marsh Group:Dock 5 (deleted)"),
    ("Marsh Group:Dock 5", "Marsh Holdings:Marsh Group:Dock 5"),
]
RENAMED = [
    ("Closing Co", "Opening Co"),
    ("Dock 5", "Dock 15"),
    ("Marsh Group:Dock 5", "Harbour:Dock 5"),
    ("Dock 5", "Dock 5:Gate 1"),
    ("", "Closing Co"),
    ("Closing Co", "(deleted)"),
]


@pytest.mark.parametrize(("before", "after"), [*NAMES, *PATHS])
def test_the_same_customer_by_a_name_that_reads_the_same(before: str, after: str) -> None:
    assert told({"companyName": before}, {"companyName": after}) == []


@pytest.mark.parametrize(("before", "after"), RENAMED)
def test_a_renamed_customer_is_information(before: str, after: str) -> None:
    assert told({"companyName": before}, {"companyName": after}) == [("companyName", "info")]


@pytest.mark.parametrize(("before", "after"), [*PATHS, *RENAMED])
@pytest.mark.parametrize("customers", [("7", "8"), (None, "7"), ("7", None), (None, None)])
def test_another_customer_is_critical(
    before: str, after: str, customers: tuple[str | None, str | None]
) -> None:
    found = told({"companyName": before}, {"companyName": after}, customers)
    assert ("companyName", "critical") in found


@pytest.mark.parametrize(("before", "after"), NAMES)
def test_another_customer_whose_name_reads_the_same_is_another_customer(
    before: str, after: str
) -> None:
    texts = {"companyName": before}, {"companyName": after}
    assert told(*texts, ("7", "8")) == [("customer", "critical")]
    assert told(*texts, (None, "8")) == []


@pytest.mark.parametrize(
    ("after", "findings"),
    [
        ("AP3@Buyer.example", []),
        (" ap3@buyer.example", []),
        ("ap3@buyer.example\u200b", []),
        ("ap4@buyer.example", [("buyerEmail", "critical")]),
        ("", [("buyerEmail", "critical")]),
    ],
)
def test_an_address_is_read_without_regard_to_case(
    after: str, findings: list[tuple[str, str]]
) -> None:
    assert told({}, {"buyerEmail": after}) == findings


@pytest.mark.parametrize("field", ["invoiceAmount", "taxAmount"])
def test_a_residue_in_an_amount_is_no_difference(field: str) -> None:
    residue = {field: DOCUMENT[field] - Decimal("0.00000000000006")}
    assert told(residue, {}) == told({}, residue) == []
    assert len(told({field: 1}, {})) == 1


def test_a_residue_in_the_balance_is_no_difference() -> None:
    assert told({}, {}, balances=("362.07", "362.06999999999994")) == []
    assert told({}, {}, balances=("362.07", "362.06")) == [("balance", "critical")]
    yen = ("JPY", "JPY")
    assert told({}, {}, balances=("362", "362.4"), currencies=yen) == []
    assert told({}, {}, balances=("362", "361.4"), currencies=yen) == [("balance", "critical")]


def test_a_currency_is_read_without_regard_to_case() -> None:
    assert told({}, {}, currencies=("USD", "usd ")) == []
    assert told({}, {}, currencies=("USD", "XXX")) == [("currency", "critical")]


def test_a_day_is_the_day_whatever_time_of_it() -> None:
    assert told({"payableDate": "2026-10-29T00:00:00-08:00"}, {}) == []
    assert told({"payableDate": "2026-10-28"}, {}) == [("payableDate", "warning")]


def test_nothing_is_like_nothing() -> None:
    assert not same_name("", "", same_customer=True)
    assert not same_name(None, "x", same_customer=True)
    assert not same_address("", "")
