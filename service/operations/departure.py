"""Asking QuickBooks whether a company still lets us in, when somebody says that it does not."""

from collections.abc import Collection

from service.coordination import leases
from service.domain import OwnNotice
from service.kit.clock import now
from service.services import Services
from service.store import connections, own_notices

# Anybody may say so: each company is asked once in so many seconds.
_SPACING_SECONDS = 60.0


def check(services: Services, connection_ids: Collection[str]) -> list[str]:
    """Ask for one read of each of these companies that may be called; return which are asked for.

    One that was asked for within the last minute is not. The caller sends the nudges.
    """
    asked = []
    for connection_id in connection_ids:
        with services.database.write() as session:
            environment, at = services.settings.quickbooks_environment, now()
            if connections.callable_now(session, connection_id, environment, at) is None:
                continue
            name, owner = f"check:{connection_id}", leases.new_owner()
            if leases.acquire(session, name, owner, seconds=_SPACING_SECONDS):
                own_notices.ask_for_changes(session, connection_id, OwnNotice.CHECK, at)
                asked.append(connection_id)
    return asked
