"""Opens findings about a company's documents, and closes them when they no longer apply."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from service.domain import FindingKind
from service.store import findings, outbox, same_sale
from service.store.findings import Found
from workers.delivery.transitions import (
    HURRY,
    DocumentChange,
    approved_against_rules,
    changed_before_approval,
    missing,
    moved_past_hold,
)

log = structlog.get_logger(__name__)


def keep_changes(
    session: Session, connection_id: str, changes: Sequence[DocumentChange], now: datetime
) -> None:
    """Open and close the findings that follow from these changes of a company's documents."""
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
    same_sale.ask_for_neighbours(session, [c.invoice.id for c in changes if c.moved])
    written = outbox.fields_written_since(session, approved.keys(), now - HURRY)
    hurried = {
        invoice_id: changed_before_approval(approved[invoice_id], fields)
        for invoice_id, fields in written.items()
    }
    for kind, found in (
        (FindingKind.MISSING, gone),
        (FindingKind.MOVED_ON, moved_on),
        (FindingKind.HURRIED, hurried),
        (FindingKind.RULE, against_rules),
    ):
        keep_findings(session, connection_id, kind, found, now)


def _was_held(session: Session, change: DocumentChange) -> bool:
    """Return whether the invoice was held in the revision at which its document was last seen."""
    invoice, before = change.invoice, change.before
    if before is None or not change.moved or not invoice.hold:
        return False
    return outbox.hold_at(session, invoice.id, before.revision) is not None


def keep_findings(
    session: Session,
    connection_id: str,
    kind: FindingKind,
    found: Mapping[str, Collection[Found]],
    now: datetime,
) -> None:
    """Leave exactly these findings of a kind open, by invoice id, and log those that are new."""
    for finding in findings.keep(session, connection_id, kind, found, now):
        log.warning(
            "finding.begun",
            invoice=finding.invoice_id,
            kind=kind,
            field=finding.field,
            severity=finding.severity,
        )
