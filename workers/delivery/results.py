"""What deliveries came to: receipts, what Infactor has now, and findings, in one transaction."""

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from service.context import Services
from service.coordination import circuit_breaker
from service.coordination.circuit_breaker import INFACTOR
from service.database.tables import Connection, Document, Invoice
from service.infactor.bson import exact, stored
from service.infactor.collection import REVISION, Delivered, Refused
from service.infactor.deviations import Facts, deviations
from service.infactor.document import Action, decide
from service.infactor.holds import Hold
from service.kit.clock import now
from service.store import outbox
from service.store import outbox as receipts
from service.store.findings import Found
from service.store.outbox import Progress
from workers.delivery.order import Parcel
from workers.delivery.transitions import Move, keep_findings, keep_moves

log = structlog.get_logger(__name__)

CHANGED = "changed"
MISSING = "missing"
_FIRST_PAUSE_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 3600.0
_NOTHING_TO_SAY = Delivered(action=Action.HOLD, before=None, after=None, state=None)


class Settlement:
    """Keeps what became of one batch of a company's deliveries."""

    def __init__(self, company: Connection, parcels: Sequence[Parcel]) -> None:
        self._company = company
        self._parcels = parcels
        self._at = now()
        self._receipts: list[dict[str, Any]] = []
        self._documents: list[dict[str, Any]] = []
        self._changed: dict[str, list[Found]] = {}
        self._missing: dict[str, list[Found]] = {}
        self._moves: list[Move] = []
        self._currency = ""

    def settle(self, services: Services, ended: Mapping[str, Delivered | Refused]) -> None:
        """Write it all down; what an order that is not in `ended` waits for is another try."""
        self._currency = services.settings.infactor_currency
        with services.database.write() as session:
            circuit_breaker.works(session, INFACTOR)
            current = outbox.lock_progress(session, [p.invoice.id for p in self._parcels])
            for parcel in self._parcels:
                invoice_id = parcel.invoice.id
                if invoice_id in current:  # else it was forgotten meanwhile
                    result = _NOTHING_TO_SAY if parcel.mapped is None else ended.get(invoice_id)
                    self._settle(current[invoice_id], parcel, result)
            outbox.keep_progress(session, list(current.values()))
            receipts.add(session, self._receipts)
            outbox.keep_seen(session, self._documents)
            self._keep_findings(session)
        for receipt in self._receipts:
            log.info(
                "invoice.delivered",
                invoice=receipt["invoice_id"],
                revision=receipt["revision"],
                outcome=receipt["outcome"],
                state=receipt["state"],
            )

    def _settle(
        self, current: Progress, parcel: Parcel, result: Delivered | Refused | None
    ) -> None:
        sent = parcel.invoice
        if result is None or isinstance(result, Refused):
            why = result.why if result else "the document kept changing while it was delivered"
            current.delivery_error = why
            current.delivery_attempts += 1
            current.delivery_due_at = self._at + _pause(current.delivery_attempts)
            log.warning("invoice.not_delivered", invoice=sent.id, revision=sent.revision, why=why)
            return
        current.delivery_attempts = 0
        # Whoever decided did see it.
        current.delivery_warnings = [] if result.action is Action.FROZEN else parcel.warnings
        if result.newer is not None:
            _catch_up(current, sent, result.newer)
        else:
            self._deliver(current, parcel, result)

    def _deliver(self, current: Progress, parcel: Parcel, result: Delivered) -> None:
        sent = parcel.invoice
        # An older revision than is there already, if it was late, leaves the newer one to do.
        late = current.delivered_revision > sent.revision and result.action is Action.CREATE
        current.delivered_revision = 0 if late else max(current.delivered_revision, sent.revision)
        action = _action(parcel, result)
        self._receipts.append(
            {
                "invoice_id": sent.id,
                "revision": sent.revision,
                "at": self._at,
                "outcome": action.past,
                "state": result.state,
                "changed": list(result.changed),
            }
        )
        self._note_document(parcel, result, action)
        self._note_findings(parcel, result)
        if result.after is not None and result.state is not None:
            self._moves.append(Move.of(sent, parcel.seen, result.state, result.after))

    def _note_document(self, parcel: Parcel, result: Delivered, action: Action) -> None:
        if result.after is None or result.state is None:
            return
        sent = parcel.invoice
        # What was decided about is what it was then, and whose it was.
        decided = parcel.seen if action is Action.FROZEN else None
        document = _document(parcel, result) | {"state": result.state}
        self._documents.append(
            {
                "invoice_id": sent.id,
                "connection_id": sent.connection_id,
                "supplier_id": (decided or self._company).supplier_id,
                "state": result.state,
                "document": {n: v for n, v in document.items() if n not in ("_id", REVISION)},
                "revision": sent.revision,
                "written_at": self._at,
                "balance": (decided or sent).balance,
                "currency": (decided or sent).currency,
                "seen_at": self._at,
            }
        )

    def _note_findings(self, parcel: Parcel, result: Delivered) -> None:
        sent, seen = parcel.invoice, parcel.seen
        self._changed[sent.id] = []
        self._missing[sent.id] = []
        if result.after is None and seen is not None and parcel.mapped is not None:
            self._missing[sent.id] = [missing(seen)]
        if result.action is Action.FROZEN and result.before is not None:
            state = result.state or ""
            self._changed[sent.id] = _deviations(parcel, result.before, state, self._currency)

    def _keep_findings(self, session: Session) -> None:
        for kind, found in ((CHANGED, self._changed), (MISSING, self._missing)):
            keep_findings(session, self._company.id, kind, found, self._at)
        keep_moves(session, self._company.id, self._moves, self._at)


def missing(seen: Document) -> Found:
    """Return the finding that Infactor has no document any more, of one that it had."""
    return Found(
        field="document", severity="critical", state=seen.state, approved="there", current="gone"
    )


def _action(parcel: Parcel, result: Delivered) -> Action:
    """Return what was done; where the answer was lost, what it must have been."""
    if not result.repeated:
        return result.action
    seen, hold = parcel.seen, parcel.invoice.hold
    before = seen.document if seen else None
    return decide(before, parcel.mapped or {}, Hold(hold) if hold else None).action


def _document(parcel: Parcel, result: Delivered) -> dict[str, Any]:
    """Return Infactor's document in exact numbers: as we know them, where it has ours."""
    if result.action is Action.CREATE and parcel.mapped is not None:
        return dict(parcel.mapped)
    if result.action is Action.UNCHANGED and not result.repeated and parcel.seen is not None:
        return dict(parcel.seen.document)
    found: dict[str, Any] = exact(result.after)
    return found


def _deviations(
    parcel: Parcel, approved: Mapping[str, Any], state: str, currency: str
) -> list[Found]:
    """Return what is not as it was approved; an invoice that names no currency is in this one."""
    sent, seen = parcel.invoice, parcel.seen
    then = Facts(balance=seen.balance, currency=seen.currency or currency) if seen else None
    facts = Facts(
        balance=sent.balance,
        currency=sent.currency or currency,
        hold=Hold(sent.hold) if sent.hold else None,
        deleted=sent.deleted,
    )
    mapped = exact(stored(parcel.mapped))
    return [
        Found(
            field=one.field,
            severity=one.severity.value,
            state=state,
            approved=one.approved,
            current=one.current,
        )
        for one in deviations(exact(approved), mapped, then, facts, state)
    ]


def _catch_up(current: Progress, sent: Invoice, newer: int) -> None:
    """Go on counting from Infactor's revision, where nobody here has recorded a later one.

    Our database was restored from a backup, and what Infactor has is from after it.
    """
    if current.revision == sent.revision:
        current.revision = newer + 1
        log.warning("invoice.behind", invoice=current.id, revision=sent.revision, newer=newer)


def _pause(attempts: int) -> timedelta:
    """Return twice as long each time, up to an hour, with jitter."""
    longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 10))
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
