"""Polls Infactor, which does not notify us, for document states and for newly registered buyers.

Writes nothing there: it stores what changed, keeps findings, and asks for deliveries.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import structlog
from sqlalchemy.orm import Session

from service.database.tables import Document, Invoice
from service.domain import FindingKind, RuleCode
from service.infactor.collection import MARKS, DocumentState, Key
from service.infactor.document_lifecycle import MARKER, columns_of
from service.infactor.users import preferred
from service.kit.clock import now
from service.services import Services
from service.store import (
    approvals,
    connections,
    documents,
    event_feed,
    findings,
    infactor_outbox,
    invoices,
)
from service.store.infactor_outbox import Outgoing
from workers.delivery.circuit import InfactorUnavailable, reaching_infactor
from workers.delivery.deliver import addresses_of, key_of
from workers.delivery.findings import DocumentChange, decision, keep_changes

log = structlog.get_logger(__name__)

T = TypeVar("T")

_PAGE = 500
# An approval shortly after a change cannot be undone, so its finding closes after this time.
_HURRIED_STAYS = timedelta(days=7)


def poll_documents(services: Services) -> None:
    """Store what changed in the open documents; give up while Infactor is away."""
    with services.database.write() as session:
        findings.close_old(session, FindingKind.HURRIED, now() - _HURRIED_STAYS, now())
    after = ""
    while page := read_page(services, after):
        try:
            with reaching_infactor(services) as infactor:
                states = infactor.invoices.states([key_of(invoice) for invoice, _ in page])
        except InfactorUnavailable:
            return
        note_changes(services, page, states)
        if len(page) < _PAGE:
            return
        after = page[-1][0].id


def read_page(services: Services, after: str) -> Sequence[tuple[Invoice, Document]]:
    """Return the next invoices after this id with an open document, and that as last seen."""
    with services.database.read() as session:
        return documents.open_documents(
            session,
            services.settings.quickbooks_environment,
            after=after,
            limit=_PAGE,
        )


def note_changes(
    services: Services,
    page: Sequence[tuple[Invoice, Document]],
    states: Mapping[Key, DocumentState],
) -> None:
    """Store what changed on this page, and ask for the deliveries that follow from it."""
    with services.database.read() as session:
        known_missing = findings.open_of(
            session, FindingKind.MISSING, [invoice.id for invoice, _ in page]
        )
    withdraw = services.settings.infactor_withdraw
    changes = [_change(i, seen, states.get(key_of(i))) for i, seen in page]
    news = [
        change
        for change in changes
        if (change.after is None) != (change.invoice.id in known_missing)
        or change.moved
        or change.marked
        or change.astray
        or change.contradicts_hold(withdraw=withdraw)
    ]
    for connection_id, those in _by_company(news, lambda change: change.invoice):
        with services.database.write() as session:
            is_due = _note(session, connection_id, those, now(), withdraw=withdraw)
        if is_due:
            services.jobs.deliver(connection_id)


def _by_company(
    some: Iterable[T], invoice: Callable[[T], Invoice | Outgoing]
) -> Iterator[tuple[str, list[T]]]:
    """Yield each company's part of a page, for a transaction of its own.

    A page has invoices of any company: one transaction would hold all while it waits for one.
    """
    found: dict[str, list[T]] = {}
    for one in some:
        found.setdefault(invoice(one).connection_id, []).append(one)
    yield from found.items()


def _change(invoice: Invoice, seen: Document, after: DocumentState | None) -> DocumentChange:
    # Our marker stays known after somebody has removed it.
    marks = {**seen.document, **(after.marks if after else {})}
    return DocumentChange(invoice=invoice, before=seen, after=after, withdrawn=marks.get(MARKER))


def _note(
    session: Session,
    connection_id: str,
    news: Sequence[DocumentChange],
    at: datetime,
    *,
    withdraw: bool,
) -> bool:
    """Store a company's changes; return whether it now has something to deliver."""
    fresh = _still_news(session, connection_id, news)
    event_feed.tell(session, (decision(change) for change in fresh if change.moved), at)
    keep_changes(session, connection_id, fresh, at)
    # These may be, or are, at the recorded revision and still differ from it.
    anew = [change for change in fresh if change.moved and change.undecided]
    found = [one for one in fresh if not one.moved and one.contradicts_hold(withdraw=withdraw)]
    let, left = _within_limit(session, connection_id, found)
    anew += let
    again = [one for one in fresh if one.moved or (one.astray and one not in left)]
    for change in fresh:
        _log(change)
        if change.before and change.after and (change.moved or change.marked):
            rest = {n: v for n, v in change.before.document.items() if n not in MARKS}
            document = {**rest, **change.after.marks, "state": change.after.state}
            documents.note(session, change.invoice.id, columns_of(document), at)
    of_anew = [change.invoice.id for change in anew]
    infactor_outbox.deliver_as_new_revision(session, of_anew)
    infactor_outbox.deliver_again(session, [i for c in again if (i := c.invoice.id) not in of_anew])
    return bool(again or anew)


def _within_limit(
    session: Session, connection_id: str, found: Sequence[DocumentChange]
) -> tuple[list[DocumentChange], list[DocumentChange]]:
    """Return what may be delivered, and what would be withdrawn beyond the limit.

    All that was held while withdrawals were off comes at once when they are on again. Of a page,
    those of the largest amount are first; a later poll finds the rest again. What only waits for
    its company to be proved counts nowhere.
    """
    counts = [one for one in found if one.invoice.hold not in (None, RuleCode.UNPROVEN)]
    if not counts:
        return list(found), []
    allowed = approvals.withdrawals_left(session, connection_id, len(counts))
    counts.sort(key=_amount, reverse=True)
    left = counts[allowed:]
    invoices.note_withdrawn(session, [one.invoice.id for one in counts[:allowed]])
    if left and allowed:
        log.warning("withdrawals.left_for_later", connection=connection_id, withdrawals=len(left))
    return [one for one in found if one not in left], left


def _amount(change: DocumentChange) -> Decimal:
    return (change.before and change.before.total) or Decimal(0)


def _still_news(
    session: Session, connection_id: str, news: Sequence[DocumentChange]
) -> list[DocumentChange]:
    """Lock the company; leave out what was delivered or forgotten since Infactor was asked."""
    ids = [change.invoice.id for change in news]
    current = infactor_outbox.lock_invoices(session, connection_id, ids)
    seen = infactor_outbox.documents_of(session, ids)
    return [
        _change(current[invoice_id], seen[invoice_id], change.after)
        for change in news
        if (invoice_id := change.invoice.id) in current
        and invoice_id in seen
        and change.before is not None
        and seen[invoice_id].seen_at == change.before.seen_at
    ]


def _log(change: DocumentChange) -> None:
    if change.before is None or change.after is None:
        return
    if change.moved:
        log.info(
            "document.moved",
            invoice=change.invoice.id,
            before=change.before.state,
            state=change.after.state,
        )
    elif change.astray:
        log.warning(
            "document.astray",
            invoice=change.invoice.id,
            delivered=change.before.revision,
            there=change.after.revision,
        )


def poll_buyers(services: Services) -> None:
    """Deliver undecided invoices again whose buyer has registered by now."""
    environment, after = services.settings.quickbooks_environment, ""
    while True:
        with services.database.read() as session:
            page = documents.without_buyer(session, environment, after, _PAGE)
        if not page:
            return
        emails = {email for invoice in page for email in addresses_of(invoice)}
        try:
            with reaching_infactor(services) as infactor:
                registered = infactor.users.registered_buyers(emails)
        except InfactorUnavailable:
            return
        found = [i for i in page if preferred(addresses_of(i), registered)[1]]
        for connection_id, those in _by_company(found, lambda invoice: invoice):
            with services.database.write() as session:
                connections.lock(session, connection_id)
                infactor_outbox.deliver_as_new_revision(session, [i.id for i in those])
            services.jobs.deliver(connection_id)
        if found:
            log.info("buyers.registered", invoices=len(found))
        if len(page) < _PAGE:
            return
        after = page[-1].id
