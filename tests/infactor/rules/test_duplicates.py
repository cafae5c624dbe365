"""Which invoices are for one sale, and which of them is the duplicate."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from service.infactor.rules.book import parse_changes, rule_book
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.judge import judge
from service.infactor.rules.rule import Profile
from service.infactor.rules.twins import Twin, normal_name, normal_number, shared, twin_keys

BOTH = rule_book(Profile.GUIDE, parse_changes("duplicate=hold,duplicate_elsewhere=hold"))


def facts(**fields: Any) -> InvoiceFacts:
    given = {
        "number": "INV-1001",
        "total": Decimal("1250.50"),
        "balance": Decimal("1250.50"),
        "currency": "USD",
        "buyer": "Acme, Inc.",
        "emails": ("ap@acme.test",),
        "txn_date": date(2026, 11, 1),
        "created_ms": 2_000,
    }
    return InvoiceFacts(**{**given, **fields})


def twin(*, same_supplier: bool = True, state: str | None = None, **fields: Any) -> Twin:
    """Return an invoice entered before, with another number, amount, buyer and date."""
    other = {
        "number": "77",
        "total": Decimal(9),
        "buyer": "Zed",
        "emails": ("z@zed.test",),
        "txn_date": date(2026, 10, 1),
        "created_ms": 1_000,
        **fields,
    }
    return Twin(id="qbk-b", facts=facts(**other), same_supplier=same_supplier, state=state)


NUMBER = {"number": "inv 01001"}
AMOUNT = {"total": Decimal("1250.5000")}
NAME = {"buyer": "ACME Incorporated"}
EMAIL = {"emails": ("AP@acme.test",)}
DATE = {"txn_date": date(2026, 11, 1)}


@pytest.mark.parametrize(
    ("alike", "within", "across"),
    [
        ({}, None, None),
        (NUMBER, None, None),
        (AMOUNT, None, None),
        (NAME, None, None),
        (DATE, None, None),
        (AMOUNT | DATE, None, None),
        (NAME | AMOUNT, None, None),
        (NAME | DATE, None, None),
        (NUMBER | DATE, None, None),
        (NUMBER | EMAIL, None, None),
        (NUMBER | AMOUNT, "number and amount", None),
        (NUMBER | NAME, "number and buyer", None),
        (NUMBER | AMOUNT | DATE, "number, amount and date", "number, amount and date"),
        (NUMBER | AMOUNT | NAME, "number, buyer and amount", "number, buyer and amount"),
        (NUMBER | AMOUNT | EMAIL, "number, buyer and amount", "number, buyer and amount"),
        (NAME | AMOUNT | DATE, "buyer, amount and date", "buyer, amount and date"),
        (EMAIL | AMOUNT | DATE, "buyer, amount and date", "buyer, amount and date"),
        (NAME | AMOUNT | DATE | {"currency": "CAD"}, None, None),
        (NUMBER | AMOUNT | {"txn_date": date(2026, 5, 5)}, "number and amount", None),
        (NUMBER | AMOUNT | {"txn_date": date(2026, 5, 4)}, None, None),
    ],
)
def test_what_makes_two_invoices_one_sale(
    alike: dict[str, Any], within: str | None, across: str | None
):
    assert shared(facts(), twin(**alike), 180) == within
    assert shared(facts(), twin(same_supplier=False, **alike), 180) == across


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("INV-0010", "inv 10", True),
        ("INV-0010", "\uff29\uff2e\uff36\uff11\uff10", True),  # full-width letters and digits
        ("#1001", "1001", True),
        ("1001.", "1001", True),
        ("2026-007", "2026/7", True),
        ("1001", "10010", False),
        ("1001", "1010", False),
        ("1001A", "1001B", False),
        ("000", "0", True),
    ],
)
def test_a_number_reads_the_same(one: str, other: str, *, same: bool):
    assert (normal_number(one) == normal_number(other)) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Acme, Inc.", "ACME INC", True),
        ("Acme L.L.C.", "Acme", True),
        ("Acme:Dock 5", "Acme Ltd", True),
        ("Acme (deleted)", "Acme", True),
        ("Smith & Sons", "Smith Sons Co.", True),
        ("Acme", "Acme Holdings", False),
        ("Co", "Inc", False),
    ],
)
def test_a_name_reads_the_same(one: str, other: str, *, same: bool):
    assert (normal_name(one) == normal_name(other)) is same


def test_what_an_invoice_lacks_is_no_key():
    assert twin_keys(InvoiceFacts()) == (None, None, None, None)
    bare = twin_keys(facts(number=" - ", buyer="", emails=(), txn_date=None))
    assert bare == (None, None, None, None)
    odd = twin_keys(
        facts(number="\ud800 7", total=Decimal("1E+14"), buyer="\0", emails=("\ud800",))
    )
    assert [key is not None for key in odd] == [True, False, False, True]


def applied(mine: InvoiceFacts, *twins: Twin, **around: Any) -> dict[str, dict[str, str]]:
    circumstances = Circumstances(
        today=date(2026, 11, 30), currency="USD", id="qbk-a", twins=twins, **around
    )
    holds = judge(mine, circumstances, BOTH).holds
    return {one.code.value: dict(one.figures) for one in holds}


ALIKE = NUMBER | AMOUNT | NAME | DATE
FOUND = {"twin": "qbk-b", "number": "inv 01001", "shared": "buyer, amount and date"}


@pytest.mark.parametrize(
    ("other", "my_state", "is_duplicate"),
    [
        (twin(**ALIKE), None, True),
        (twin(**ALIKE | {"created_ms": 3_000}), None, False),
        (twin(**ALIKE | {"created_ms": 2_000}), None, False),  # then the lower id is the first
        # The one that was approved comes first, whenever it was entered.
        (twin(**ALIKE | {"created_ms": 3_000}, state="invoice_accepted"), None, True),
        (twin(**ALIKE | {"created_ms": 3_000}, state="ifactor_prepaid"), None, True),
        (twin(**ALIKE | {"created_ms": 3_000}, state="invoice_created"), None, False),
        (twin(**ALIKE | {"created_ms": 3_000}, state="ifactor_rejected"), None, False),
        # And what was approved has a twin, whichever was first.
        (twin(**ALIKE | {"created_ms": 3_000}), "invoice_accepted", True),
        # Entered again for good, unless Infactor has the old one all the same.
        (twin(**ALIKE, deleted=True), None, False),
        (twin(**ALIKE, deleted=True, state="invoice_created"), None, False),
        (twin(**ALIKE, deleted=True, state="invoice_rejected"), None, False),
        (twin(**ALIKE, deleted=True, state="invoice_accepted"), None, True),
        (twin(**ALIKE, deleted=True, state="completed"), None, True),
    ],
)
def test_which_one_is_the_duplicate(other: Twin, my_state: str | None, *, is_duplicate: bool):
    found = applied(facts(), other, state=my_state)
    assert found == ({"duplicate": FOUND} if is_duplicate else {})


def test_a_deleted_one_that_infactor_goes_on_offering_counts():
    other = twin(**ALIKE, deleted=True, state="invoice_created")
    assert applied(facts(), other, withdraws=False) == {"duplicate": FOUND}


def test_a_void_one_counts_with_what_it_was_for_once_it_was_approved():
    void = {**ALIKE, "total": Decimal(0), "total_before_void": Decimal("1250.50")}
    assert applied(facts(), twin(**void)) == {}
    assert applied(facts(), twin(**void, state="invoice_accepted")) == {"duplicate": FOUND}
    assert applied(facts(total=Decimal(0)), twin(**ALIKE)) == {}


def test_another_supplier_s_is_another_rule():
    assert applied(facts(), twin(same_supplier=False, **ALIKE)) == {"duplicate_elsewhere": FOUND}


def test_the_leading_twin_is_named():
    late = Twin(id="qbk-c", facts=facts(created_ms=1_500), same_supplier=True)
    approved = Twin(id="qbk-d", facts=facts(), same_supplier=True, state="invoice_accepted")
    named = [
        applied(facts(), *some)["duplicate"]["twin"]
        for some in [(late, twin(**ALIKE)), (approved, late, twin(**ALIKE))]
    ]
    assert named == ["qbk-b", "qbk-d"]
