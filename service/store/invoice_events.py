"""What is told of invoices: of a new revision, a delivery, and a decision in Infactor.

Rules are named by their codes alone: the figures of some name other suppliers' invoices.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from service.domain import Action, EventType
from service.store.event_feed import Happening
from service.store.invoices import InvoiceRow
from service.store.judging_queue import RecordedReasons

RevisedInvoice = InvoiceRow | RecordedReasons
"""An invoice as it is recorded, or as it is judged again."""

_DELIVERED = frozenset({Action.CREATE, Action.REFRESH, Action.RESTORE})


def of_revision(
    row: RevisedInvoice, before: RevisedInvoice | None, revision: Mapping[str, Any]
) -> Iterator[Happening]:
    """Yield that it was recorded, and whether it is held or released by that."""
    data = {
        "number": row.doc_number,
        "revision": row.revision,
        "cause": str(revision["cause"]),
        "total": _amount(row.total),
        "balance": _amount(row.balance),
        "currency": row.currency,
        "deleted": row.deleted,
        "holds": [one["code"] for one in row.holds],
        "signals": [one["code"] for one in row.signals],
        "changed": list(revision["changes"]),
    }
    was_held = before is not None and before.hold is not None
    kinds = [EventType.RECORDED]
    if row.hold and not was_held:
        kinds.append(EventType.INVOICE_HELD)
    elif was_held and not row.hold:
        kinds.append(EventType.INVOICE_RELEASED)
    for kind in kinds:
        yield Happening(type=kind, connection_id=row.connection_id, invoice_id=row.id, data=data)


def of_delivery(
    connection_id: str, invoice_id: str, action: Action, revision: int
) -> Iterator[Happening]:
    """Yield that Infactor's document was written or withdrawn, if it was."""
    if action not in _DELIVERED and action is not Action.WITHDRAW:
        return
    yield Happening(
        type=EventType.WITHDRAWN if action is Action.WITHDRAW else EventType.DELIVERED,
        connection_id=connection_id,
        invoice_id=invoice_id,
        data={"revision": revision, "outcome": action.past},
    )


def of_decision(connection_id: str, invoice_id: str, before: str, state: str) -> Happening:
    """Return that somebody in Infactor has moved the document to another state."""
    return Happening(
        type=EventType.DECIDED,
        connection_id=connection_id,
        invoice_id=invoice_id,
        data={"before": before, "state": state},
    )


def _amount(value: Any) -> str | None:
    return None if value is None else f"{value:.2f}" if value == round(value, 2) else f"{value:f}"
