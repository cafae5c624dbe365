"""Findings about documents: what a change of one means, and opening and closing them.

Infactor enforces no states, so a held invoice can be moved on all the same. A buyer can also
approve in the minutes in which QuickBooks changes an invoice.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import structlog
from sqlalchemy.orm import Session

from service.database.tables import Document, Invoice
from service.domain import APPROVED, Action, FindingKind, RuleCode, Severity, State
from service.infactor.collection import DocumentState, marks_of
from service.infactor.deviations import OVER, DecisionBasis, deviations, text_of
from service.infactor.document_lifecycle import action_of, is_withdrawn
from service.infactor.mongo import from_bson, to_bson
from service.infactor.rules.catalogue import CATALOGUE, public
from service.infactor.rules.judge import reasons_of
from service.store import documents, findings, infactor_outbox, invoice_events, invoice_twins
from service.store.event_feed import Happening
from service.store.findings import Found
from service.store.infactor_outbox import Outgoing

_AT_APPROVAL = frozenset(code for code, rule in CATALOGUE.items() if rule.at_approval)

log = structlog.get_logger(__name__)

# A buyer's page with the old amount can stay open for so long.
HURRY = timedelta(minutes=15)
MONEY = ("invoiceAmount", "payableDate", "taxAmount", "items")
_BACK = frozenset({State.INVOICE_CREATED, State.INVOICE_REJECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChange:
    """An invoice's document as last seen and as it is now; None if there is none.

    `withdrawn` is our reason for withdrawing it, if its marker is known.
    """

    invoice: Invoice | Outgoing
    before: Document | None
    after: DocumentState | None
    withdrawn: str | None

    @property
    def moved(self) -> bool:
        """True if the state has changed."""
        return self.after is not None and self.after.state != self.state_before

    @property
    def marked(self) -> bool:
        """True if the remark or marker differ from those last seen."""
        known = self.before.document if self.before else {}
        return self.after is not None and self.after.marks != marks_of(known)

    @property
    def undecided(self) -> bool:
        """True if nobody has decided, or the decision was taken back."""
        return self.after is not None and self.after.state == State.INVOICE_CREATED

    @property
    def astray(self) -> bool:
        """True if an undecided document is at another revision than the one delivered.

        A backup was restored, or a worker was very late.
        """
        return (
            self.after is not None
            and self.before is not None
            and self.undecided
            and self.after.revision != self.before.revision
            and self.invoice.delivered_revision >= self.invoice.revision
        )

    def contradicts_hold(self, *, withdraw: bool) -> bool:
        """Return whether it is offered though held, or withdrawn by us and not held any more, by
        what was delivered last; `withdraw` as for `document_lifecycle.decide`.

        So it is once withdrawals are switched on again.
        """
        if self.after is None or self.invoice.delivered_revision < self.invoice.revision:
            return False
        document = {**self.after.marks, "state": self.after.state}
        hold = RuleCode(self.invoice.hold) if self.invoice.hold else None
        action = action_of(
            self.after.state, hold, withdrawn=is_withdrawn(document), withdraw=withdraw
        )
        # What is not read anew since it was handed over cannot be offered again.
        return action is Action.WITHDRAW or (action is Action.RESTORE and _is_mapped(self.invoice))

    @property
    def approved(self) -> bool:
        """True if a buyer has approved it since it was last seen."""
        approved = self.after is not None and self.after.state in APPROVED
        return approved and self.state_before not in APPROVED

    @property
    def taken_back(self) -> bool:
        """True if an approval that was seen is one no longer."""
        now = self.after.state if self.after else ""
        return self.state_before in APPROVED and now not in APPROVED

    @property
    def state_before(self) -> str:
        """The state when last seen; empty if it was never seen."""
        return self.before.state if self.before else ""


def _is_mapped(invoice: Invoice | Outgoing) -> bool:
    # A poll does not read what is mapped: of that, the text that a search looks for tells.
    return invoice.sought != "" if isinstance(invoice, Invoice) else invoice.mapped_text is not None


def keep_changes(
    session: Session,
    connection_id: str,
    changes: Sequence[DocumentChange],
    now: datetime,
    changed: Mapping[str, Collection[Found]] = MappingProxyType({}),
) -> None:
    """Open and close the findings that follow from these changes of a company's documents.

    `changed` is what differs from what was approved, by invoice id, of those that were compared.
    """
    gone = {change.invoice.id: missing(change) for change in changes}
    moved_on = {
        change.invoice.id: past
        for change in changes
        if (past := moved_past_hold(change, was_held=_was_held(session, change))) is not None
    }
    standing = findings.found_of(
        session, FindingKind.RULE, [change.invoice.id for change in changes]
    )
    against_rules = {
        change.invoice.id: approved_against_rules(change, standing.get(change.invoice.id, ()))
        for change in changes
    }
    approved = {change.invoice.id: change for change in changes if change.approved}
    documents.note_approved(session, approved, now)
    decided = [change.invoice.id for change in changes if change.approved or change.taken_back]
    invoice_twins.ask_for_decided(session, connection_id, decided)
    written = infactor_outbox.fields_written_since(session, approved.keys(), now - HURRY)
    hurried = {
        invoice_id: changed_before_approval(approved[invoice_id], fields)
        for invoice_id, fields in written.items()
    }
    found: dict[FindingKind, Mapping[str, Collection[Found]]] = {
        FindingKind.MISSING: gone,
        FindingKind.MOVED_ON: moved_on,
        FindingKind.HURRIED: hurried,
        FindingKind.RULE: against_rules,
        FindingKind.CHANGED: changed,
    }
    keep_findings(session, connection_id, found, now)


def decision(change: DocumentChange) -> Happening:
    """Return that somebody in Infactor has moved the document."""
    invoice, after = change.invoice, change.after
    return invoice_events.of_decision(
        invoice.connection_id, invoice.id, change.state_before, after.state if after else ""
    )


def _was_held(session: Session, change: DocumentChange) -> bool:
    """Return whether the invoice was held in the revision at which its document was last seen."""
    invoice, before = change.invoice, change.before
    if before is None or not change.moved or not invoice.hold:
        return False
    return infactor_outbox.hold_at(session, invoice.id, before.revision) is not None


def keep_findings(
    session: Session,
    connection_id: str,
    found: Mapping[FindingKind, Mapping[str, Collection[Found]]],
    now: datetime,
) -> None:
    """Leave exactly these findings open, by kind and invoice id, and log those that are new."""
    for finding in findings.keep(session, connection_id, found, now):
        log.warning(
            "finding.begun",
            invoice=finding.invoice_id,
            kind=finding.kind,
            fields=[one["field"] for one in finding.fields],
            severity=finding.severity,
        )


def missing(change: DocumentChange) -> list[Found]:
    """Return the finding that a document which was there is gone; [] if it is not."""
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


def moved_past_hold(change: DocumentChange, *, was_held: bool) -> list[Found] | None:
    """Return the finding that a held invoice was moved on, [] to close it, None to leave it.

    `was_held`: the invoice was held already in the revision at which its document was last seen. An
    invoice that got its hold later may have been approved before: see `changed_after_approval`.
    """
    hold, withdrawn = change.invoice.hold, change.withdrawn
    if change.after is None:
        return None
    state = change.after.state
    if state in _BACK or not (hold or withdrawn):
        return []
    seen_held = was_held and change.state_before in _BACK
    if not (withdrawn or seen_held):
        return None
    # Suppliers read it too.
    why = f"withdrawn: {withdrawn}" if withdrawn else f"held back: {public(RuleCode(str(hold)))}"
    return [
        Found(field="state", severity=Severity.CRITICAL, state=state, approved=why, current=state)
    ]


def approved_against_rules(change: DocumentChange, standing: Collection[Found]) -> list[Found]:
    """Return a finding for each rule that applies to an invoice which somebody has approved.

    What a rule means then is its own; once no money moves any more, it means nothing. What had to
    be so at the moment of the approval stays as it was found then: `standing` are those open now.
    """
    after = change.after
    if after is None or after.state not in APPROVED or after.state in OVER:
        return []
    reasons = [*reasons_of(change.invoice.holds), *reasons_of(change.invoice.signals)]
    found = [
        Found(
            field=reason.code,
            severity=severity,
            state=after.state,
            current=str(reason),
            cause=reason.code,
        )
        for reason in reasons
        if (severity := CATALOGUE[reason.code].after_approval)
        and (change.approved or not CATALOGUE[reason.code].at_approval)
    ]
    if change.approved:
        return found
    return [*found, *(one for one in standing if one.field in _AT_APPROVAL)]


def changed_before_approval(
    change: DocumentChange, written: Mapping[str, tuple[Any, Any]]
) -> list[Found]:
    """Return a finding for each amount in `written` ({field: (before, after)}) upon an approval."""
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
    """Return a finding for each field that differs from what was approved.

    `approved` is the document in stored types, `mapped` the record in exact JSON. An invoice that
    names no currency is in `currency`.
    """
    invoice, seen = change.invoice, change.before
    state = change.after.state if change.after else ""
    then = (
        DecisionBasis(
            balance=seen.balance, currency=seen.currency or currency, customer_id=seen.customer_id
        )
        if seen
        else None
    )
    facts = DecisionBasis(
        balance=invoice.balance,
        currency=invoice.currency or currency,
        customer_id=invoice.customer_id,
        hold=RuleCode(invoice.hold) if invoice.hold else None,
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
