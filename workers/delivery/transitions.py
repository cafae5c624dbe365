"""What it means that a document is not as it was last seen: functions of values alone.

Infactor's server enforces no state, so what we hold back can be moved on all the same; and a buyer
can approve in the very minutes in which QuickBooks changes what is approved. Whoever sees the new
state first, a delivery or a poll, tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from service.database.tables import Document, Invoice
from service.domain import APPROVED, Hold, Severity, State
from service.infactor.bson import from_bson, to_bson
from service.infactor.collection import DocumentState, marks_of
from service.infactor.deviations import InvoiceFacts, deviations, text_of
from service.store.findings import Found

# A page that shows the old amount can stay open for so long.
HURRY = timedelta(minutes=15)
MONEY = ("invoiceAmount", "payableDate", "taxAmount", "items")
_BACK = frozenset({State.INVOICE_CREATED, State.INVOICE_REJECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChange:
    """An invoice's document as it was last seen, and as it is now; None where there is none.

    `withdrawn` is the reason for which we withdrew it, as far as its marker is known.
    """

    invoice: Invoice
    before: Document | None
    after: DocumentState | None
    withdrawn: str | None

    @property
    def moved(self) -> bool:
        """True where somebody decided."""
        return self.after is not None and self.after.state != self.state_before

    @property
    def marked(self) -> bool:
        """True where remark or marker are others than we know."""
        known = self.before.document if self.before else {}
        return self.after is not None and self.after.marks != marks_of(known)

    @property
    def undecided(self) -> bool:
        """True where nobody has decided, or somebody has taken that back."""
        return self.after is not None and self.after.state == State.INVOICE_CREATED

    @property
    def astray(self) -> bool:
        """True where an undecided document is at another revision than the one delivered.

        Somebody restored a backup of Infactor's database or of ours, or a worker was very late.
        """
        return (
            self.after is not None
            and self.before is not None
            and self.undecided
            and self.after.revision != self.before.revision
            and self.invoice.delivered_revision >= self.invoice.revision
        )

    @property
    def approved(self) -> bool:
        """True where a buyer has said yes since the document was last seen."""
        approved = self.after is not None and self.after.state in APPROVED
        return approved and self.state_before not in APPROVED

    @property
    def state_before(self) -> str:
        """The state in which it was last seen; empty where it never was."""
        return self.before.state if self.before else ""


def missing(change: DocumentChange) -> list[Found]:
    """Return the finding that Infactor has no document any more, where it had one."""
    if change.before is None or change.after is not None:
        return []
    state = change.before.state
    return [
        Found(
            field="document",
            severity=Severity.CRITICAL,
            state=state,
            approved="there",
            current="gone",
        )
    ]


def moved_past_hold(change: DocumentChange) -> list[Found] | None:
    """Return the finding that is so now, none where it is not, None where all stays as it was.

    An invoice that got its hold after it was approved was not held back: what QuickBooks says of
    it differs from what was approved, which is told as that.
    """
    hold, withdrawn = change.invoice.hold, change.withdrawn
    if change.after is None:
        return None
    state = change.after.state
    if state in _BACK or not (hold or withdrawn):
        return []
    if not withdrawn and (not change.moved or change.state_before not in {*_BACK, ""}):
        return None
    why = f"withdrawn: {withdrawn}" if withdrawn else f"held back: {hold}"
    return [
        Found(field="state", severity=Severity.CRITICAL, state=state, approved=why, current=state)
    ]


def changed_before_approval(
    change: DocumentChange, written: Mapping[str, tuple[Any, Any]]
) -> list[Found]:
    """Return which amounts were written over in the last minutes before the approval.

    `written` holds what deliveries wrote since then, by field: from what to what.
    """
    if change.after is None or not change.approved:
        return []
    return [
        Found(
            field=name,
            severity=Severity.WARNING,
            state=change.after.state,
            approved=text_of(before),
            current=text_of(after),
        )
        for name, (before, after) in written.items()
        if name in MONEY
    ]


def changed_after_approval(
    change: DocumentChange,
    approved: Mapping[str, Any],
    mapped: Mapping[str, Any] | None,
    currency: str,
) -> list[Found]:
    """Return what is not as it was approved; an invoice that names no currency is in this one.

    `approved` is the document in stored types, `mapped` what is recorded, in exact JSON.
    """
    invoice, seen = change.invoice, change.before
    state = change.after.state if change.after else ""
    then = (
        InvoiceFacts(
            balance=seen.balance, currency=seen.currency or currency, customer_id=seen.customer_id
        )
        if seen
        else None
    )
    facts = InvoiceFacts(
        balance=invoice.balance,
        currency=invoice.currency or currency,
        customer_id=invoice.customer_id,
        hold=Hold(invoice.hold) if invoice.hold else None,
        deleted=invoice.deleted,
    )
    return [
        Found(
            field=one.field,
            severity=one.severity,
            state=state,
            approved=one.approved,
            current=one.current,
        )
        for one in deviations(from_bson(approved), from_bson(to_bson(mapped)), then, facts, state)
    ]
