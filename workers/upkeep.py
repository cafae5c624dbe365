"""The periodic jobs of this service itself: requeueing, keep-alive of tokens, samples, pruning."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy.orm import Session

from service.coordination import leases
from service.errors import Disconnected, KeysRefused, SyncError
from service.kit.clock import now
from service.queries import measures
from service.services import Services
from service.store import (
    counters,
    inbox,
    infactor_outbox,
    login_attempts,
    pruning,
    runs,
    sessions,
    silence,
    tokens,
)
from workers.retry import why

log = structlog.get_logger(__name__)


def sample(services: Services) -> None:
    """Store a sample of the last full five minutes, unless it is stored already."""
    at = now()
    slot = measures.slot_of(at) - 1
    with services.database.read() as session:
        if measures.is_taken(session, slot):
            return
    with services.database.write() as session:
        measures.take(session, services.settings.quickbooks_environment, slot, at)


def count(services: Services) -> None:
    """Add to the totals what ended since the last time."""
    with services.database.write() as session:
        counters.count_up(session, now())


_IDLE = timedelta(days=7)
_MOST_AT_ONCE = 100


def keep_alive(services: Services) -> None:
    """Refresh the tokens of connections that have been idle for a week."""
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        idle = tokens.to_keep_alive(session, environment, now() - _IDLE, _MOST_AT_ONCE)
    for connection_id in idle:
        try:
            services.access.access_token(connection_id)
        except Disconnected:
            continue  # already marked and logged
        except SyncError as e:
            # Tried again every hour, for the three months that the token lives.
            log.warning("token.not_kept_alive", connection=connection_id, **why(e))


def try_keys(services: Services) -> None:
    """Renew the tokens that the app's wrong keys have kept from it, one by one, until those are
    refused again.

    So the right ones are seen to be right though no company has anything to do.
    """
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        refused = tokens.keys_refused(session, environment, _MOST_AT_ONCE)
    for connection_id in refused:
        try:
            services.access.access_token(connection_id)
        except KeysRefused:
            return
        except SyncError as e:
            log.info("keys.not_tried", connection=connection_id, **why(e))


def revive(services: Services) -> None:
    """Retry the last token of each connection that QuickBooks ended within a week.

    Intuit has called good tokens invalid; what it took back by mistake catches up by itself.
    """
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        dead = tokens.to_revive(session, environment, now(), _MOST_AT_ONCE)
    for connection_id in dead:
        try:
            services.access.revive(connection_id)
        except SyncError as e:
            log.info("connection.not_revived", connection=connection_id, **why(e))


def learn_habits(services: Services) -> None:
    """Learn of each company how long it is usually silent."""
    with services.database.read() as session:
        ids = silence.companies(session, services.settings.quickbooks_environment)
    for connection_id in ids:
        with services.database.write() as session:
            silence.learn(session, connection_id)


_CHUNK = 1000
_KEPT = timedelta(days=90)
_EVENTS_KEPT = timedelta(days=30)
_UNUSABLE_KEPT = timedelta(days=7)
_LEASES_KEPT_SECONDS = 86_400

_Deletion = Callable[[Session, datetime, int], int]
_OLD: tuple[tuple[_Deletion, timedelta], ...] = (
    (pruning.handled_notices, _KEPT),
    (pruning.ignored_notices, _KEPT),
    (pruning.unreadable_notices, _UNUSABLE_KEPT),
    (pruning.unconnected_notices, _UNUSABLE_KEPT),
    (pruning.ended_runs, _KEPT),
    (pruning.counted_deliveries, _KEPT),
    (pruning.ended_alerts, _KEPT),
    (pruning.old_events, _EVENTS_KEPT),
    # A listener may be away for long, and nobody else tells it.
    (pruning.unsent_events, _KEPT),
    (measures.old_samples, _KEPT),
)


def prune(services: Services) -> None:
    """Delete rows past their retention; invoices, their history and the audit are kept.

    Then let SQLite learn what is there, by which it chooses its indexes.
    """
    prune_at(services, now())
    services.database.learn()


def prune_at(services: Services, at: datetime, *, chunk: int = _CHUNK) -> None:
    """Prune as of this moment, at most `chunk` rows in a transaction."""
    with services.database.write() as session:
        sessions.prune(session, at)
        login_attempts.prune(session, at)
        leases.prune(session, older_than_seconds=_LEASES_KEPT_SECONDS)
    of_approved = at - timedelta(days=366 * services.settings.infactor_keep_years)
    of_invoices = (pruning.closed_findings, pruning.old_receipts)
    deletions = [(deletion.__name__, deletion, at - kept) for deletion, kept in _OLD]
    deletions += [
        (deletion.__name__, partial(deletion, of_approved=of_approved), at - _KEPT)
        for deletion in of_invoices
    ]
    for what, deletion, before in deletions:
        deleted = _all_of(services, deletion, before, chunk)
        if deleted:
            log.info("pruned", what=what, rows=deleted)


def _all_of(services: Services, deletion: _Deletion, before: datetime, chunk: int) -> int:
    total = 0
    while True:
        with services.database.write() as session:
            deleted = deletion(session, before, chunk)
        total += deleted
        if deleted < chunk:
            return total


def requeue_due(services: Services) -> None:
    """Send a nudge for each company with due notices or deliveries, and each run that may go on.

    So a flushed queue, a lost nudge or a dead worker costs at most one interval. The lease turns
    away nudges for work that is being done.
    """
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        strays = inbox.strays(session, environment)
    if strays:
        with services.database.write() as session:
            for connection_id, realm_digest in strays:
                inbox.link(session, connection_id, realm_digest)
    with services.database.read() as session:
        companies = inbox.due_connections(session, environment, now())
        due_runs = runs.due(session, environment, now())
        delivering = (
            infactor_outbox.due_connections(session, environment, now())
            if services.settings.delivers
            else ()
        )
    if (companies or delivering or due_runs) and services.jobs.trouble() is not None:
        # A worker's own client would wait for a minute for each, and so would the periodic jobs.
        return
    for connection_id in companies:
        services.jobs.sync(connection_id)
    for connection_id in delivering:
        services.jobs.deliver(connection_id)
    for run_id in due_runs:
        services.jobs.run(run_id)
