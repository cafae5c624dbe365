"""The chain of a company's revisions, by which an auditor sees that nothing was changed or left
out.

Each revision has an entry: what it says of the invoice, as JSON. Each entry has a link, made from
its digest and the link before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, literal, null, select, union_all, update
from sqlalchemy.orm import Session

from service.database.tables import Connection, ErasedRevision, Invoice, Revision
from service.kit.hash_chain import FIRST, digest_of, link_after

_PAGE = 1_000


def linked(
    session: Session, connection_id: str, revisions: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the revisions of one company with their places in its chain, which they lengthen.

    Each needs an `entry`. The company's lock must be held.
    """
    if not revisions:
        return []
    length, link = session.execute(
        select(Connection.chain_length, Connection.chain_link).where(Connection.id == connection_id)
    ).one()
    found = []
    for revision in revisions:
        length += 1
        entry_digest = digest_of(revision["entry"])
        link = link_after(link or FIRST, entry_digest)
        place = {"connection_id": connection_id, "sequence": length}
        found.append({**revision, **place, "entry_digest": entry_digest, "link": link})
    session.execute(
        update(Connection)
        .where(Connection.id == connection_id)
        .values(chain_length=length, chain_link=link)
    )
    return found


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """One revision in its company's chain; `entry` is None if it was erased."""

    sequence: int
    entry: str | None
    entry_digest: str
    link: str


@dataclass(frozen=True, slots=True)
class Chain:
    """How long a company's chain is, and its last link; empty for an empty one."""

    length: int
    link: str


def of_company(session: Session, connection_id: str) -> Chain:
    return Chain(
        *session.execute(
            select(Connection.chain_length, Connection.chain_link).where(
                Connection.id == connection_id
            )
        ).one()
    )


def entries(session: Session, connection_id: str) -> Iterator[ChainEntry]:
    """Yield the company's chain from its first entry, with those that were erased."""
    kept = select(Revision.sequence, Revision.entry, Revision.entry_digest, Revision.link).where(
        Revision.connection_id == connection_id
    )
    erased = select(
        ErasedRevision.sequence, null(), ErasedRevision.entry_digest, ErasedRevision.link
    ).where(ErasedRevision.connection_id == connection_id)
    both = union_all(kept, erased).subquery()
    after = 0
    while rows := session.execute(
        select(both).where(both.c.sequence > after).order_by(both.c.sequence).limit(_PAGE)
    ).all():
        for row in rows:
            yield ChainEntry(*row)
        after = rows[-1].sequence


def erase(session: Session, connection_id: str, invoice_ids: Any) -> None:
    """Keep the links of these invoices' revisions, a query of ids, so that they can be deleted."""
    session.execute(
        insert(ErasedRevision).from_select(
            ["connection_id", "sequence", "entry_digest", "link"],
            select(
                literal(connection_id), Revision.sequence, Revision.entry_digest, Revision.link
            ).where(Revision.invoice_id.in_(invoice_ids)),
        )
    )


def recorded(session: Session, connection_id: str, after: str, limit: int) -> Sequence[Invoice]:
    """Return the company's next invoices, by id, to compare with the last entry of each."""
    return session.scalars(
        select(Invoice)
        .where(Invoice.connection_id == connection_id, Invoice.id > after)
        .order_by(Invoice.id)
        .limit(limit)
    ).all()
