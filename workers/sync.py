"""Syncing one company: everything that its pending notices ask for, in as few reads as possible."""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from service.bootstrap import Services
from service.errors import Disconnected, PermanentError, SyncError, Throttled
from service.store import connections, inbox
from service.store.leases import wait_seconds
from service.store.tables import Notice
from service.times import now
from workers.batch import Batch, give_back
from workers.company import Company
from workers.ends import Ends
from workers.failures import concerns_the_company, pause_for, why

log = structlog.get_logger(__name__)

# A busy company is read at most once a second, so that a burst of notices costs a few queries.
SPACING_SECONDS = 1.0
_LOST = PermanentError("the worker died each time that it worked on this notice")


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
    environment = services.settings.quickbooks_environment
    with services.database.write() as session:
        connection = connections.callable_now(session, connection_id, environment, now())
        if connection is None:
            return
        batch, given_up = inbox.claim(session, connection_id, services.leases.owner, now())
        inbox.park(session, [notice.id for notice in given_up], _LOST, now())
    ends = Ends()
    ends.failed(given_up, _LOST, parked={notice.id for notice in given_up})
    ends.tell()
    if not batch:
        return
    try:
        Batch(company, batch).work()
    except Disconnected as e:
        with services.database.write() as session:
            inbox.retry(session, [notice.id for notice in batch], e, now())
    except SyncError as e:
        _fail(services, connection_id, batch, e, connection.failures)


def _fail(
    services: Services,
    connection_id: str,
    batch: Sequence[Notice],
    error: SyncError,
    failures: int,
) -> None:
    """Give the notices back, or up, and leave the company alone for as long as the error asks."""
    until = now() + pause_for(error, failures)
    ends = Ends()
    with services.database.write() as session:
        if isinstance(error, Throttled):
            connections.throttle(session, connection_id, until, str(error), now())
        elif concerns_the_company(error):
            connections.pause(session, connection_id, until, str(error))
        ends.failed(batch, error, parked=give_back(session, batch, error, until))
    ends.tell()
    log.warning("company.failed", connection=connection_id, notices=len(batch), **why(error))


def _nudge_again(services: Services, connection_id: str, lease: str) -> None:
    """Ask for one more sync as soon as it is allowed, if there is still something to do."""
    environment = services.settings.quickbooks_environment
    with services.database.write() as session:
        if not connections.callable_now(session, connection_id, environment, now()):
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
