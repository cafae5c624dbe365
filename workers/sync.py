"""Syncing one company: everything that its pending notices ask for, in as few reads as possible."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from service.bootstrap import Services
from service.errors import Disconnected, PermanentError, SyncError, TransientError, Unrecognised
from service.store import connections, inbox, invoices
from service.store.leases import wait_seconds
from service.store.tables import Notice
from service.times import now
from workers.changes import Cursor, read_page
from workers.company import Company
from workers.customers import CustomerReads
from workers.failures import pause_for, why
from workers.plan import Plan, plan
from workers.reading import InvoiceReads, read_invoices
from workers.record import record
from workers.tally import Recorded

log = structlog.get_logger(__name__)

# A busy company is read at most once a second, so that a burst of notices costs a few queries.
SPACING_SECONDS = 1.0
_GIVE_UP_AFTER = timedelta(days=3)
_MOST_UNRECOGNISED = 3


def sync_company(services: Services, connection_id: str) -> None:
    """Work on the company's due notices, unless somebody else does or did within a second."""
    with services.database.read() as session:
        if not inbox.has_due(session, connection_id, now()):
            return
    name = f"sync:{connection_id}"
    with services.leases.hold(name, spacing=SPACING_SECONDS) as mine:
        if mine:
            _sync(services, connection_id)
    _nudge_again(services, connection_id, name)


def _sync(services: Services, connection_id: str) -> None:
    try:
        company = Company.of(services, connection_id)
    except Disconnected:
        return  # its notices wait for the supplier to connect again
    with services.database.write() as session:
        connection = connections.get(session, connection_id)
        if connection is None or (connection.paused_until or now()) > now():
            return
        failures = connection.failures
        batch, given_up = inbox.claim(session, connection_id, services.leases.owner, now())
        if given_up:
            error = PermanentError("the worker died each time that it worked on this notice")
            inbox.park(session, [notice.id for notice in given_up], error, now())
    if not batch:
        return
    try:
        _work(company, batch)
    except Disconnected as e:
        _give_back(services, connection_id, batch, e, now())
    except (TransientError, Unrecognised) as e:
        _pause(services, connection_id, batch, e, failures)
    except PermanentError as e:
        with services.database.write() as session:
            inbox.park(session, [notice.id for notice in batch], e, now())
        log.warning("notices.parked", connection=connection_id, count=len(batch), **why(e))


def _work(company: Company, batch: Sequence[Notice]) -> None:
    wanted = plan(batch)
    with company.services.database.read() as session:
        merged = _invoices_of(session, company, wanted)
    buyers = CustomerReads(company)
    if wanted.customers:
        buyers.read(wanted.customers.keys())
    changed = _read_changes(company, wanted, buyers) if wanted.changes else set()
    ids = [i for i in dict.fromkeys([*wanted.invoices, *merged]) if i not in changed]
    reads = read_invoices(company, ids) if ids else InvoiceReads()
    recorded = record(
        company,
        reads,
        cause="notice",
        voided=frozenset(wanted.voided),
        buyers=buyers,
        finish=lambda session, recorded: _finish(session, company, wanted, recorded),
    )
    log.info(
        "company.synced",
        connection=company.connection_id,
        notices=len(batch),
        invoices=len(recorded.outcomes) + len(changed),
        remapped=recorded.remapped,
        failed=len(recorded.failed),
    )


def _invoices_of(session: Session, company: Company, wanted: Plan) -> list[str]:
    """Return the invoices of customers that were merged into others: they are read again."""
    if not wanted.merged_away:
        return []
    found = invoices.of_customers(session, company.connection_id, wanted.merged_away.keys())
    return [invoice.quickbooks_id for invoice in found]


def _read_changes(company: Company, wanted: Plan, buyers: CustomerReads) -> set[str]:
    """Record what changed since the watermark; return the notices' invoices that were among it.

    The watermark moves with each page, in the transaction that records it. A batch that fails
    half-way leaves its notices pending, and goes on from the watermark.
    """
    with company.services.database.read() as session:
        since = connections.changes_read_until(session, company.connection_id)
    cursor = Cursor(since)
    answered: set[str] = set()
    while not cursor.done:
        page = read_page(company, cursor)
        outcomes = record(
            company,
            page.reads,
            cause="payment",
            voided=frozenset(wanted.voided),
            buyers=buyers,
            finish=lambda session, recorded, page=page: _finish_changes(  # type: ignore[misc]
                session, company, wanted, recorded, page.cursor.since
            ),
        )
        answered |= outcomes.outcomes.keys() | outcomes.failed.keys()
        cursor = page.cursor
    return answered & wanted.invoices.keys()


def _finish_changes(
    session: Session, company: Company, wanted: Plan, recorded: Recorded, until: datetime | None
) -> None:
    _finish_invoices(session, wanted, recorded)
    if until is not None:
        connections.changes_read(session, company.connection_id, until)


def _finish(session: Session, company: Company, wanted: Plan, recorded: Recorded) -> None:
    """Say what became of each notice, in the transaction that made it so."""
    _finish_invoices(session, wanted, recorded)
    at = now()
    for ids in wanted.customers.values():
        inbox.finish(session, ids, "customer read", at)
    inbox.finish(session, wanted.changes, "the company's changed invoices were read", at)
    connections.synced(session, company.connection_id, at)


def _finish_invoices(session: Session, wanted: Plan, recorded: Recorded) -> None:
    by_outcome: dict[str, list[int]] = {}
    for quickbooks_id, outcome in recorded.outcomes.items():
        by_outcome.setdefault(str(outcome), []).extend(wanted.invoices.get(quickbooks_id, []))
    for text, ids in by_outcome.items():
        inbox.finish(session, ids, text, now())
    for quickbooks_id, error in recorded.failed.items():
        inbox.park(session, wanted.invoices.get(quickbooks_id, []), error, now())


def _pause(
    services: Services,
    connection_id: str,
    batch: Sequence[Notice],
    error: TransientError | Unrecognised,
    failures: int,
) -> None:
    """Leave the company alone for a while, and give its notices back or, after long, up."""
    until = now() + pause_for(error, failures)
    tired = [notice for notice in batch if _is_tired(notice, error)]
    with services.database.write() as session:
        connections.pause(session, connection_id, until, str(error))
        inbox.park(session, [notice.id for notice in tired], error, now())
    _give_back(services, connection_id, [n for n in batch if n not in tired], error, until)


def _is_tired(notice: Notice, error: SyncError) -> bool:
    """Return whether the notice has been tried for long enough with this kind of error."""
    if isinstance(error, Unrecognised):
        return notice.attempts >= _MOST_UNRECOGNISED
    return notice.received_at < now() - _GIVE_UP_AFTER and notice.attempts > 1


def _give_back(
    services: Services,
    connection_id: str,
    batch: Sequence[Notice],
    error: SyncError,
    due_at: datetime,
) -> None:
    with services.database.write() as session:
        inbox.retry(session, [notice.id for notice in batch], error, due_at)
    log.warning("company.failed", connection=connection_id, notices=len(batch), **why(error))


def _nudge_again(services: Services, connection_id: str, lease: str) -> None:
    """Ask for one more sync as soon as it is allowed, if there is still something to do."""
    with services.database.write() as session:
        connection = connections.get(session, connection_id)
        if connection is None or connection.state != "connected":
            return
        if (connection.paused_until or now()) > now():
            return
        if not inbox.has_due(session, connection_id, now()):
            return
        wait = wait_seconds(session, lease, SPACING_SECONDS)
        if wait is None:
            return  # whoever holds the lease asks again when done
        delay = timedelta(seconds=wait)
        if not connections.schedule_nudge(session, connection_id, now(), delay):
            return
    services.jobs.sync(connection_id, delay_ms=int(delay.total_seconds() * 1000) + 1)
