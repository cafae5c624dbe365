"""What deliveries came to: receipts, what Infactor has now, and findings, in one transaction."""

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from service.bootstrap import Services
from service.infactor.deviations import Facts, deviations
from service.infactor.document import Action, decide
from service.infactor.holds import Hold
from service.infactor.sink import REVISION, Delivered, Refused
from service.infactor.stored import exact, stored
from service.store import breakers, outgoing
from service.store.breakers import INFACTOR
from service.store.findings import Found
from service.store.outgoing import Progress
from service.store.tables import Connection, Document, Invoice
from service.times import now
from workers.moves import Move, keep_findings, keep_moves

log = structlog.get_logger(__name__)

CHANGED = "changed"
MISSING = "missing"
_FIRST_PAUSE_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 3600.0
_OUTCOMES = {
    Action.CREATE: "created",
    Action.REFRESH: "refreshed",
    Action.UNCHANGED: "unchanged",
    Action.HOLD: "held",
    Action.WITHDRAW: "withdrawn",
    Action.RESTORE: "restored",
    Action.FROZEN: "frozen",
}
_NOTHING_TO_SAY = Delivered(action=Action.HOLD, before=None, after=None, state=None)


class Settlement:
    """Keeps what became of one batch of a company's deliveries."""

    def __init__(
        self, company: Connection, batch: Sequence[Invoice], seen: Mapping[str, Document]
    ) -> None:
        self._company = company
        self._batch = batch
        self._seen = seen
        self._at = now()
        self._receipts: list[dict[str, Any]] = []
        self._documents: list[dict[str, Any]] = []
        self._changed: dict[str, list[Found]] = {}
        self._missing: dict[str, list[Found]] = {}
        self._moves: list[Move] = []

    def settle(self, services: Services, ended: Mapping[str, Delivered | Refused]) -> None:
        """Write it all down; what an order that is not in `ended` waits for is another try."""
        with services.database.write() as session:
            breakers.works(session, INFACTOR)
            current = outgoing.lock_progress(session, [invoice.id for invoice in self._batch])
            for invoice in self._batch:
                if invoice.id in current:  # else it was forgotten meanwhile
                    result = _NOTHING_TO_SAY if invoice.mapped is None else ended.get(invoice.id)
                    self._settle(current[invoice.id], invoice, result)
            outgoing.keep_progress(session, list(current.values()))
            outgoing.add_receipts(session, self._receipts)
            outgoing.keep_seen(session, self._documents)
            self._keep_findings(session)
        for receipt in self._receipts:
            log.info(
                "invoice.delivered",
                invoice=receipt["invoice_id"],
                revision=receipt["revision"],
                outcome=receipt["outcome"],
                state=receipt["state"],
            )

    def _settle(self, current: Progress, sent: Invoice, result: Delivered | Refused | None) -> None:
        if result is None or isinstance(result, Refused):
            why = result.why if result else "the document kept changing while it was delivered"
            current.delivery_error = why
            current.delivery_attempts += 1
            current.delivery_due_at = self._at + _pause(current.delivery_attempts)
            log.warning("invoice.not_delivered", invoice=sent.id, revision=sent.revision, why=why)
            return
        current.delivery_attempts = 0
        if result.newer is not None:
            _catch_up(current, sent, result.newer)
        else:
            self._deliver(current, sent, result)

    def _deliver(self, current: Progress, sent: Invoice, result: Delivered) -> None:
        # An older revision than is there already, if it was late, leaves the newer one to do.
        late = current.delivered_revision > sent.revision and result.action is Action.CREATE
        current.delivered_revision = 0 if late else max(current.delivered_revision, sent.revision)
        action = self._action(sent, result)
        self._receipts.append(
            {
                "invoice_id": sent.id,
                "revision": sent.revision,
                "at": self._at,
                "outcome": _OUTCOMES[action],
                "state": result.state,
                "changed": list(result.changed),
            }
        )
        self._note_document(sent, result, action)
        self._note_findings(sent, result)
        if result.after is not None and result.state is not None:
            seen = self._seen.get(sent.id)
            self._moves.append(Move.of(sent, seen, result.state, result.after))

    def _action(self, sent: Invoice, result: Delivered) -> Action:
        """Return what was done; where the answer was lost, what it must have been."""
        if not result.repeated:
            return result.action
        seen = self._seen.get(sent.id)
        hold = Hold(sent.hold) if sent.hold else None
        return decide(seen.document if seen else None, sent.mapped or {}, hold).action

    def _note_document(self, sent: Invoice, result: Delivered, action: Action) -> None:
        if result.after is None or result.state is None:
            return
        seen = self._seen.get(sent.id)
        # What was decided about is what it was then, and whose it was.
        decided = seen if action is Action.FROZEN else None
        document = self._document(sent, result) | {"state": result.state}
        self._documents.append(
            {
                "invoice_id": sent.id,
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

    def _document(self, sent: Invoice, result: Delivered) -> dict[str, Any]:
        """Return Infactor's document in exact numbers: as we know them, where it has ours."""
        seen = self._seen.get(sent.id)
        if result.action is Action.CREATE and sent.mapped is not None:
            return dict(sent.mapped)
        if result.action is Action.UNCHANGED and not result.repeated and seen is not None:
            return dict(seen.document)
        found: dict[str, Any] = exact(result.after)
        return found

    def _note_findings(self, sent: Invoice, result: Delivered) -> None:
        self._changed[sent.id] = []
        self._missing[sent.id] = []
        seen = self._seen.get(sent.id)
        if result.after is None and seen is not None and sent.mapped is not None:
            self._missing[sent.id] = [missing(seen)]
        if result.action is Action.FROZEN and result.before is not None:
            self._changed[sent.id] = _deviations(sent, seen, result.before, result.state or "")

    def _keep_findings(self, session: Session) -> None:
        for kind, found in ((CHANGED, self._changed), (MISSING, self._missing)):
            keep_findings(session, self._company.id, kind, found, self._at)
        keep_moves(session, self._company.id, self._moves, self._at)


def missing(seen: Document) -> Found:
    """Return the finding that Infactor has no document any more, of one that it had."""
    return Found(
        field="document", severity="critical", state=seen.state, approved="there", current="gone"
    )


def _deviations(
    sent: Invoice, seen: Document | None, approved: Mapping[str, Any], state: str
) -> list[Found]:
    then = Facts(balance=seen.balance, currency=seen.currency) if seen else None
    facts = Facts(
        balance=sent.balance,
        currency=sent.currency,
        hold=Hold(sent.hold) if sent.hold else None,
        deleted=sent.deleted,
    )
    mapped = exact(stored(sent.mapped))
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
