"""What it means that a document's state is another one than was last seen.

Infactor's server enforces no state, so what we hold back can be moved on all the same; and a buyer
can approve in the very minutes in which QuickBooks changes what is approved. Whoever sees the new
state first, a delivery or a look, tells.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from service.database.tables import Document, Invoice
from service.infactor.deviations import text_of
from service.infactor.document import APPROVED, MARKER, State
from service.store import findings, outbox
from service.store.findings import Found

log = structlog.get_logger(__name__)

MOVED_ON = "moved_on"
HURRIED = "hurried"

# A page that shows the old amount can stay open for so long.
HURRY = timedelta(minutes=15)
MONEY = ("invoiceAmount", "payableDate", "taxAmount", "items")
_BACK = frozenset({State.INVOICE_CREATED, State.INVOICE_REJECTED})


@dataclass(frozen=True, slots=True)
class Move:
    """The state in which a document is seen, and what is known of its invoice."""

    invoice_id: str
    before: str  # as last seen; empty where it never was
    state: str
    hold: str | None
    withdrawn: str | None  # our marker on it

    @classmethod
    def of(
        cls, invoice: Invoice, seen: Document | None, state: str, document: Mapping[str, Any]
    ) -> "Move":
        """Return the move to this state of a document, as far as its marks are known."""
        marker = document.get(MARKER)
        before = seen.state if seen else ""
        return cls(invoice.id, before, state, invoice.hold, str(marker) if marker else None)


def keep_moves(session: Session, connection_id: str, moves: Iterable[Move], now: datetime) -> None:
    """Leave the findings that follow from these moves of a company's documents."""
    given = list(moves)
    moved_on = {m.invoice_id: found for m in given if (found := _moved_on(m)) is not None}
    keep_findings(session, connection_id, MOVED_ON, moved_on, now)
    keep_findings(session, connection_id, HURRIED, _hurried(session, given, now), now)


def keep_findings(
    session: Session,
    connection_id: str,
    kind: str,
    found: Mapping[str, Collection[Found]],
    now: datetime,
) -> None:
    """Leave exactly these findings of a kind open, and say which of them are new."""
    for finding in findings.keep(session, connection_id, kind, found, now):
        log.warning(
            "finding.begun",
            invoice=finding.invoice_id,
            kind=kind,
            field=finding.field,
            severity=finding.severity,
        )


def _moved_on(move: Move) -> list[Found] | None:
    """Return the finding that is so now, none where it is not, None where all stays as it was.

    An invoice that got its hold after it was approved was not held back: what QuickBooks says of
    it differs from what was approved, which is told as that.
    """
    if move.state in _BACK or not (move.hold or move.withdrawn):
        return []
    if not move.withdrawn and (move.before == move.state or move.before not in {*_BACK, ""}):
        return None
    why = f"withdrawn: {move.withdrawn}" if move.withdrawn else f"held back: {move.hold}"
    return [
        Found(
            field="state",
            severity="critical",
            state=move.state,
            approved=why,
            current=move.state,
        )
    ]


def _hurried(session: Session, moves: Iterable[Move], now: datetime) -> dict[str, list[Found]]:
    """Return which amounts were written over in the last minutes before an approval."""
    approved = {
        move.invoice_id: move
        for move in moves
        if move.state in APPROVED and move.before not in APPROVED
    }
    changed = outbox.written_since(session, approved.keys(), now - HURRY)
    return {
        invoice_id: [
            Found(
                field=name,
                severity="warning",
                state=approved[invoice_id].state,
                approved=text_of(values[0]),
                current=text_of(values[1]),
            )
            for name, values in fields.items()
            if name in MONEY
        ]
        for invoice_id, fields in changed.items()
    }
