"""What a payment says of how an invoice was settled."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from service.infactor.settlements import payments_of, settlements_of

INVOICE, CREDIT, JOURNAL = ("Invoice", "1"), ("CreditMemo", "5"), ("JournalEntry", "6")


def payment(*lines: tuple[tuple[str, str], str], **fields: Any) -> dict[str, Any]:
    return {
        "Id": "9",
        "TxnDate": "2026-11-30",
        "CustomerRef": {"value": "7", "name": "Buyer Seven"},
        "DepositToAccountRef": {"value": "35"},
        "Line": [
            {"Amount": Decimal(amount), "LinkedTxn": [{"TxnType": kind, "TxnId": id_}]}
            for (kind, id_), amount in lines
        ],
        **fields,
    }


def parts(found: dict[str, Any], invoice_id: str = "1") -> list[tuple[str, str]]:
    return [(one.kind.value, f"{one.amount:f}") for one in settlements_of(invoice_id, found)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (payment((INVOICE, "100")), [("cash", "100")]),
        (payment((INVOICE, "60"), (INVOICE, "40")), [("cash", "100")]),
        (payment((INVOICE, "100"), (("Invoice", "2"), "50")), [("cash", "100")]),
        (payment((INVOICE, "100"), (CREDIT, "100")), [("credit_note", "100")]),
        (payment((INVOICE, "100"), (CREDIT, "30")), [("cash", "70"), ("credit_note", "30")]),
        (payment((INVOICE, "100"), (JOURNAL, "-100")), [("write_off", "100")]),
        (
            payment((INVOICE, "100"), (CREDIT, "30"), (JOURNAL, "20")),
            [("cash", "50"), ("credit_note", "30"), ("write_off", "20")],
        ),
        # Which invoice took the credit, nobody says: it is counted in full, and no cash too many.
        (
            payment((INVOICE, "40"), (("Invoice", "2"), "60"), (CREDIT, "50")),
            [("credit_note", "40")],
        ),
        (payment((("Invoice", "2"), "60")), []),
        (payment(), []),
        ({"Id": "9"}, []),
        ({"Id": "9", "Line": "?"}, []),
        ({"Id": "9", "Line": [{"Amount": "1", "LinkedTxn": [{}]}, {"LinkedTxn": "?"}, 3]}, []),
    ],
)
def test_a_payment_says_how_an_invoice_was_settled(
    found: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert parts(found) == expected


def test_it_says_who_paid_when_and_into_which_account() -> None:
    (cash, credit) = settlements_of("1", payment((INVOICE, "100"), (CREDIT, "30")))
    assert (cash.payment_id, cash.on, cash.payer, cash.account) == (
        *("9", date(2026, 11, 30)),
        *("Buyer Seven", "Id 35"),
    )
    assert (credit.payer, credit.account) == ("Buyer Seven", "")


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([{"TxnId": "9", "TxnType": "Payment"}], ["9"]),
        ([{"TxnId": 9, "TxnType": "Payment"}, {"TxnId": "9", "TxnType": "Payment"}], ["9"]),
        ([{"TxnId": "77", "TxnType": "Estimate"}, {"TxnId": "x", "TxnType": "Payment"}], []),
        (None, []),
        ("?", []),
    ],
)
def test_the_payments_are_those_that_the_invoice_links_to(links: Any, expected: list[str]) -> None:
    assert payments_of({"LinkedTxn": links}) == expected
