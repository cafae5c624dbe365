"""Delivers recorded invoices into Infactor's database, in order; never delays the recording."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

import structlog
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.config.settings import Settings
from service.database.engine import Database
from service.database.tables import Connection, Document, Invoice
from service.domain import Action, RuleCode, State
from service.infactor.collection import (
    REVISION,
    DeliveryOrder,
    DeliveryRefusal,
    DeliveryResult,
    DocumentState,
    Key,
    own_key,
    state_of,
    text_of_state,
)
from service.infactor.document_lifecycle import MARKER, columns_of, decide, is_withdrawn
from service.infactor.mapped_document import MappedDocument
from service.infactor.mongo import from_bson
from service.infactor.users import Account, preferred
from service.infactor.warnings import WarningCode, warning
from service.kit import tracing
from service.kit.backoff import backoff
from service.kit.clock import now
from service.services import Services
from service.store import (
    connections,
    event_feed,
    inbox,
    infactor_outbox,
    invoice_events,
    invoices,
)
from service.store.event_feed import Happening
from service.store.findings import Found
from service.store.infactor_outbox import DeliveryProgress, Outgoing
from workers.delivery.adoption import ensure_adopted
from workers.delivery.circuit import Infactor, InfactorUnavailable, reaching_infactor
from workers.delivery.findings import (
    DocumentChange,
    changed_after_approval,
    keep_changes,
)

log = structlog.get_logger(__name__)

_MOST_LOGGED = 20
_BATCH = 1000
# After so many batches the company waits for its next turn: all companies share the workers.
_MOST_BATCHES = 5
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=1)
_NOT_REGISTERED = {
    name: str(value) for name, value in asdict(warning(WarningCode.BUYER_NOT_REGISTERED)).items()
}


class Delivery(Struct, frozen=True):
    """A delivered invoice and its result; `seen` is its document as last seen before.

    `result` is None if the document kept changing during the delivery.
    """

    invoice: Invoice | Outgoing
    seen: Document | None
    order: DeliveryOrder
    result: DeliveryResult | DeliveryRefusal | None


def deliver_company(services: Services, connection_id: str, *, batch: int = _BATCH) -> None:
    """Deliver the company's due invoices, unless another process does.

    After some batches the rest is left to another turn, which is asked for.
    """
    if services.infactor is None:
        return
    with services.leases.hold(f"deliver:{connection_id}") as mine:
        if not mine:
            return
        for _ in range(_MOST_BATCHES):
            if not _deliver_some(services, connection_id, batch):
                return
    services.jobs.deliver(connection_id)


def _deliver_some(services: Services, connection_id: str, batch: int) -> bool:
    """Deliver one batch; return whether there may be more."""
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        company = connections.get(session, connection_id)
        if company is None or company.environment != environment:
            return False
        waiting = infactor_outbox.due(session, connection_id, now(), batch)
    if not waiting:
        return False
    try:
        with reaching_infactor(services) as infactor:
            if ensure_adopted(services, connection_id, [one.quickbooks_id for one in waiting]):
                with services.database.read() as session:
                    waiting = infactor_outbox.due(session, connection_id, now(), batch)
                if not waiting:
                    return False
            by_webhook = partial(_invoices_by_webhook, services.database, connection_id, waiting)
            with tracing.work("company.deliver", connection_id, by_webhook):
                deliveries = _deliver_batch(services, infactor, company, waiting)
    except InfactorUnavailable:
        return False
    DeliveryResults(services.settings, company, deliveries).save(services.database)
    return len(waiting) == batch


def _invoices_by_webhook(
    database: Database, connection_id: str, waiting: Sequence[Outgoing]
) -> dict[str | None, list[str]]:
    """Return which invoices each webhook brought, for their traces.

    Where the database fails, it names no webhook: a trace stops no delivery.
    """
    recorded = {one.quickbooks_id: one.recorded_at for one in waiting}
    webhooks: Mapping[str, str] = {}
    try:
        with database.read() as session:
            webhooks = inbox.webhooks_of(session, connection_id, recorded)
    except SQLAlchemyError:
        log.warning("trace.without_webhooks", connection=connection_id)
    found: dict[str | None, list[str]] = {}
    for one in waiting:
        found.setdefault(webhooks.get(one.quickbooks_id), []).append(one.id)
    return found


def _deliver_batch(
    services: Services, infactor: Infactor, company: Connection, waiting: Sequence[Outgoing]
) -> list[Delivery]:
    with services.database.read() as session:
        seen = infactor_outbox.documents_of(session, [invoice.id for invoice in waiting])
        supplier = connections.supplier(session, company.supplier_id)
    registered = infactor.users.registered_buyers({e for i in waiting for e in addresses_of(i)})
    account = infactor.users.supplier(supplier.email) if supplier else None
    orders = [order_for(i, seen.get(i.id), company, registered, account) for i in waiting]
    results = infactor.invoices.deliver(orders)
    return [
        Delivery(invoice, seen.get(invoice.id), order, results.get(order.key))
        for invoice, order in zip(waiting, orders, strict=True)
    ]


def order_for(
    invoice: Outgoing,
    seen: Document | None,
    company: Connection,
    registered: Mapping[str, str],
    account: Account | None,
) -> DeliveryOrder:
    """Return the order that delivers this invoice; `seen` is its document as last seen.

    The buyer's address is spelled as in their account, because Infactor compares it exactly.
    `registered` is the result of `Users.registered_buyers`. A new document gets the name and
    address of the supplier's `account`.
    """
    mapped, warnings = None, []
    if invoice.mapped_text is not None:
        address, known = preferred(addresses_of(invoice), registered)
        own = {"buyerEmail": address, "companyEmail": address}
        if account is not None:
            own |= {"supplierName": account.name, "supplierAddress": account.address}
        mapped = MappedDocument(invoice.mapped_text).with_texts(own)
        if address and not known:
            warnings = [dict(_NOT_REGISTERED)]
    return DeliveryOrder(
        key=key_of(invoice),
        revision=invoice.revision,
        mapped=mapped,
        hold=RuleCode(invoice.hold) if invoice.hold else None,
        handed_over=seen is not None and seen.supplier_id != company.supplier_id,
        may_create=may_create(invoice, seen),
        unseen=seen is None,
        warnings=warnings,
    )


def may_create(invoice: Invoice | Outgoing, seen: Document | None) -> bool:
    """Return whether a missing document may be created.

    A decided or adopted one was deleted by hand: created again, it would be offered as undecided.
    """
    undecided = seen is None or seen.state == State.INVOICE_CREATED
    return undecided and invoice.adopted is None


def key_of(invoice: Invoice | Outgoing) -> Key:
    """Return the `_id` of the invoice's document. No other function decides it."""
    return invoice.id if invoice.adopted is None else own_key(invoice.adopted)


def addresses_of(invoice: Invoice | Outgoing) -> list[str]:
    """Return the buyer's addresses. Invoices recorded before these were stored have at most one."""
    known = [email for email in invoice.buyer_emails if isinstance(email, str)]
    return known or [email for email in [(invoice.mapped or {}).get("buyerEmail")] if email]


class DeliveryResults:
    """The results of one batch of a company's deliveries."""

    def __init__(
        self, settings: Settings, company: Connection, deliveries: Sequence[Delivery]
    ) -> None:
        """An invoice that names no currency is taken to be in the settings' `infactor_currency`."""
        self._settings = settings
        self._company = company
        self._deliveries = deliveries
        self._at = now()
        self._receipts: list[dict[str, Any]] = []
        self._created: list[tuple[Delivery, DeliveryResult]] = []
        self._documents: list[dict[str, Any]] = []
        self._warnings: dict[str, Sequence[Mapping[str, str]]] = {}
        self._fixed: dict[str, Sequence[Mapping[str, str]]] = {}
        self._caught_up: dict[str, int] = {}
        self._frozen: list[Invoice | Outgoing] = []
        self._changed: dict[str, list[Found]] = {}
        self._changes: list[DocumentChange] = []
        self._happenings: list[Iterator[Happening]] = []

    def save(self, database: Database) -> None:
        """Store everything in one transaction; what was not delivered becomes due again later."""
        with database.write() as session:
            connections.lock(session, self._company.id)
            # Not before: whoever counts receipts by their time expects them soon after it.
            self._at = now()
            ids = [delivery.invoice.id for delivery in self._deliveries]
            current = infactor_outbox.progress(session, ids)
            for delivery in self._deliveries:
                sent, progress = delivery.invoice, current.get(delivery.invoice.id)
                # Else it was forgotten meanwhile.
                if progress and progress.follows(sent.revision, sent.recorded_at):
                    self._add(progress, delivery)
            infactor_outbox.save_progress(session, list(current.values()))
            infactor_outbox.save_revisions(session, self._caught_up)
            infactor_outbox.save_warnings(session, self._warnings)
            invoices.note_fixed(session, self._fixed, self._at)
            infactor_outbox.add_receipts(session, self._receipts)
            for sent in self._frozen:
                inbox.take_back(session, sent.connection_id, sent.quickbooks_id, sent.recorded_at)
            self._save_documents(session)
            event_feed.tell(session, chain.from_iterable(self._happenings), self._at)
            keep_changes(session, self._company.id, self._changes, self._at, self._changed)
        self._log()

    def _save_documents(self, session: Session) -> None:
        revisions = {one.invoice.id: one.invoice.revision for one, _ in self._created}
        supplier_id = self._company.supplier_id
        if not infactor_outbox.copy_mapped(session, revisions, supplier_id, self._at):
            # One was recorded anew while it was delivered: what was sent is not what it is now.
            self._documents += [
                self._document(one, result, Action.CREATE) for one, result in self._created
            ]
        infactor_outbox.save_documents(session, self._documents)

    def _log(self) -> None:
        """Log each of few invoices, and of many how many have each outcome."""
        if len(self._receipts) > _MOST_LOGGED:
            counts = Counter(receipt["outcome"] for receipt in self._receipts)
            log.info("invoices.delivered", connection=self._company.id, **counts)
            return
        for receipt in self._receipts:
            log.info(
                "invoice.delivered",
                invoice=receipt["invoice_id"],
                revision=receipt["revision"],
                outcome=receipt["outcome"],
                state=receipt["state"],
            )

    def _add(self, current: DeliveryProgress, delivery: Delivery) -> None:
        result = delivery.result
        if result is None or isinstance(result, DeliveryRefusal):
            why = result.why if result else "the document kept changing while it was delivered"
            self._postpone(current, delivery.invoice, why)
            return
        current.attempts, current.due_at, current.error = 0, None, None
        action = _action(delivery, result, withdraw=self._settings.infactor_withdraw)
        sent = delivery.invoice
        # The buyer who decided has seen the invoice, so no warning applies any more.
        warnings = [] if action is Action.FROZEN else list(delivery.order.warnings)
        if warnings != sent.delivery_warnings:
            self._warnings[sent.id] = warnings
            if not warnings and action is not Action.FROZEN and _has_registered(delivery):
                self._fixed[sent.id] = sent.delivery_warnings
        if result.newer is not None:
            self._catch_up(current, sent, result.newer)
            return
        # A late worker created an older revision than the one delivered before: the newer is still
        # to do.
        late = current.delivered_revision > sent.revision and result.action is Action.CREATE
        current.delivered_revision = 0 if late else max(current.delivered_revision, sent.revision)
        if action is Action.FROZEN:
            self._frozen.append(sent)
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
        self._happenings.append(_happenings(delivery, result, action))
        if _is_created_as_recorded(delivery, result):
            self._created.append((delivery, result))
        elif result.after is not None:
            self._documents.append(self._document(delivery, result, action))
        self._note_change(delivery, result)

    def _postpone(self, current: DeliveryProgress, sent: Invoice | Outgoing, why: str) -> None:
        if current.revision == sent.revision:  # else there is a newer one, which may be taken
            pause = backoff(current.attempts, _FIRST_PAUSE, _LONGEST_PAUSE)
            current.error = why
            current.attempts += 1
            current.due_at = self._at + pause
        log.warning("invoice.not_delivered", invoice=sent.id, revision=sent.revision, why=why)

    def _catch_up(self, current: DeliveryProgress, sent: Invoice | Outgoing, newer: int) -> None:
        """Continue from Infactor's revision, which is ahead after our database was restored from a
        backup.
        """
        if current.revision == sent.revision:
            self._caught_up[sent.id] = newer + 1
            log.warning("invoice.behind", invoice=sent.id, revision=sent.revision, newer=newer)

    def _document(
        self, delivery: Delivery, result: DeliveryResult, action: Action
    ) -> dict[str, Any]:
        sent = delivery.invoice
        # A decided document keeps its balance, currency and supplier of that time.
        decided = delivery.seen if action is Action.FROZEN else None
        # Of an invoice that is not read anew for its company's supplier, nothing says who that is.
        named = delivery.seen if delivery.order.mapped is None else decided
        return {
            "invoice_id": sent.id,
            "connection_id": sent.connection_id,
            "supplier_id": (named or self._company).supplier_id,
            **_content(delivery, result),
            "revision": sent.revision,
            "written_at": self._at,
            "balance": (decided or sent).balance,
            "currency": (decided or sent).currency,
            "customer_id": (decided or sent).customer_id,
            "seen_at": self._at,
        }

    def _note_change(self, delivery: Delivery, result: DeliveryResult) -> None:
        if result.action is Action.CREATE and delivery.seen is None:
            return  # nothing was there that could have changed, or of which anything was found
        after = _state_after(result)
        change = DocumentChange(
            invoice=delivery.invoice,
            before=delivery.seen,
            after=after,
            # Not what was last seen: a restoring delivery has taken the marker away.
            withdrawn=after.marks.get(MARKER) if after else None,
        )
        self._changes.append(change)
        mapped = delivery.order.mapped
        if mapped is None and not delivery.invoice.deleted:
            return  # until it is read nobody knows what has changed of it
        self._changed[delivery.invoice.id] = (
            changed_after_approval(
                change,
                result.before,
                mapped.exact if mapped else None,
                self._settings.infactor_currency,
            )
            if result.action is Action.FROZEN and result.before is not None
            else []
        )


def _is_created_as_recorded(delivery: Delivery, result: DeliveryResult) -> bool:
    mapped, sent = delivery.order.mapped, delivery.invoice
    return (
        result.action is Action.CREATE
        and mapped is not None
        and isinstance(sent, Outgoing)
        and mapped.text is sent.mapped_text
    )


def _has_registered(delivery: Delivery) -> bool:
    """Return whether an order without a warning has none because the buyer has an account.

    One that offers nothing, or names no address, has none either.
    """
    return delivery.order.mapped is not None and bool(addresses_of(delivery.invoice))


def _happenings(delivery: Delivery, result: DeliveryResult, action: Action) -> Iterator[Happening]:
    """Yield what was done, and before and after it what somebody in Infactor has decided."""
    sent, seen = delivery.invoice, delivery.seen
    told = partial(invoice_events.of_decision, sent.connection_id, sent.id)
    if result.before is not None:
        last, found = seen.state if seen else "", state_of(result.before).state
        if found != last and not _is_our_move(seen, result):
            yield told(last, found)
    yield from invoice_events.of_delivery(sent.connection_id, sent.id, action, sent.revision)
    if result.after is not None and result.state is not None:
        left = text_of_state(result.after) or ""
        if result.state != left:  # in the moment after our write
            yield told(left, result.state)


def _is_our_move(seen: Document | None, result: DeliveryResult) -> bool:
    """Return whether we moved the document that was found to where it is, and did not hear back."""
    there = result.before or {}
    if is_withdrawn(there):
        return seen is None or seen.state == State.INVOICE_CREATED
    if there.get("state") != State.INVOICE_CREATED:
        return False
    return seen is None or (seen.withdrawn and result.repeated)


def _action(delivery: Delivery, result: DeliveryResult, *, withdraw: bool) -> Action:
    """Return what was done. If the answer was lost, derive it from the document seen before."""
    order, seen = delivery.order, delivery.seen
    if not result.repeated:
        return result.action
    return decide(
        seen.document if seen else None,
        order.mapped,
        order.hold,
        withdraw=withdraw,
        handed_over=order.handed_over,
    ).action


def _state_after(result: DeliveryResult) -> DocumentState | None:
    if result.after is None or result.state is None:
        return None
    return replace(state_of(result.after), state=result.state)


def _content(delivery: Delivery, result: DeliveryResult) -> dict[str, Any]:
    """Return the columns of Infactor's document, in exact numbers."""
    order, seen = delivery.order, delivery.seen
    if result.action is Action.CREATE and order.mapped is not None:  # it has what we wrote
        own = {"state": result.state, "document": order.mapped.as_json}
        return {**columns_of(order.mapped), **own}
    # What was last seen is what is there, unless the answer to a write in between was lost.
    there = (result.before or {}).get(REVISION)
    untouched = result.action is Action.UNCHANGED and result.after is result.before
    was_seen = untouched and seen is not None and seen.revision == there
    found = seen.document if seen is not None and was_seen else from_bson(result.after)
    kept = {name: value for name, value in found.items() if name not in ("_id", REVISION)}
    return columns_of(kept | {"state": result.state})
