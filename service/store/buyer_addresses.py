"""Which customers of a company have had which e-mail address, and since when."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from service.database.engine import rows_of
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
    given = {"company": connection_id, "addresses": sorted(addresses)}
    return frozenset(rows_of(session, _SHARED, given).scalars())


_SHARED = (
    select(BuyerAddress.address)
    .where(
        BuyerAddress.connection_id == bindparam("company"),
        among(BuyerAddress.address, "addresses"),
    )
    .group_by(BuyerAddress.address)
    .having(func.count() > 1)
)


def domains(session: Session, supplier_id: int, environment: str) -> dict[str, int]:
    """Return the domains of the buyers of all companies of the supplier, and since when."""
    given = {"supplier": supplier_id, "environment": environment}
    return {domain: since_ms for domain, since_ms in rows_of(session, _DOMAINS, given)}


_COMPANIES = select(Connection.id).where(
    Connection.supplier_id == bindparam("supplier"),
    Connection.environment == bindparam("environment"),
)
_DOMAINS = (
    select(BuyerAddress.domain, func.min(BuyerAddress.since_ms))
    .where(BuyerAddress.connection_id.in_(_COMPANIES))
    .group_by(BuyerAddress.domain)
)
