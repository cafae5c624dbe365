"""Polls Infactor, which does not notify us, for document states and for newly registered buyers.

Writes nothing there: it stores what changed, keeps findings, and asks for deliveries.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from service.database.tables import Document, Invoice
from service.domain import FindingKind
from service.infactor.collection import MARKS, DocumentState, Key
from service.infactor.document_lifecycle import MARKER, columns_of
from service.infactor.users import preferred
from service.kit.clock import now
from service.services import Services
from service.store import documents, event_feed, findings, infactor_outbox
from workers.delivery.circuit import InfactorUnavailable, reaching_infactor
from workers.delivery.deliver import addresses_of, key_of
from workers.delivery.findings import DocumentChange, decided, keep_changes

log = structlog.get_logger(__name__)

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
    changes = [_change(i, seen, states.get(key_of(i))) for i, seen in page]
    news = [
        change
        for change in changes
        if (change.after is None) != (change.invoice.id in known_missing)
        or change.moved
        or change.marked
        or change.astray
    ]
    if not news:
        return
    with services.database.write() as session:
        companies = _note(session, news, now())
    for connection_id in companies:
        services.jobs.deliver(connection_id)


def _change(invoice: Invoice, seen: Document, after: DocumentState | None) -> DocumentChange:
    # Our marker stays known after somebody has removed it.
    marks = {**seen.document, **(after.marks if after else {})}
    return DocumentChange(invoice=invoice, before=seen, after=after, withdrawn=marks.get(MARKER))


def _note(session: Session, news: Sequence[DocumentChange], at: datetime) -> set[str]:
    """Store the changes; return the companies that now have something to deliver."""
    fresh = _still_news(session, news)
    event_feed.tell(session, (decided(change) for change in fresh if change.moved), at)
    _keep_findings(session, fresh, at)
    again = [change for change in fresh if change.moved or change.astray]
    # A document that is undecided again may be at the recorded revision and still differ from it.
    anew = [change.invoice.id for change in again if change.moved and change.undecided]
    for change in fresh:
        _log(change)
        if change.before and change.after and (change.moved or change.marked):
            rest = {n: v for n, v in change.before.document.items() if n not in MARKS}
            document = {**rest, **change.after.marks, "state": change.after.state}
            documents.note(session, change.invoice.id, columns_of(document), at)
    infactor_outbox.deliver_as_new_revision(session, anew)
    infactor_outbox.deliver_again(session, [i for c in again if (i := c.invoice.id) not in anew])
    return {change.invoice.connection_id for change in again}


def _still_news(session: Session, news: Sequence[DocumentChange]) -> list[DocumentChange]:
    """Lock the companies; leave out what was delivered or forgotten since Infactor was asked."""
    ids = [change.invoice.id for change in news]
    current = infactor_outbox.lock_invoices(session, ids)
    seen = infactor_outbox.documents_of(session, ids)
    return [
        _change(current[invoice_id], seen[invoice_id], change.after)
        for change in news
        if (invoice_id := change.invoice.id) in current
        and invoice_id in seen
        and change.before is not None
        and seen[invoice_id].seen_at == change.before.seen_at
    ]


def _keep_findings(session: Session, changes: Iterable[DocumentChange], at: datetime) -> None:
    by_company: dict[str, list[DocumentChange]] = {}
    for change in changes:
        by_company.setdefault(change.invoice.connection_id, []).append(change)
    for connection_id, those in by_company.items():
        keep_changes(session, connection_id, those, at)


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
        if found:
            ids = [invoice.id for invoice in found]
            with services.database.write() as session:
                infactor_outbox.lock_companies(session, ids)
                infactor_outbox.deliver_as_new_revision(session, ids)
            for connection_id in {invoice.connection_id for invoice in found}:
                services.jobs.deliver(connection_id)
            log.info("buyers.registered", invoices=len(found))
        if len(page) < _PAGE:
            return
        after = page[-1].id
