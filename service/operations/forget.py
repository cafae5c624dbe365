"""Forgetting companies and their supplier, each in a transaction, so that it can be continued.

A worker that reads the company at this moment records nothing: recording takes the company's lock
and finds it disconnected.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from service.database.engine import after_commit
from service.database.tables import Connection
from service.kit.clock import now
from service.operations.disconnect import Revocation, end, revoke
from service.services import Services
from service.store import audit, connections, forgetting
from service.store.forgetting import Forgotten

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Farewell:
    """The result for a supplier; `stays` says why their name stays, None if it was erased."""

    stays: str | None = None


def forget_company(
    services: Services, connection_id: str, actor: str
) -> tuple[Forgotten, str | None]:
    """Return (what was deleted, why QuickBooks did not confirm the revocation, or None).

    Raises ConnectedAgain, with nothing deleted, if the supplier connects the company meanwhile.
    """
    revocation = revoke(services, connection_id)
    with services.database.write() as session:
        forgotten = _forget(session, revocation)
        details = {**forgotten.as_json(), "revoked": revocation.problem is None}
        audit.record(session, actor, "forget", connection_id, details, now())
    return forgotten, revocation.problem


def forget_supplier(services: Services, supplier_id: int, actor: str) -> Farewell:
    """Erase the supplier whose companies were forgotten; `stays` says why that was not possible."""
    with services.database.write() as session:
        farewell = _part(session, supplier_id)
        details = {"supplier": supplier_id, "anonymised": farewell.stays is None}
        audit.record(session, actor, "forget", None, details, now())
    return farewell


def rehearse(
    services: Services, connection_ids: Sequence[str], supplier_id: int
) -> tuple[list[Forgotten], Farewell]:
    """Return what forgetting these companies would delete, and change nothing."""
    with services.database.trial() as session:
        connections.lock_supplier(session, supplier_id)
        forgotten = []
        for connection_id in connection_ids:
            sealed = session.get_one(Connection, connection_id).refresh_sealed
            forgotten.append(_forget(session, Revocation(connection_id, sealed)))
        return forgotten, _part(session, supplier_id)


def _forget(session: Session, revocation: Revocation) -> Forgotten:
    connection_id = revocation.connection_id
    end(session, revocation)
    after_commit(session, log.info, "company.forgotten", connection=connection_id)
    return forgetting.forget_company(session, connection_id)


def _part(session: Session, supplier_id: int) -> Farewell:
    # Whoever stores a connection for this supplier holds the same lock.
    connections.lock_supplier(session, supplier_id)
    if forgetting.still_has_companies(session, supplier_id):
        return Farewell("another company of this supplier is not forgotten")
    if not forgetting.forget_supplier(session, supplier_id, now()):
        return Farewell("receipts stand in this supplier's name")
    return Farewell()
