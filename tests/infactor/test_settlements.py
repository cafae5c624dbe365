"""What the linked transactions say of how an invoice was settled."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from service.infactor.settlements import (
    Settlement,
    Transaction,
    credits_in,
    links_of,
    settlements_of,
)

INVOICE, CREDIT, JOURNAL = ("Invoice", "1"), ("CreditMemo", "5"), ("JournalEntry", "6")
PAYMENT = Transaction("Payment", "9")


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


def memo(item: str = "Pens", account: str = "Sales") -> dict[str, Any]:
    detail = {
        "ItemRef": {"value": "3", "name": item},
        "ItemAccountRef": {"value": "79", "name": account},
    }
    return {
        "Id": "5",
        "DocNumber": "CN-5",
        "TxnDate": "2026-11-15",
        "TotalAmt": Decimal(30),
        "CustomerRef": {"value": "7", "name": "Buyer Seven"},
        "Line": [
            {"Amount": Decimal(30), "DetailType": "SalesItemLineDetail"}
            | {"SalesItemLineDetail": detail},
            {"Amount": Decimal(30), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        ],
    }


def journal(side: str = "Credit", amount: str = "20") -> dict[str, Any]:
    """Return an entry that books this side of a customer's debt, and the other on bad debts."""
    other = {"Credit": "Debit", "Debit": "Credit"}[side]
    customer = {"Type": "Customer", "EntityRef": {"value": "8", "name": "Buyer Eight"}}
    receivable = {"PostingType": side, "AccountRef": {"value": "84", "name": "A/R"}}
    lost = {"PostingType": other, "AccountRef": {"value": "90", "name": "Bad Debts"}}
    lines = [lost, {**receivable, "Entity": customer}]
    return {
        "Id": "6",
        "DocNumber": "JE-6",
        "TxnDate": "2026-11-20",
        "Line": [
            {"Amount": Decimal(amount), "DetailType": "JournalEntryLineDetail"}
            | {"JournalEntryLineDetail": detail}
            for detail in lines
        ],
    }


def settled(
    read: dict[tuple[str, str], Any], *links: tuple[str, str], due: str = "0"
) -> list[Settlement]:
    invoice = {
        "Id": "1",
        "TotalAmt": Decimal(100),
        "Balance": Decimal(due),
        "LinkedTxn": [{"TxnType": entity, "TxnId": id_} for entity, id_ in links or [PAYMENT]],
    }
    return settlements_of(invoice, {Transaction(*link): raw for link, raw in read.items()})


def parts(found: list[Settlement]) -> list[tuple[str, str]]:
    return [(one.kind.value, f"{one.amount:f}") for one in found]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (payment((INVOICE, "100")), [("cash", "100")]),
        (payment((INVOICE, "60"), (INVOICE, "40")), [("cash", "100")]),
        (payment((INVOICE, "100"), (("Invoice", "2"), "50")), [("cash", "100")]),
        (payment((INVOICE, "100"), (CREDIT, "100")), [("credit_note", "100")]),
        (payment((INVOICE, "100"), (CREDIT, "30")), [("cash", "70"), ("credit_note", "30")]),
        (payment((INVOICE, "100"), (JOURNAL, "-100"), TotalAmt=0), [("write_off", "100")]),
        (
            payment((INVOICE, "100"), (JOURNAL, "20"), (CREDIT, "30"), TotalAmt=50),
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
    assert parts(settled({PAYMENT: found})) == expected


def test_invoices_that_one_payment_settles_share_its_credit() -> None:
    """Each shows all that may be its own, and the shares are no more than the credit."""
    others = [(("Invoice", str(n)), "100") for n in range(2, 10)]
    paid = payment((INVOICE, "200"), *others, (CREDIT, "100"))
    (cash, note) = settled({PAYMENT: paid})
    assert parts([cash, note]) == [("cash", "100"), ("credit_note", "100")]
    assert (cash.share, note.share) == (100, 20)
    (cash, note) = settled({PAYMENT: payment((INVOICE, "100"), (CREDIT, "30"))})
    assert (cash.share, note.share) == (70, 30)


def test_each_says_who_when_on_which_account_and_by_which_paper() -> None:
    paid = payment((INVOICE, "100"), (CREDIT, "30"), (JOURNAL, "20"), PaymentRefNum="W-1")
    cash, credit, lost = settled(
        {PAYMENT: paid, CREDIT: memo(), JOURNAL: journal(), ("Account", "35"): {"Name": "Checking"}}
    )
    applied, buyer = date(2026, 11, 30), "Buyer Seven"
    told = [
        (one.source_id, one.payment_id, one.on, one.payer, one.account, one.number, one.dated)
        for one in (cash, credit, lost)
    ]
    assert told == [
        ("9", "9", applied, buyer, "Checking", "W-1", None),
        ("5", "9", applied, buyer, "Sales", "CN-5", date(2026, 11, 15)),
        ("6", "9", applied, "Buyer Eight", "Bad Debts", "JE-6", date(2026, 11, 20)),
    ]
    (unnamed,) = settled({PAYMENT: payment((INVOICE, "100"))})
    assert unnamed.account == "Id 35"


def test_a_journal_entry_that_asks_for_more_is_paid_and_settles_nothing() -> None:
    paid = payment((INVOICE, "100"), (JOURNAL, "20"))
    assert parts(settled({PAYMENT: paid, JOURNAL: journal("Debit")})) == [("cash", "100")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"TotalAmt": 80}, [("cash", "80"), ("write_off", "20")]),
        ({"TotalAmt": 95, "UnappliedAmt": 15}, [("cash", "80"), ("write_off", "20")]),
        ({"TotalAmt": 120}, [("cash", "100")]),
        ({}, [("cash", "100")]),
    ],
)
def test_by_the_payment_s_cash_one_that_was_not_read_is_a_credit_or_asks_for_more(
    fields: dict[str, int], expected: list[tuple[str, str]]
) -> None:
    paid = payment((INVOICE, "100"), (JOURNAL, "20"), **fields)
    assert parts(settled({PAYMENT: paid})) == expected


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("Pens", "Sales"), "credit_note"),
        (("Bad debts", "Expenses"), "write_off"),
        (("Pens", "Uncollectible accounts"), "write_off"),
        (("Write-off", "Other"), "write_off"),
    ],
)
def test_a_credit_memo_for_a_bad_debt_is_a_write_off(names: tuple[str, str], kind: str) -> None:
    paid = payment((INVOICE, "30"), (CREDIT, "30"))
    assert parts(settled({PAYMENT: paid, CREDIT: memo(*names)})) == [(kind, "30")]


def test_what_the_invoice_itself_names_settles_what_no_payment_explains() -> None:
    paid = payment((INVOICE, "60"))
    read = {PAYMENT: paid, CREDIT: memo(), JOURNAL: journal()}
    found = settled(read, PAYMENT, CREDIT, JOURNAL)
    assert parts(found) == [("cash", "60"), ("credit_note", "30"), ("write_off", "10")]
    assert [(one.payment_id, one.on) for one in found[1:]] == [
        ("", date(2026, 11, 15)),
        ("", date(2026, 11, 20)),
    ]
    assert parts(settled(read, CREDIT, due="100")) == []
    assert parts(settled({}, CREDIT)) == [("credit_note", "100")]


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([{"TxnId": "9", "TxnType": "Payment"}], [("Payment", "9")]),
        (
            [{"TxnId": 9, "TxnType": "Payment"}, {"TxnId": "9", "TxnType": "Payment"}],
            [("Payment", "9")],
        ),
        ([{"TxnId": "77", "TxnType": "Estimate"}, {"TxnId": "x", "TxnType": "Payment"}], []),
        ([{"TxnId": "5", "TxnType": "CreditMemo"}], [("CreditMemo", "5")]),
        (None, []),
        ("?", []),
    ],
)
def test_what_an_invoice_links_to(links: Any, expected: list[tuple[str, str]]) -> None:
    assert links_of({"LinkedTxn": links}) == expected


def test_a_payment_names_its_credits() -> None:
    lines = [(INVOICE, "100"), (JOURNAL, "20"), (CREDIT, "30"), (CREDIT, "5")]
    assert credits_in(payment(*lines)) == [JOURNAL, CREDIT]
