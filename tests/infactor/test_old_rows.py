"""Rows of Infactor's old import: whose they are, which copy counts, what is held."""

import itertools
from decimal import Decimal
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId

from service.domain import State
from service.infactor.old_import.matching import OldRows, RecordedInvoice, is_copy, match

OURS = "qbk-aaaaaaaaaaaaaaaaaaaaaaaaaa"
OTHERS = "qbk-bbbbbbbbbbbbbbbbbbbbbbbbbb"
FIRST, SECOND, THIRD = "5c8a00000000000000000001", "5c8a00000000000000000002", "5c8a" + "f" * 20


def an_invoice(**fields: Any) -> RecordedInvoice:
    given = {
        "invoice_id": OURS,
        "quickbooks_id": "145",
        "doc_number": "1038",
        "buyer_emails": ("Buyer@example.com",),
        "buyer_name": "Rago Travel Agency",
        "total": Decimal("362.070000"),
    }
    return RecordedInvoice(**(given | fields))


def a_row(number: str = FIRST, **fields: Any) -> dict[str, Any]:
    """A row as the old import writes it; a field given as None is missing."""
    row = {
        "_id": ObjectId(number),
        "invoiceId": f"3b2ozliy4m{number[-1]}",
        "qbkInvoiceId": "145",
        "invoiceNo": "1038",
        "invoiceAmount": 362.07,
        "buyerEmail": "buyer@example.com",
        "companyEmail": "buyer@example.com",
        "companyName": "Rago Travel Agency",
        "contactName": "Rago Travel Agency",
        "state": "invoice_created",
        "created": 1552000000000.0,
    } | fields
    return {name: value for name, value in row.items() if value is not None}


ENDED = ("invoice_rejected", "ifactor_rejected", "ifactor_proposal_rejected", "completed")
NOBODY = {
    "buyerEmail": False,
    "companyEmail": False,
    "companyName": None,
    "contactName": None,
}
STRANGER = {
    "buyerEmail": "else@example.com",
    "companyEmail": "else@example.com",
    "companyName": "Somebody Else",
    "contactName": "Somebody Else",
}


def adopted(found: OldRows) -> dict[str, str]:
    return {invoice_id: str(row["_id"]) for invoice_id, row in found.adopted.items()}


def listed(found: OldRows) -> list[tuple[str, str]]:
    return [(str(row.get("_id")), why) for row, why in found.unexplained]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"qbkInvoiceId": 145},
        {"qbkInvoiceId": 145.0},
        {"qbkInvoiceId": Int64(145)},
        {"qbkInvoiceId": " 145 "},
        {"invoiceNo": 1038},
        {"invoiceNo": 1038.0},
        {"invoiceNo": "1038 "},
        {**NOBODY, "companyEmail": "BUYER@example.com"},
        {**NOBODY, "buyerEmail": "other@example.com, buyer@example.com"},
        {**NOBODY, "contactName": "  rago  travel AGENCY "},
        {**NOBODY, "companyName": "Rago Travel Agency (deleted)"},
        {**STRANGER, "companyName": "Rago Group:Rago Travel Agency"},
        {"invoiceAmount": "362.07"},
        {"invoiceAmount": Decimal128("362.070")},
        {"invoiceAmount": 362.06999999999994},
    ],
)
def test_id_and_number_and_buyer_and_amount_are_enough(fields: dict[str, Any]) -> None:
    found = match([an_invoice()], [a_row(**fields)])
    assert (adopted(found), listed(found), found.held) == ({OURS: FIRST}, [], frozenset())


BUYER_OR_AMOUNT = [
    {"invoiceAmount": 1, **NOBODY, "companyEmail": "BUYER@example.com"},
    {"invoiceAmount": "rubbish", **NOBODY, "contactName": "  rago  travel AGENCY "},
    {"invoiceAmount": None, **STRANGER, "companyName": "Rago Travel Agency"},
    STRANGER,
    {**NOBODY, "invoiceAmount": "362.070"},
]
DECIDED = [state for state in State if state not in (State.DRAFT, State.INVOICE_CREATED)]


@pytest.mark.parametrize("fields", BUYER_OR_AMOUNT)
def test_of_what_nobody_has_decided_buyer_or_amount_are_not_enough(fields: dict[str, Any]) -> None:
    found = match([an_invoice()], [a_row(**fields)])
    assert (adopted(found), found.held) == ({}, {"145"})
    assert listed(found) == [(FIRST, NO_AGREEMENT)]


@pytest.mark.parametrize("fields", BUYER_OR_AMOUNT)
@pytest.mark.parametrize("state", DECIDED)
def test_of_what_somebody_has_decided_they_are(fields: dict[str, Any], state: str) -> None:
    found = match([an_invoice()], [a_row(**fields, state=state)])
    assert (adopted(found), listed(found), found.held) == ({OURS: FIRST}, [], frozenset())


@pytest.mark.parametrize("fields", BUYER_OR_AMOUNT)
def test_and_they_are_for_a_copy_of_a_row_that_is_adopted(fields: dict[str, Any]) -> None:
    """The old import wrote another row for each change, and never changed the one before."""
    for rows in ([a_row(), a_row(SECOND, **fields)], [a_row(SECOND, **fields), a_row()]):
        found = match([an_invoice()], rows)
        assert (adopted(found), found.held) == ({OURS: FIRST}, frozenset())
        assert [str(row["_id"]) for row in found.copies[OURS]] == [SECOND]


def test_an_amount_is_the_same_to_the_decimals_of_its_currency() -> None:
    yen = an_invoice(total=Decimal(362), currency="JPY")
    assert adopted(match([yen], [a_row(invoiceAmount=361.9999)])) == {OURS: FIRST}
    assert adopted(match([yen], [a_row(invoiceAmount=361.4)])) == {}


NO_AGREEMENT = "neither buyer nor amount agree, or not enough of them"
OTHER_NUMBER = "another DocNumber than the invoice with this Id"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"invoiceNo": "1039"}, OTHER_NUMBER),
        ({"invoiceNo": "1038a"}, OTHER_NUMBER),
        ({"invoiceNo": "01038"}, OTHER_NUMBER),
        ({"invoiceNo": None}, OTHER_NUMBER),
        ({"invoiceNo": True}, OTHER_NUMBER),
        ({"invoiceNo": ["1038"]}, OTHER_NUMBER),
        ({"invoiceNo": 1038.5}, OTHER_NUMBER),
        ({**STRANGER, "invoiceAmount": 362.08}, NO_AGREEMENT),
        ({**STRANGER, "invoiceAmount": 362}, NO_AGREEMENT),
        ({**NOBODY, "invoiceAmount": True}, NO_AGREEMENT),
        ({**NOBODY, "invoiceAmount": float("nan")}, NO_AGREEMENT),
        ({**NOBODY, "invoiceAmount": float("inf")}, NO_AGREEMENT),
        ({**NOBODY, "invoiceAmount": "1E+999999999"}, NO_AGREEMENT),
        ({**NOBODY, "invoiceAmount": {"$numberDecimal": "362.07"}}, NO_AGREEMENT),
        ({**NOBODY, "invoiceAmount": None}, NO_AGREEMENT),
        ({**NOBODY, "invoiceAmount": None, "companyName": ["Rago Travel Agency"]}, NO_AGREEMENT),
        ({"state": None}, "its state is missing"),
        ({"state": "invoice_voided"}, "its state is invoice_voided"),
        ({"state": "draft"}, "its state is draft"),
        ({"state": {"$gt": ""}}, "its state is missing"),
        ({"_id": "3b2ozliy4m"}, "its _id is none that the old import gives"),
        ({"_id": FIRST}, "its _id is none that the old import gives"),
        ({"_id": 7}, "its _id is none that the old import gives"),
    ],
)
def test_what_does_not_agree_is_listed_and_holds_its_id(fields: dict[str, Any], why: str) -> None:
    row = a_row(**fields)
    found = match([an_invoice()], [row])
    assert (found.adopted, listed(found)) == ({}, [(str(row["_id"]), why)])
    assert found.held == {"145"}


@pytest.mark.parametrize("number", [None, "", "x", "145a", "-145", "١٤٥", True, 14.5, [145], {}])
def test_what_is_no_id_of_quickbooks_holds_nothing(number: object) -> None:
    found = match([an_invoice()], [a_row(qbkInvoiceId=number)])
    assert (found.adopted, found.held) == ({}, frozenset())
    assert listed(found) == [(FIRST, "its qbkInvoiceId is no Id of QuickBooks")]


def test_an_empty_row_is_listed() -> None:
    assert listed(match([an_invoice()], [{}])) == [
        ("None", "its qbkInvoiceId is no Id of QuickBooks")
    ]


def test_an_id_that_nobody_has_holds_that_id_alone() -> None:
    found = match([an_invoice()], [a_row(), a_row(SECOND, qbkInvoiceId="146")])
    assert (adopted(found), found.held) == ({OURS: FIRST}, {"146"})
    assert listed(found) == [(SECOND, "no invoice with this Id is recorded")]


def test_an_amount_of_zero_proves_nothing() -> None:
    void = an_invoice(total=Decimal(0))
    found = match([void], [a_row(**STRANGER, invoiceAmount=0)])
    assert (found.adopted, found.held) == ({}, {"145"})
    assert adopted(match([void], [a_row(invoiceAmount=0)])) == {}
    assert adopted(match([void], [a_row(invoiceAmount=0, state="invoice_accepted")])) == {
        OURS: FIRST
    }


@pytest.mark.parametrize(
    ("fields", "holds"),
    [
        ({}, False),
        ({"invoiceNo": ""}, False),
        ({"companyName": "X", "contactName": "X"}, False),
        ({"invoiceAmount": 1}, True),
        (STRANGER, True),
        ({"invoiceNo": "undefined"}, True),
    ],
)
def test_without_a_number_buyer_and_amount_must_agree(fields: dict[str, Any], holds: bool) -> None:
    row = a_row(**{"invoiceNo": None, **fields})
    found = match([an_invoice(doc_number="")], [row])
    assert (found.held == {"145"}, OURS in found.adopted) == (holds, not holds)


WORKFLOW = [
    (State.INVOICE_CREATED, State.INVOICE_REJECTED),
    (State.INVOICE_ACCEPTED,),
    (State.IFACTOR_REQUEST, State.IFACTOR_REJECTED),
    (State.IFACTOR_PROPOSED, State.IFACTOR_PROPOSAL_REJECTED),
    (State.IFACTOR_PROPOSAL_ACCEPTED,),
    (State.IFACTOR_PREPAID,),
    (State.INVOICE_PAID,),
    (State.COMPLETED,),
]


@pytest.mark.parametrize(
    ("behind", "ahead"),
    [
        (less, more)
        for before, after in itertools.pairwise(WORKFLOW)
        for less in before
        for more in after
    ],
)
def test_of_copies_the_one_furthest_in_the_workflow_is_adopted(behind: str, ahead: str) -> None:
    rows = [a_row(FIRST, state=behind, created=1.0), a_row(SECOND, state=ahead, created=2.0)]
    for given in (rows, rows[::-1]):
        found = match([an_invoice()], given)
        assert (adopted(found), found.held) == ({OURS: SECOND}, frozenset())
        assert [row for row, _ in listed(found)] == [FIRST]


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [
        ({"created": 2.0}, {"created": 1.0}, SECOND),
        ({"created": 2}, {"created": "1"}, SECOND),
        ({"created": None}, {"created": 1.0}, SECOND),
        ({"created": "long ago"}, {"created": 1.0}, SECOND),
        ({"created": 1.0}, {"created": 1.0}, FIRST),
        ({"created": None}, {"created": None}, FIRST),
        ({"state": "invoice_rejected", "created": 1.0}, {"created": 2.0}, SECOND),
        ({"state": "draft", "created": 1.0}, {"created": 2.0}, SECOND),
        ({"state": None, "created": 1.0}, {"created": 2.0}, SECOND),
    ],
)
def test_of_those_as_far_it_is_one_that_can_go_on_then_the_oldest(
    first: dict[str, Any], second: dict[str, Any], best: str
) -> None:
    rows = [a_row(FIRST, **first), a_row(SECOND, **second)]
    for given in (rows, rows[::-1]):
        found = match([an_invoice()], given)
        assert (adopted(found), found.held) == ({OURS: best}, frozenset())


def test_copies_are_listed_with_whether_they_can_still_be_financed() -> None:
    rows = [
        a_row(FIRST, state="ifactor_prepaid"),
        a_row(SECOND),
        a_row(THIRD, state="ifactor_rejected"),
    ]
    assert listed(match([an_invoice()], rows)) == [
        (SECOND, "copy of 3b2ozliy4m1; can still be financed"),
        (THIRD, "copy of 3b2ozliy4m1; has come to its end"),
    ]


def test_an_adopted_row_stays_adopted_and_its_copies_stay_listed() -> None:
    known = an_invoice(adopted=SECOND)
    found = match([known], [a_row(FIRST, state="completed"), a_row(SECOND)])
    assert (adopted(found), found.held) == ({OURS: SECOND}, frozenset())
    assert listed(found) == [(FIRST, "copy of 3b2ozliy4m2; has come to its end")]


def test_once_the_adopted_row_is_delivered_its_copies_are_still_copies() -> None:
    known = an_invoice(adopted=SECOND, document_id="3b2ozliy4m2")
    found = match([known], [a_row(FIRST)])
    assert (found.adopted, found.held) == ({}, frozenset())
    assert listed(found) == [(FIRST, "copy of 3b2ozliy4m2; can still be financed")]


def test_beside_a_document_of_our_own_nothing_is_adopted() -> None:
    found = match([an_invoice(own_document=True, deliverable=True)], [a_row()])
    assert (found.adopted, found.held) == ({}, frozenset())
    assert listed(found) == [(FIRST, f"copy of {OURS}; can still be financed")]


@pytest.mark.parametrize(
    ("state", "goes_on"),
    [
        *((state, state not in ENDED) for state in State),
        ("no_such_state", True),
        (None, True),
    ],
)
def test_only_a_copy_that_can_still_be_financed_doubles_its_invoice(
    state: str | None, goes_on: bool
) -> None:
    found = match([an_invoice(own_document=True)], [a_row(state=state)])
    assert [str(row["_id"]) for row in found.copies.get(OURS, [])] == ([FIRST] if goes_on else [])
    assert found.held == frozenset()


@pytest.mark.parametrize(
    ("fields", "copy"),
    [
        ({}, True),
        (STRANGER, True),
        ({"invoiceAmount": 1}, True),
        ({**STRANGER, "invoiceAmount": 1}, False),
        ({"invoiceNo": "77"}, False),
    ],
)
def test_a_strangers_row_is_no_copy(fields: dict[str, Any], copy: bool) -> None:
    assert is_copy(an_invoice(), a_row(**fields)) is copy


@pytest.mark.parametrize("known", [{"own_document": True}, {}])
def test_a_strangers_row_neither_doubles_nor_becomes_a_document(known: dict[str, Any]) -> None:
    """Though it has the invoice's Id and number, and somebody has decided about it."""
    theirs = a_row(**STRANGER, invoiceAmount=1, state="ifactor_request")
    found = match([an_invoice(**known)], [theirs])
    assert (found.adopted, found.copies) == ({}, {})
    assert listed(found) == [(FIRST, NO_AGREEMENT)]


def test_a_row_that_comes_while_its_invoice_may_be_delivered_is_held_first() -> None:
    found = match([an_invoice(deliverable=True)], [a_row()])
    assert (found.adopted, found.held) == ({}, {"145"})
    assert listed(found) == [(FIRST, "came after the first check, and is adopted at the next one")]


@pytest.mark.parametrize(
    ("known", "held"),
    [
        ([{}], {"145"}),
        ([{"delivered": True}], set()),
        ([{"own_document": True}], set()),
        ([{"delivered": True}, {"invoice_id": OTHERS}], {"145"}),
    ],
)
def test_an_unexplained_row_holds_its_id_unless_each_invoice_has_its_document(
    known: list[dict[str, Any]], held: set[str]
) -> None:
    found = match([an_invoice(**one) for one in known], [a_row(invoiceNo="77")])
    assert found.held == held


@pytest.mark.parametrize("state", [*State, "no_such_state"])
def test_what_was_adopted_before_holds_its_id_for_as_long_as_it_can_go_on(state: str) -> None:
    found = match([an_invoice()], [a_row(invoiceNo="77", qbkRevision=3, state=state)])
    assert found.held == (frozenset() if state in ENDED else {"145"})
    assert listed(found) == [(FIRST, "another DocNumber than the invoice with this Id")]


def test_an_unexplained_row_holds_the_id_of_an_adopted_one_too() -> None:
    found = match([an_invoice()], [a_row(FIRST), a_row(SECOND, invoiceNo="77")])
    assert (adopted(found), found.held) == ({OURS: FIRST}, {"145"})


@pytest.mark.parametrize("known", [{"own_document": True}, {"adopted": SECOND}])
def test_a_strangers_row_holds_no_invoice_that_was_delivered_before(known: dict[str, Any]) -> None:
    """It could not be withdrawn any more, and its delivery offers nothing anew."""
    stranger = a_row(FIRST, invoiceNo="77")
    found = match([an_invoice(**known, delivered=True)], [stranger])
    assert (listed(found), found.held) == ([(FIRST, OTHER_NUMBER)], frozenset())
    another = an_invoice(invoice_id=OTHERS, doc_number="2000")
    assert match([an_invoice(**known, delivered=True), another], [stranger]).held == {"145"}


def test_ids_of_several_companies_are_told_apart_by_number() -> None:
    other = an_invoice(invoice_id=OTHERS, doc_number="2000")
    rows = [a_row(FIRST, invoiceNo="2000"), a_row(SECOND)]
    found = match([an_invoice(), other], rows)
    assert adopted(found) == {OTHERS: FIRST, OURS: SECOND}
    assert (listed(found), found.held) == ([], frozenset())


def test_of_companies_with_the_same_id_and_number_the_one_that_agrees_in_most_is_meant() -> None:
    other = an_invoice(invoice_id=OTHERS, buyer_emails=(), buyer_name="Another Buyer")
    assert adopted(match([other, an_invoice()], [a_row()])) == {OURS: FIRST}


def test_what_fits_two_companies_alike_is_nobodys() -> None:
    found = match([an_invoice(), an_invoice(invoice_id=OTHERS)], [a_row()])
    assert (found.adopted, found.held) == ({}, {"145"})
    assert listed(found) == [(FIRST, "fits invoices of several companies")]


def test_a_row_that_another_companys_invoice_has_is_not_adopted_twice() -> None:
    theirs = an_invoice(invoice_id=OTHERS, buyer_emails=(), buyer_name="", adopted=FIRST)
    found = match([an_invoice(), theirs], [a_row()])
    assert (adopted(found), listed(found)) == ({OTHERS: FIRST}, [])
