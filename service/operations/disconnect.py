"""Disconnecting a company on purpose: at QuickBooks first, then here."""

from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from service.database.engine import after_commit
from service.database.tables import Connection
from service.errors import ConfigurationError, Disconnected, Refused, ServiceError, SyncError
from service.kit.clock import now
from service.services import Services
from service.store import audit, connection_lifecycle, connections

log = structlog.get_logger(__name__)

_ATTEMPTS = 2


class NotRevoked(ServiceError):
    """QuickBooks has not confirmed that the company's tokens are revoked."""


class ConnectedAgain(ServiceError):
    """The supplier connected the company again while it was being disconnected."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """The revoked refresh token; `problem` says why QuickBooks has not confirmed it."""

    connection_id: str
    refresh_sealed: str | None
    problem: str | None = None


def disconnect(services: Services, connection_id: str, actor: str, *, force: bool) -> str | None:
    """Revoke the company's tokens at QuickBooks and delete them here.

    Raises NotRevoked, with everything here unchanged, if QuickBooks does not confirm it. With
    `force` the company is disconnected here all the same, and the reason is returned. Raises
    ConnectedAgain if its supplier connects it meanwhile.
    """
    try:
        revocation = _confirmed(services, connection_id, force=force)
        with services.database.write() as session:
            end(session, revocation)
            details = {"revoked": revocation.problem is None}
            audit.record(session, actor, "disconnect", connection_id, details, now())
            after_commit(session, log.info, "connection.ended", connection=connection_id, **details)
            after_commit(session, services.jobs.judge, connection_id)
    except (NotRevoked, ConnectedAgain) as e:
        # QuickBooks may have ended the connection all the same: this line says who wanted that.
        with services.database.write() as session:
            why = {"why": str(e)}
            audit.record(session, actor, "disconnect failed", connection_id, why, now())
            after_commit(
                session, log.warning, "connection.not_ended", connection=connection_id, **why
            )
        raise
    return revocation.problem


def _confirmed(services: Services, connection_id: str, *, force: bool) -> Revocation:
    revocation = revoke(services, connection_id)
    if revocation.problem is not None and not force:
        raise NotRevoked(revocation.problem)
    return revocation


def end(session: Session, revocation: Revocation) -> None:
    """Disconnect the company and hold its lock; raises ConnectedAgain if it has new tokens."""
    connections.lock(session, revocation.connection_id)
    connection_id, used = revocation.connection_id, revocation.refresh_sealed
    if not connection_lifecycle.end(session, connection_id, used, now()):
        raise ConnectedAgain("its supplier has connected it again meanwhile; nothing was changed")


def revoke(services: Services, connection_id: str) -> Revocation:
    """Revoke the company's tokens at QuickBooks; a dead token counts as revoked.

    Raises ConnectedAgain if the supplier connects the company meanwhile. Any other failure is the
    result's `problem`.
    """
    sealed, problem, consent = None, None, None
    for _ in range(_ATTEMPTS):
        with services.database.read() as session:
            connection = session.get_one(Connection, connection_id)
        given = (connection.supplier_id, connection.renewed_at)
        # A refresh replaces the token; only a new consent changes these two.
        if consent is not None and given != consent:
            raise ConnectedAgain(
                "its supplier has connected it again meanwhile; nothing was changed"
            )
        consent, sealed = given, connection.refresh_sealed
        if sealed is None:
            return Revocation(connection_id, None)
        try:
            services.oauth.revoke(services.vault.open(sealed, f"{connection_id}:refresh"))
            return Revocation(connection_id, sealed)
        except Refused as e:
            problem = str(e)
            # That says only "not accepted": the token may just have been replaced.
            if e.code is None and _is_dead(services, connection):
                return Revocation(connection_id, sealed)
        except (SyncError, ConfigurationError) as e:
            problem = str(e)
            break
    return Revocation(connection_id, sealed, problem)


def _is_dead(services: Services, connection: Connection) -> bool:
    """Return whether QuickBooks refuses to refresh the token, now or before."""
    used = connection.access_sealed
    rejected = services.vault.open(used, f"{connection.id}:access") if used else None
    try:
        services.access.access_token(connection.id, rejected)
    except Disconnected:
        return True
    except SyncError:
        pass
    return False
