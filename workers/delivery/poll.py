"""Looking at Infactor again: how the documents stand of which something may still come.

People decide there without telling us. Nothing is written to Infactor here: what is news is noted,
told as findings, and delivered again, which compares what was approved with what is recorded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from service.context import Services
from service.database.tables import Document, Invoice
from service.infactor.collection import Key, Standing
from service.infactor.document import ENDED, MARKER, REMARK, State
from service.infactor.users import preferred
from service.kit.clock import now
from service.store import documents, findings, outbox
from workers.delivery.order import addresses_of, key_of
from workers.delivery.results import MISSING, missing
from workers.delivery.transitions import HURRIED, Move, keep_findings, keep_moves
from workers.delivery.turn import NotItsTurn, infactor_turn

log = structlog.get_logger(__name__)

_BUYERS_PAGE = 500


def look_for_buyers(services: Services) -> None:
    """Deliver undecided invoices anew whose buyer can see them by now.

    Their document gets the address in the spelling of the buyer's account; the warning goes away.
    """
    environment, after = services.settings.quickbooks_environment, ""
    while True:
        with services.database.read() as session:
            page = documents.without_buyer(session, environment, after, _BUYERS_PAGE)
        if not page:
            return
        emails = {email for invoice in page for email in addresses_of(invoice)}
        try:
            with infactor_turn(services) as infactor:
                registered = infactor.users.registered_buyers(emails)
        except NotItsTurn:
            return
        found = [i for i in page if preferred(addresses_of(i), registered)[1]]
        if found:
            with services.database.write() as session:
                outbox.deliver_anew(session, [invoice.id for invoice in found])
            for connection_id in {invoice.connection_id for invoice in found}:
                services.jobs.deliver(connection_id)
            log.info("buyers.registered", invoices=len(found))
        if len(page) < _BUYERS_PAGE:
            return
        after = page[-1].id


_PAGE = 500
# Nobody can undo what was approved in a hurry: it stays to be read for so long.
_HURRIED_STAYS = timedelta(days=7)
_MARKS = (REMARK, MARKER)


@dataclass(frozen=True, slots=True)
class News:
    """A document that is not as it was last seen; `standing` is None where it is gone."""

    invoice: Invoice
    seen: Document
    standing: Standing | None

    @property
    def moved(self) -> bool:
        """True where somebody decided."""
        return self.standing is not None and self.standing.state != self.seen.state

    @property
    def marked(self) -> bool:
        """True where remark or marker are others than we know."""
        known = {name: self.seen.document[name] for name in _MARKS if name in self.seen.document}
        return self.standing is not None and self.standing.marks != known

    @property
    def undecided(self) -> bool:
        """True where nobody has decided, or somebody has taken that back."""
        return self.standing is not None and self.standing.state == State.INVOICE_CREATED

    @property
    def astray(self) -> bool:
        """True where an undecided document is at another revision than the one delivered.

        Somebody restored a backup of Infactor's database or of ours, or a worker was very late.
        """
        return (
            self.undecided
            and self.standing is not None
            and self.standing.revision != self.seen.revision
            and self.invoice.delivered_revision >= self.invoice.revision
        )


def look(services: Services) -> None:
    """Note what has become of the open documents; where Infactor is away, leave it for later."""
    with services.database.write() as session:
        findings.close_old(session, HURRIED, now() - _HURRIED_STAYS, now())
    after = ""
    while page := _page(services, after):
        try:
            with infactor_turn(services) as infactor:
                standings = infactor.invoices.states([key_of(invoice) for invoice, _ in page])
        except NotItsTurn:
            return
        _tell(services, page, standings)
        if len(page) < _PAGE:
            return
        after = page[-1][0].id


def _page(services: Services, after: str) -> Sequence[tuple[Invoice, Document]]:
    with services.database.read() as session:
        return documents.open_documents(
            session,
            services.settings.quickbooks_environment,
            ended=ENDED,
            rejected=State.INVOICE_REJECTED,
            marker=MARKER,
            after=after,
            limit=_PAGE,
        )


def _tell(
    services: Services,
    page: Sequence[tuple[Invoice, Document]],
    standings: Mapping[Key, Standing],
) -> None:
    """Write down what is news on this page."""
    with services.database.read() as session:
        known_missing = findings.open_of(session, MISSING, [invoice.id for invoice, _ in page])
    every = [News(i, seen, standings.get(key_of(i))) for i, seen in page]
    news = [
        one
        for one in every
        if (one.standing is None) != (one.invoice.id in known_missing)
        or one.moved
        or one.marked
        or one.astray
    ]
    if not news:
        return
    with services.database.write() as session:
        companies = _note(session, news, now())
    for connection_id in companies:
        services.jobs.deliver(connection_id)


def _note(session: Session, news: Sequence[News], at: datetime) -> set[str]:
    """Note the news; return the companies that have something to deliver on account of it."""
    ids = [one.invoice.id for one in news]
    current = outbox.lock(session, ids)
    seen = outbox.seen(session, ids)
    # What was delivered or forgotten meanwhile is older news than what is known now.
    fresh = [
        News(current[one.invoice.id], seen[one.invoice.id], one.standing)
        for one in news
        if one.invoice.id in current
        and one.invoice.id in seen
        and seen[one.invoice.id].seen_at == one.seen.seen_at
    ]
    _note_findings(session, fresh, at)
    again = [one for one in fresh if one.moved or one.astray]
    # What is undecided again may stand at this very revision, and still not be as we would have it.
    anew = [one.invoice.id for one in again if one.moved and one.undecided]
    for one in fresh:
        _say(one)
        if one.standing is not None and (one.moved or one.marked):
            rest = {n: v for n, v in one.seen.document.items() if n not in _MARKS}
            document = {**rest, **one.standing.marks, "state": one.standing.state}
            documents.note(session, one.invoice.id, one.standing.state, document, at)
    outbox.deliver_anew(session, anew)
    outbox.deliver_again(session, [i for one in again if (i := one.invoice.id) not in anew])
    return {one.invoice.connection_id for one in again}


def _note_findings(session: Session, news: Iterable[News], at: datetime) -> None:
    by_company: dict[str, list[News]] = {}
    for one in news:
        by_company.setdefault(one.invoice.connection_id, []).append(one)
    for connection_id, those in by_company.items():
        gone = {n.invoice.id: [] if n.standing else [missing(n.seen)] for n in those}
        keep_findings(session, connection_id, MISSING, gone, at)
        moves = [
            # Whoever takes our marker away changes nothing about what it said.
            Move.of(
                one.invoice,
                one.seen,
                one.standing.state,
                {**one.seen.document, **one.standing.marks},
            )
            for one in those
            if one.standing is not None
        ]
        keep_moves(session, connection_id, moves, at)


def _say(news: News) -> None:
    if news.moved and news.standing is not None:
        log.info(
            "document.moved",
            invoice=news.invoice.id,
            before=news.seen.state,
            state=news.standing.state,
        )
    elif news.astray and news.standing is not None:
        log.warning(
            "document.astray",
            invoice=news.invoice.id,
            delivered=news.seen.revision,
            there=news.standing.revision,
        )
