"""Pruning: what nobody needs any more goes, in small transactions.

An acknowledgement waits behind none of them for long, on SQLite either.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from service.bootstrap import Services
from service.store import leases, operators, pruning, samples, sessions
from service.times import now

log = structlog.get_logger(__name__)

_CHUNK = 1000
_KEPT = timedelta(days=90)
_STRANGE_KEPT = timedelta(days=7)
_LEASES_KEPT_SECONDS = 86_400

_Deletion = Callable[[Session, datetime, int], int]
_OLD: tuple[tuple[_Deletion, timedelta], ...] = (
    (pruning.handled_notices, _KEPT),
    (pruning.ignored_notices, _KEPT),
    (pruning.strange_notices, _STRANGE_KEPT),
    (pruning.ended_runs, _KEPT),
    (pruning.counted_deliveries, _KEPT),
    (pruning.ended_alerts, _KEPT),
    (pruning.closed_findings, _KEPT),
    (pruning.old_receipts, _KEPT),
    (samples.old_samples, _KEPT),
)


def prune(services: Services) -> None:
    """Delete what is past its time: the audit alone is kept for ever."""
    prune_at(services, now())


def prune_at(services: Services, at: datetime, *, chunk: int = _CHUNK) -> None:
    """Do it as of this moment, with at most `chunk` rows in one transaction."""
    with services.database.write() as session:
        sessions.prune(session, at)
        operators.prune(session, at)
        leases.prune(session, older_than_seconds=_LEASES_KEPT_SECONDS)
    for deletion, kept in _OLD:
        deleted = _all_of(services, deletion, at - kept, chunk)
        if deleted:
            log.info("pruned", what=deletion.__name__, rows=deleted)


def _all_of(services: Services, deletion: _Deletion, before: datetime, chunk: int) -> int:
    total = 0
    while True:
        with services.database.write() as session:
            deleted = deletion(session, before, chunk)
        total += deleted
        if deleted < chunk:
            return total
