"""Retrying at once a company that waits after a failure."""

from service.domain import ConnectionState, OwnNotice
from service.errors import SyncError
from service.kit.clock import now
from service.services import Services
from service.store import approvals, audit, connections, inbox, own_notices, runs


def try_again(services: Services, connection_id: str, actor: str) -> None:
    """End every wait that failures caused for this company, so that workers retry at once.

    Where QuickBooks has ended the connection, its last token is tried now: raises Disconnected if
    it is dead, another SyncError if nobody can tell. One that was ended on purpose has no token.
    """
    with services.database.read() as session:
        connection = connections.get(session, connection_id)
    if connection is not None and connection.state == ConnectionState.DISCONNECTED:
        try:
            services.access.revive(connection_id)
        except SyncError as e:
            with services.database.write() as session:
                audit.record(session, actor, "retry", connection_id, {"why": str(e)}, now())
            raise
    with services.database.write() as session:
        connections.call_again(session, connection_id)
        waiting = inbox.hurry(session, connection_id, now())
        waiting += len(runs.hurry_all(session, connection_id))
        # With nothing left to do, a read shows whether the company lets us in again.
        if not waiting and not approvals.waiting(session, [connection_id]):
            own_notices.ask_for_changes(session, connection_id, OwnNotice.SYNC, now())
        audit.record(session, actor, "retry", connection_id, {}, now())
