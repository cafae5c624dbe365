"""The chain of a company's revisions, by which an auditor sees that nothing was changed or left
out.

Each revision has an entry: what it says of the invoice, as JSON. Each entry has a link, made from
its digest and the link before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    bindparam,
    func,
    insert,
    literal,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from service.database.tables import Connection, ErasedRevision, Invoice, Revision
from service.kit.hash_chain import FIRST, digest_of, link_after


def linked(
    session: Session, connection_id: str, revisions: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the revisions of one company with their places in its chain, which they lengthen.

    Each needs an `entry`. The company's lock must be held.
    """
    if not revisions:
        return []
    length, link = session.execute(_LAST, {"company": connection_id}).one()
    found = []
    for revision in revisions:
        length += 1
        entry_digest = digest_of(revision["entry"])
        link = link_after(link or FIRST, entry_digest)
        place = {"connection_id": connection_id, "sequence": length}
        found.append({**revision, **place, "entry_digest": entry_digest, "link": link})
    given = {"company": connection_id, "length": length, "link": link}
    session.connection().execute(_LENGTHEN, given)
    return found


_LAST = select(Connection.chain_length, Connection.chain_link).where(
    Connection.id == bindparam("company")
)
_LENGTHEN = (
    update(Connection)
    .where(Connection.id == bindparam("company"))
    .values(chain_length=bindparam("length"), chain_link=bindparam("link"))
)


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """One revision in its company's chain; `invoice_id` and `entry` are None if it was erased."""

    sequence: int
    invoice_id: str | None
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


def extent(session: Session, connection_id: str) -> tuple[int, int]:
    """Return how long the company's chain is, and the last place that a revision has in it.

    By one statement: what is recorded meanwhile changes both.
    """
    last = (
        select(func.coalesce(func.max(table.sequence), 0))
        .where(table.connection_id == connection_id)
        .scalar_subquery()
        for table in (Revision, ErasedRevision)
    )
    length, *places = session.execute(
        select(Connection.chain_length, *last).where(Connection.id == connection_id)
    ).one()
    return length, max(places)


def entries(
    session: Session, connection_id: str, after: int, until: int, limit: int
) -> Sequence[ChainEntry]:
    """Return the next entries of the company's chain by their sequence, with those erased."""
    kept = select(
        *(Revision.sequence, Revision.invoice_id, Revision.entry),
        *(Revision.entry_digest, Revision.link),
    ).where(*_between(Revision, connection_id, after, until))
    erased = select(
        *(ErasedRevision.sequence, null(), null()),
        *(ErasedRevision.entry_digest, ErasedRevision.link),
    ).where(*_between(ErasedRevision, connection_id, after, until))
    # Each part stops by itself: SQLite would read all of both for the first ones of them together.
    parts = (
        kept.order_by(Revision.sequence).limit(limit).subquery(),
        erased.order_by(ErasedRevision.sequence).limit(limit).subquery(),
    )
    both = union_all(*map(select, parts)).subquery()
    rows = session.execute(select(both).order_by(both.c.sequence).limit(limit))
    return [ChainEntry(*row) for row in rows]


def _between(
    table: type[Revision | ErasedRevision], connection_id: str, after: int, until: int
) -> tuple[ColumnElement[bool], ...]:
    return (table.connection_id == connection_id, table.sequence > after, table.sequence <= until)


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


class RecordedState(NamedTuple):
    """What is recorded of an invoice that its last revision's entry says too, and that entry.

    `forgotten`: no more is left of it than the amounts. `entry` is None where none is left.
    """

    id: str
    total: Decimal | None
    balance: Decimal | None
    deleted: bool
    currency: str | None
    number: str
    customer_id: str | None
    holds: list[dict[str, Any]]
    hold: str | None
    forgotten: bool
    entry: str | None


def recorded(
    session: Session, connection_id: str, after: str, limit: int
) -> Sequence[RecordedState]:
    """Return the company's next invoices, by id, each with its last entry in the chain."""
    last = (
        select(Revision.entry)
        .where(Revision.invoice_id == Invoice.id, Revision.connection_id == connection_id)
        .order_by(Revision.sequence.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = session.execute(
        select(
            *(Invoice.id, Invoice.total, Invoice.balance, Invoice.deleted, Invoice.currency),
            *(Invoice.doc_number, Invoice.customer_id, Invoice.holds, Invoice.hold),
            *(Invoice.mapped.is_(None), last),
        )
        .where(Invoice.connection_id == connection_id, Invoice.id > after)
        .order_by(Invoice.id)
        .limit(limit)
    )
    return list(map(RecordedState._make, rows))
