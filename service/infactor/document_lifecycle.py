"""Decides what happens to a document, from its state, the mapped invoice and the hold.

    not there          no hold: create           hold: hold
    invoice_created    no hold: refresh          hold: withdraw
    rejected by us     no hold: restore          hold: unchanged
    anything else      frozen

"Rejected by us" means `invoice_rejected` with our marker and exactly our remark. So a buyer who
rejects, or an operator who edits the remark, has the last word. Nothing else writes a document.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from service.domain import Action, RuleCode, State
from service.infactor.quickbooks_records import MOST_MONEY
from service.infactor.rules.catalogue import is_marker, public, remark

SUPPLIER = ("supplierEmail", "supplierName", "supplierAddress")
"""Rewritten only when the company was handed over to another supplier."""

IDENTITY = ("invoiceId", "state", "created", "source", "qbkInvoiceId", *SUPPLIER)
"""Written at creation and never again by a refresh, like the constants below."""

CONSTANTS = ("purchaseDocs", "grnNo", "grnDate", "grnAmount", "companyType", "companyPhone")

QUICKBOOKS_OWNED = (
    "invoiceNo",
    "invoiceAmount",
    "invoiceDate",
    "payableDate",
    "taxAmount",
    "items",
    "taxDetails",
    "companyName",
    "contactName",
    "buyerEmail",
    "companyEmail",
    "purchaseDate",
    "purchaseTitle",
    "purchaseNo",
    "purchaseAmount",
)
"""Refreshed while nobody has decided about the invoice."""

REMARK = "buyerInvoiceRemark"
MARKER = "qbkWithdrawn"
"""Holds the reason why we withdrew the invoice, as `public` gives it; absent if we did not."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do; `document` is the whole new document, None if nothing is to be written.

    `changed` names the fields that differ, even if they may not be written: findings report those.
    """

    action: Action
    document: dict[str, Any] | None = None
    changed: tuple[str, ...] = ()


def decide(
    current: Mapping[str, Any] | None,
    mapped: Mapping[str, Any] | None,
    hold: RuleCode | None,
    *,
    withdraw: bool = True,
    handed_over: bool = False,
) -> Decision:
    """Return what happens to the document `current`, which is None if Infactor has none.

    Both documents must hold numbers in the same form. With `withdraw=False` an existing document is
    neither withdrawn nor restored; while undecided it is refreshed, whatever the hold.
    `handed_over`: the document belongs to the company's former supplier, and whatever is written
    into it puts it into the new one's name, also where nothing else changes.
    `mapped` is None for an invoice that was never read, or not since it was handed over: its
    document is withdrawn like any other, and nothing else is written.
    """
    if mapped is None:
        return _decide_unread(current, hold, withdraw=withdraw)
    if current is None:
        return Decision(Action.HOLD) if hold else Decision(Action.CREATE, dict(mapped))
    renewed = (*QUICKBOOKS_OWNED, *SUPPLIER) if handed_over else QUICKBOOKS_OWNED
    changed = tuple(
        name for name in renewed if name not in current or current[name] != mapped[name]
    )
    if handed_over:
        current = {**current, **{name: mapped[name] for name in SUPPLIER}}
    action = action_of(
        current.get("state") or "",
        hold,
        withdrawn=is_withdrawn(current),
        changed=bool(changed),
        withdraw=withdraw,
    )
    document = None
    if action is Action.WITHDRAW and hold:
        document = _withdrawn(current, hold)
    elif action is Action.REFRESH:
        document = _refreshed(current, mapped)
    elif action is Action.RESTORE:
        document = _restored(current, mapped)
    elif action is Action.UNCHANGED and not set(SUPPLIER).isdisjoint(changed):
        document = dict(current)
    return Decision(action, document, changed)


def _decide_unread(
    current: Mapping[str, Any] | None, hold: RuleCode | None, *, withdraw: bool
) -> Decision:
    if current is None:
        return Decision(Action.HOLD)
    action = action_of(
        current.get("state") or "", hold, withdrawn=is_withdrawn(current), withdraw=withdraw
    )
    if action is Action.WITHDRAW and hold:
        return Decision(action, _withdrawn(current, hold))
    return Decision(Action.UNCHANGED if action is Action.RESTORE else action)


def action_of(
    state: str | None,
    hold: RuleCode | None,
    *,
    withdrawn: bool,
    changed: bool = False,
    withdraw: bool = True,
) -> Action:
    """Return what is done to a document in this state; None if there is none.

    `withdrawn`: whether `is_withdrawn` says so of it. `changed`: whether a field of it differs.
    """
    if state is None:
        return Action.HOLD if hold else Action.CREATE
    if state == State.INVOICE_CREATED:
        if hold and withdraw:
            return Action.WITHDRAW
        return Action.REFRESH if changed else Action.UNCHANGED
    if withdrawn and hold:
        return Action.UNCHANGED
    return Action.RESTORE if withdrawn and withdraw else Action.FROZEN


def is_withdrawn(document: Mapping[str, Any]) -> bool:
    """Return whether we withdrew the document and nobody has changed that since."""
    marker = document.get(MARKER)
    return (
        document.get("state") == State.INVOICE_REJECTED
        and is_marker(marker)
        and document.get(REMARK) == remark(str(marker))
    )


def columns_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of our table for this document: state, document, withdrawn, marked, and
    total, which is None for an amount that the record cannot hold.
    """
    return {
        "state": document["state"],
        "document": document,
        "withdrawn": is_withdrawn(document),
        "marked": MARKER in document,
        "total": _total(document.get("invoiceAmount")),
    }


def _total(amount: object) -> Decimal | None:
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return None
    known = Decimal(amount)
    return known if known.is_finite() and abs(known) < MOST_MONEY else None


def _refreshed(current: Mapping[str, Any], mapped: Mapping[str, Any]) -> dict[str, Any]:
    return {**current, **{name: mapped[name] for name in QUICKBOOKS_OWNED}}


def _withdrawn(current: Mapping[str, Any], hold: RuleCode) -> dict[str, Any]:
    marker = public(hold)
    ours = {"state": State.INVOICE_REJECTED.value, REMARK: remark(marker), MARKER: marker}
    return {**current, **ours}


def _restored(current: Mapping[str, Any], mapped: Mapping[str, Any]) -> dict[str, Any]:
    fresh = _refreshed(current, mapped) | {"state": State.INVOICE_CREATED.value}
    return {name: value for name, value in fresh.items() if name not in (REMARK, MARKER)}
