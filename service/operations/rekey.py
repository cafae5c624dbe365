"""Re-sealing stored values with the present keys, after ENCRYPTION_KEYS or SECRET_KEY changed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.database.tables import Connection, Notice
from service.domain import RealmId
from service.kit.clock import now
from service.kit.vault import Vault
from service.store import audit

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Rekeyed:
    connections: int
    notices: int


def rekey(database: Database, vault: Vault, actor: str) -> Rekeyed:
    """Seal all secrets with the first key and digest realm ids again, all or nothing."""
    with database.write() as session:
        connections = session.scalars(select(Connection).order_by(Connection.id)).all()
        for connection in connections:
            _connection(connection, vault)
        notices = 0
        while chunk := _notices(session, notices):
            for notice in chunk:
                _notice(notice, vault)
            notices += len(chunk)
        done = Rekeyed(len(connections), notices)
        audit.record(session, actor, "rekey", None, asdict(done), now())
    return done


def _connection(connection: Connection, vault: Vault) -> None:
    realm_id = RealmId(vault.open(connection.realm_sealed, f"{connection.id}:realm"))
    connection.realm_digest = vault.digest(realm_id)
    connection.realm_sealed = vault.seal(realm_id, f"{connection.id}:realm")
    if connection.access_sealed is not None:
        connection.access_sealed = _again(vault, connection.access_sealed, connection, "access")
    if connection.refresh_sealed is not None:
        connection.refresh_sealed = _again(vault, connection.refresh_sealed, connection, "refresh")
    if (previous := connection.previous_refresh_sealed) is not None:
        connection.previous_refresh_sealed = _again(vault, previous, connection, "refresh")


def _again(vault: Vault, sealed: str, connection: Connection, column: str) -> str:
    owner = f"{connection.id}:{column}"
    return vault.seal(vault.open(sealed, owner), owner)


def _notices(session: Session, offset: int) -> Sequence[Notice]:
    query = select(Notice).where(
        or_(Notice.realm_sealed.is_not(None), Notice.body_sealed.is_not(None))
    )
    return session.scalars(query.order_by(Notice.id).offset(offset).limit(_CHUNK)).all()


def _notice(notice: Notice, vault: Vault) -> None:
    if notice.realm_sealed is not None and notice.realm_digest is not None:
        realm_id = RealmId(vault.open(notice.realm_sealed, notice.realm_digest))
        notice.realm_digest = vault.digest(realm_id)
        notice.realm_sealed = vault.seal(realm_id, notice.realm_digest)
    if notice.body_sealed is not None and notice.dedupe_key is not None:
        body = vault.open(notice.body_sealed, notice.dedupe_key)
        notice.body_sealed = vault.seal(body, notice.dedupe_key)
