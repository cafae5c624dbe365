"""Keep-alive: no connection ends only because nothing happened in its company.

A refresh token dies after 100 days without use (reference 2.4). A daily reconcile uses it; this is
for companies that nobody may read: suspended ones, or all when the month's reads are spent.
"""

from datetime import timedelta

import structlog

from service.bootstrap import Services
from service.errors import Disconnected, SyncError
from service.store import authorisations
from service.times import now
from workers.failures import why

log = structlog.get_logger(__name__)

_IDLE = timedelta(days=7)
_MOST_AT_ONCE = 100


def keep_alive(services: Services) -> None:
    """Refresh the tokens of connections that have been idle for a week."""
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        idle = authorisations.to_keep_alive(session, environment, now() - _IDLE, _MOST_AT_ONCE)
    for connection_id in idle:
        try:
            services.access.access_token(connection_id)
        except Disconnected:
            continue  # it is marked as dead, and said so
        except SyncError as e:
            # There are three months of hours left to try it again.
            log.warning("token.not_kept_alive", connection=connection_id, **why(e))
