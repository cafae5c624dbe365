"""What becomes of an Infactor document, for every state, hold, marker and remark."""

from decimal import Decimal
from typing import Any

import pytest

from service.domain import Action, RuleCode, State
from service.infactor.document_lifecycle import (
    CONSTANTS,
    IDENTITY,
    QUICKBOOKS_OWNED,
    Decision,
    decide,
    is_withdrawn,
)
from service.infactor.mapping import SupplierDetails, map_invoice
from service.infactor.rules.catalogue import CATALOGUE

PAID = "Automatic, from QuickBooks: paid, not a decision of your buyer"
VOIDED = "Automatic, from QuickBooks: voided, not a decision of your buyer"
WITHDRAWN = {"state": "invoice_rejected", "buyerInvoiceRemark": PAID, "qbkWithdrawn": "paid"}
BY_THE_BUYER = {"state": "invoice_rejected", "buyerInvoiceRemark": "wrong goods"}
STATES = [state.value for state in State]
MOVED_ON = [s for s in STATES if s not in ("invoice_created", "invoice_rejected")]


def a_document(total: str = "10.00", **fields: Any) -> dict[str, Any]:
    raw = {
        "Id": "1",
        "MetaData": {"CreateTime": "2026-09-29T05:58:07-07:00"},
        "TotalAmt": Decimal(total),
        "BillEmail": {"Address": "buyer@example.com"},
    }
    mapped = map_invoice(raw, [], SupplierDetails("s@example.com", "S", "local"), "qbk-1")
    return {**mapped.document, **fields}


def action(current: dict[str, Any] | None, hold: RuleCode | None, **more: Any) -> str:
    return decide(current, a_document(), hold, **more).action.value


def test_every_field_is_identity_constant_or_quickbooks_owned() -> None:
    fields = [*IDENTITY, *CONSTANTS, *QUICKBOOKS_OWNED]

    assert sorted(fields) == sorted(a_document())


def test_infactor_knows_twelve_states() -> None:
    assert STATES == [
        "draft",
        "invoice_created",
        "invoice_rejected",
        "invoice_accepted",
        "ifactor_request",
        "ifactor_rejected",
        "ifactor_proposed",
        "ifactor_proposal_accepted",
        "ifactor_proposal_rejected",
        "ifactor_prepaid",
        "invoice_paid",
        "completed",
    ]


@pytest.mark.parametrize("withdraw", [True, False])
@pytest.mark.parametrize("hold", CATALOGUE)
def test_a_held_invoice_is_not_created(hold: RuleCode, withdraw: bool) -> None:
    assert decide(None, a_document(), hold, withdraw=withdraw) == Decision(Action.HOLD)


@pytest.mark.parametrize("withdraw", [True, False])
def test_an_invoice_without_a_hold_is_created_as_mapped(withdraw: bool) -> None:
    decision = decide(None, a_document(), None, withdraw=withdraw)

    assert decision == Decision(Action.CREATE, a_document())


ROWS = [
    # current document, hold, action, action with INFACTOR_WITHDRAW=off
    ({"state": "invoice_created"}, None, "unchanged", "unchanged"),
    ({"state": "invoice_created"}, RuleCode.PAID, "withdraw", "unchanged"),
    ({"state": "invoice_created", "qbkWithdrawn": "paid"}, None, "unchanged", "unchanged"),
    ({"state": "invoice_created", "invoiceAmount": 9}, None, "refresh", "refresh"),
    ({"state": "invoice_created", "invoiceAmount": 9}, RuleCode.VOID, "withdraw", "refresh"),
    (WITHDRAWN, RuleCode.PAID, "unchanged", "unchanged"),
    (WITHDRAWN, RuleCode.DELETED, "unchanged", "unchanged"),
    ({**WITHDRAWN, "invoiceAmount": 9}, RuleCode.PAID, "unchanged", "unchanged"),
    (WITHDRAWN, None, "restore", "frozen"),
    ({**WITHDRAWN, "buyerInvoiceRemark": VOIDED}, None, "frozen", "frozen"),
    ({**WITHDRAWN, "buyerInvoiceRemark": PAID + "."}, None, "frozen", "frozen"),
    ({**WITHDRAWN, "buyerInvoiceRemark": None}, None, "frozen", "frozen"),
    ({**WITHDRAWN, "buyerInvoiceRemark": "no"}, RuleCode.PAID, "frozen", "frozen"),
    ({**WITHDRAWN, "qbkWithdrawn": "void"}, None, "frozen", "frozen"),
    ({**WITHDRAWN, "qbkWithdrawn": "whatever"}, None, "frozen", "frozen"),
    ({**WITHDRAWN, "qbkWithdrawn": ["paid"]}, None, "frozen", "frozen"),
    ({"state": "invoice_rejected", "buyerInvoiceRemark": PAID}, None, "frozen", "frozen"),
    ({"state": "invoice_rejected"}, None, "frozen", "frozen"),
    (BY_THE_BUYER, None, "frozen", "frozen"),
    (BY_THE_BUYER, RuleCode.PAID, "frozen", "frozen"),
    ({"state": None}, None, "frozen", "frozen"),
    ({"state": "invoice_voided"}, RuleCode.VOID, "frozen", "frozen"),
    *(({"state": s}, hold, "frozen", "frozen") for s in MOVED_ON for hold in (None, RuleCode.PAID)),
    *(({**WITHDRAWN, "state": s}, None, "frozen", "frozen") for s in MOVED_ON),
]


@pytest.mark.parametrize(("fields", "hold", "on", "off"), ROWS)
def test_state_hold_marker_and_remark_give_the_action(
    fields: dict[str, Any], hold: RuleCode | None, on: str, off: str
) -> None:
    current = a_document(**fields)

    assert action(current, hold) == on
    assert action(current, hold, withdraw=False) == off


def test_a_document_without_a_state_is_left_alone() -> None:
    current = a_document()
    del current["state"]

    assert action(current, None) == action(current, RuleCode.PAID) == "frozen"


@pytest.mark.parametrize(
    ("fields", "hold"),
    [
        ({}, None),
        (WITHDRAWN, RuleCode.PAID),
        (BY_THE_BUYER, None),
        ({"state": "invoice_accepted", "invoiceAmount": 9}, None),
    ],
)
def test_unchanged_and_frozen_write_nothing(fields: dict[str, Any], hold: RuleCode | None) -> None:
    assert decide(a_document(**fields), a_document(), hold).document is None


@pytest.mark.parametrize("field", QUICKBOOKS_OWNED)
def test_a_difference_in_any_quickbooks_owned_field_is_refreshed(field: str) -> None:
    decision = decide(a_document(**{field: "old"}), a_document(), None)

    assert decision == Decision(Action.REFRESH, a_document(), (field,))


@pytest.mark.parametrize("field", QUICKBOOKS_OWNED)
def test_a_quickbooks_owned_field_that_is_missing_is_refreshed(field: str) -> None:
    current = a_document()
    del current[field]

    assert decide(current, a_document(), None).changed == (field,)


@pytest.mark.parametrize("field", [*CONSTANTS, *(f for f in IDENTITY if f != "state")])
def test_a_difference_in_any_other_field_is_not_refreshed(field: str) -> None:
    assert action(a_document(**{field: "theirs"}), None) == "unchanged"


def test_a_refresh_leaves_identity_constants_and_workflow_alone() -> None:
    theirs = {
        "_id": "qbk-1",
        "invoiceId": "adopted",
        "created": 1,
        "source": "Quickbook",
        "supplierEmail": "Other@example.com",
        "companyType": "Paper",
        "invoiceDocs": "/uploads/x",
        "financerEmail": "f@example.com",
    }

    decision = decide(a_document("9.00", **theirs), a_document("10.00"), None)

    assert decision.document == a_document("10.00", **theirs)
    assert decision.changed == ("invoiceAmount", "purchaseAmount")


@pytest.mark.parametrize(
    ("theirs", "hold", "action"),
    [
        ({"state": "invoice_created"}, None, "refresh"),
        ({"state": "invoice_created"}, RuleCode.PAID, "withdraw"),
        (WITHDRAWN, None, "restore"),
        (WITHDRAWN, RuleCode.PAID, "unchanged"),
    ],
)
def test_what_is_written_after_a_hand_over_is_in_the_new_suppliers_name(
    theirs: dict[str, Any], hold: RuleCode | None, action: str
) -> None:
    former = {"supplierEmail": "former@example.com", "supplierName": "F", "supplierAddress": "F"}
    decision = decide(a_document(**theirs, **former), a_document(), hold, handed_over=True)

    assert decision.action.value == action
    assert decision.document is not None
    assert decision.document["supplierEmail"] == "s@example.com"
    assert "F" not in (decision.document["supplierName"], decision.document["supplierAddress"])


@pytest.mark.parametrize("hold", [None, RuleCode.PAID])
def test_what_is_in_the_new_suppliers_name_already_is_not_written_again(
    hold: RuleCode | None,
) -> None:
    there = a_document(**(WITHDRAWN if hold else {}))
    assert decide(there, a_document(), hold, handed_over=True) == Decision(Action.UNCHANGED)


@pytest.mark.parametrize(
    ("current", "hold", "withdraw", "action", "state"),
    [
        (None, None, True, "hold", None),
        (None, RuleCode.DELETED, True, "hold", None),
        ({"state": "invoice_created"}, None, True, "unchanged", None),
        ({"state": "invoice_created"}, RuleCode.DELETED, True, "withdraw", "invoice_rejected"),
        ({"state": "invoice_created"}, RuleCode.DELETED, False, "unchanged", None),
        (WITHDRAWN, RuleCode.DELETED, True, "unchanged", None),
        (WITHDRAWN, None, True, "unchanged", None),
        ({"state": "ifactor_prepaid"}, RuleCode.DELETED, True, "frozen", None),
    ],
)
def test_an_invoice_of_which_no_content_is_known_is_withdrawn_and_nothing_else(
    current: dict[str, Any] | None,
    hold: RuleCode | None,
    withdraw: bool,
    action: str,
    state: str | None,
) -> None:
    there = None if current is None else a_document(**current)
    decision = decide(there, None, hold, withdraw=withdraw, handed_over=True)

    assert decision.action.value == action
    assert (decision.document or {}).get("state") == state
    assert decision.changed == ()


@pytest.mark.parametrize("theirs", [{"state": "ifactor_prepaid"}, BY_THE_BUYER])
def test_a_hand_over_leaves_what_was_decided(theirs: dict[str, Any]) -> None:
    current = a_document(**theirs, supplierEmail="former@example.com")
    decision = decide(current, a_document(), None, handed_over=True)

    assert (decision.action, decision.document) == (Action.FROZEN, None)


def test_equal_money_in_other_digits_is_no_difference() -> None:
    assert action(a_document(invoiceAmount=Decimal("10.0"), purchaseAmount=10), None) == "unchanged"


def test_a_withdrawal_changes_the_state_the_remark_and_the_marker_only() -> None:
    current = a_document("10.00", invoiceDocs="/uploads/x")

    decision = decide(current, a_document("0"), RuleCode.VOID)

    assert decision.action == "withdraw"
    assert decision.document == {
        **current,
        "state": "invoice_rejected",
        "buyerInvoiceRemark": "Automatic, from QuickBooks: voided, not a decision of your buyer",
        "qbkWithdrawn": "void",
    }
    assert decision.changed == ("invoiceAmount", "purchaseAmount")


@pytest.mark.parametrize("hold", CATALOGUE)
def test_a_withdrawal_is_recognised_and_restored_whatever_its_reason(hold: RuleCode) -> None:
    current = a_document("9.00", invoiceDocs="/uploads/x")
    withdrawn = decide(current, a_document(), hold).document

    assert withdrawn is not None
    assert is_withdrawn(withdrawn)
    restored = decide(withdrawn, a_document("10.00"), None)
    assert restored.action == "restore"
    assert restored.document == a_document("10.00", invoiceDocs="/uploads/x")


def test_a_frozen_document_reports_what_quickbooks_says_now() -> None:
    current = a_document("10.00", state="invoice_accepted")

    assert decide(current, a_document("12.00"), None).changed == (
        "invoiceAmount",
        "purchaseAmount",
    )
    assert decide(current, a_document("10.00"), None) == Decision(Action.FROZEN)


def test_neither_document_is_changed() -> None:
    current, mapped = a_document("9.00", **WITHDRAWN), a_document("10.00")

    decide(current, mapped, None)
    decide({**current, "state": "invoice_created"}, mapped, RuleCode.PAID)

    assert current == a_document("9.00", **WITHDRAWN)
    assert mapped == a_document("10.00")
