"""Which customers of a company have had which e-mail address, and since when."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.database.tables import BuyerAddress, Connection
from service.database.types import among
from service.database.upsert import Insert, chunked, insert_all


class AddressRow(NamedTuple):
    """A row of the table: `address` in one case, `since_ms` of the first invoice with it."""

    connection_id: str
    address: str
    customer_id: str
    domain: str
    since_ms: int


def note(session: Session, rows: Sequence[AddressRow]) -> None:
    """Keep these addresses, each once, with the earliest time that is known of it."""
    for chunk in chunked(rows):
        insert_all(session, BuyerAddress, [row._asdict() for row in chunk], _unless_earlier)


def _unless_earlier(statement: Insert) -> Insert:
    key = (BuyerAddress.connection_id, BuyerAddress.address, BuyerAddress.customer_id)
    return statement.on_conflict_do_update(
        index_elements=list(key),
        set_={"since_ms": statement.excluded.since_ms},
        where=statement.excluded.since_ms < BuyerAddress.since_ms,
    )


def shared(session: Session, connection_id: str, addresses: Collection[str]) -> frozenset[str]:
    """Return those of these addresses that several customers of the company have, or had."""
    theirs = (BuyerAddress.connection_id == connection_id, among(BuyerAddress.address, addresses))
    query = select(BuyerAddress.address).where(*theirs).group_by(BuyerAddress.address)
    return frozenset(session.scalars(query.having(func.count() > 1)))


def domains(session: Session, supplier_id: int, environment: str) -> dict[str, int]:
    """Return the domains of the buyers of all companies of the supplier, and since when."""
    rows = session.execute(
        select(BuyerAddress.domain, func.min(BuyerAddress.since_ms))
        .where(BuyerAddress.connection_id.in_(_companies(session, supplier_id, environment)))
        .group_by(BuyerAddress.domain)
    )
    return {domain: since_ms for domain, since_ms in rows}


def _companies(session: Session, supplier_id: int, environment: str) -> Sequence[str]:
    return session.scalars(
        select(Connection.id).where(
            Connection.supplier_id == supplier_id, Connection.environment == environment
        )
    ).all()
