"""The cache of each company's customers."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy.orm import Session

from service.database.engine import rows_of
from service.database.tables import Customer
from service.database.tables.invoices import TO_REMAP
from service.database.types import Instant, among, condition
from service.database.upsert import chunked, excluded, insert

# Projects and sub-customers nest at most five deep in QuickBooks.
MAX_DEPTH = 5

# Longer than it takes to record what was read, and than clocks differ.
_SURELY_READ = timedelta(minutes=10)
# More than anybody owes: SQLite keeps amounts as millionths in 64 bits.
_MOST_MONEY = 9_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRead:
    quickbooks_id: str
    parent_id: str | None
    sync_token: int
    last_updated: datetime
    fetch_number: int
    source: dict[str, Any]


def store(
    session: Session,
    connection_id: str,
    reads: Iterable[CustomerRead],
    now: datetime,
    *,
    overrule: bool = False,
) -> set[str]:
    """Keep the newest copy of each customer, and note from which read on a new name was seen.

    With `overrule` that is what was read last, whatever versions QuickBooks gave. Returns the ids
    of those that were not cached, or are not as they were.
    """
    newest = {read.quickbooks_id: read for read in reads}
    changed: set[str] = set()
    for chunk in chunked(sorted(newest)):
        some = [newest[i] for i in chunk]
        changed |= _store_chunk(session, connection_id, some, now, overrule)
    return changed


def _store_chunk(
    session: Session,
    connection_id: str,
    reads: Sequence[CustomerRead],
    now: datetime,
    overrule: bool,
) -> set[str]:
    known = load(session, connection_id, [r.quickbooks_id for r in reads], lock=True)
    changed = {i for read in reads if _differs(known.get(i := read.quickbooks_id), read)}
    statement = insert(session, Customer)
    new = statement.excluded
    later_read = new.fetch_number > Customer.fetch_number
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Customer.connection_id, Customer.quickbooks_id],
            set_=excluded(
                statement,
                "parent_id",
                "sync_token",
                "last_updated",
                "fetch_number",
                "renamed_at_fetch",
                "bills_parent",
                "open_balance",
                "balance_until",
                "source",
                "read_at",
            ),
            where=later_read
            if overrule
            else (new.sync_token > Customer.sync_token)
            | ((new.sync_token == Customer.sync_token) & later_read),
        ),
        [
            {
                "connection_id": connection_id,
                "quickbooks_id": read.quickbooks_id,
                "parent_id": read.parent_id,
                "sync_token": read.sync_token,
                "last_updated": read.last_updated,
                "fetch_number": read.fetch_number,
                "renamed_at_fetch": _renamed_at(known.get(read.quickbooks_id), read),
                "bills_parent": read.source.get("BillWithParent") is True,
                "open_balance": _open_balance(read.source),
                "balance_until": now - _SURELY_READ,
                "source": read.source,
                "read_at": now,
            }
            for read in reads
        ],
    )
    return changed


def _differs(known: Customer | None, read: CustomerRead) -> bool:
    return known is None or known.source != read.source


def _renamed_at(known: Customer | None, read: CustomerRead) -> int | None:
    if known is None:
        return None
    if display_name(known.source) != display_name(read.source):
        return read.fetch_number
    return known.renamed_at_fetch


def _open_balance(source: dict[str, Any]) -> Decimal | None:
    """Return what QuickBooks says that the customer owes, less unapplied credits; None if it says
    nothing that can be kept.
    """
    balance = source.get("Balance")
    if isinstance(balance, bool) or not isinstance(balance, int | Decimal):
        return None
    return Decimal(balance) if -_MOST_MONEY < balance < _MOST_MONEY else None


def display_name(source: dict[str, Any]) -> str | None:
    """Return the name by which an invoice refers to this customer, whether active or not."""
    name = source.get("FullyQualifiedName") or source.get("DisplayName")
    return name.removesuffix(" (deleted)") if isinstance(name, str) else None


def load(
    session: Session, connection_id: str, ids: Collection[str], *, lock: bool = False
) -> dict[str, Customer]:
    """Return the cached customers among `ids`, by id; `lock` locks them for this transaction."""
    if not ids:
        return {}
    given = {"company": connection_id, "ids": sorted(set(ids))}
    rows = session.scalars(_LOAD_LOCKED if lock else _LOAD, given)
    return {row.quickbooks_id: row for row in rows}


_LOAD = (
    select(Customer)
    .where(Customer.connection_id == bindparam("company"), among(Customer.quickbooks_id, "ids"))
    .order_by(Customer.quickbooks_id)
    # A row seen earlier in this session may have been replaced by the upsert above.
    .execution_options(populate_existing=True)
)
_LOAD_LOCKED = _LOAD.with_for_update()


def load_with_parents(
    session: Session, connection_id: str, ids: Collection[str]
) -> dict[str, Customer]:
    """Return the cached customers among `ids` and their cached parents up to the top."""
    found = load(session, connection_id, ids)
    level = found
    for _ in range(MAX_DEPTH):
        parents = {c.parent_id for c in level.values() if c.parent_id} - found.keys()
        if not parents:
            break
        level = load(session, connection_id, parents)
        found |= level
    return found


def chain(customers: dict[str, Customer], customer_id: str | None) -> list[Customer]:
    """Return the customer, then its parents up to the top, as far as they are known."""
    found: list[Customer] = []
    while customer_id and len(found) <= MAX_DEPTH:
        customer = customers.get(customer_id)
        if customer is None or customer in found:
            break
        found.append(customer)
        customer_id = customer.parent_id
    return found


def with_children(session: Session, connection_id: str, ids: Collection[str]) -> set[str]:
    """Return `ids` and every cached customer below them."""
    found = set(ids)
    level = found
    for _ in range(MAX_DEPTH):
        level = (
            set(
                session.scalars(
                    select(Customer.quickbooks_id).where(
                        Customer.connection_id == connection_id, Customer.parent_id.in_(level)
                    )
                )
            )
            - found
        )
        if not level:
            break
        found |= level
    return found


def stale(
    session: Session, connection_id: str, ids: Collection[str], read_before: datetime
) -> set[str]:
    """Return those of `ids` that are not cached, or were last read before that instant."""
    wanted = set(ids)
    given = {"company": connection_id, "ids": sorted(wanted), "read_before": read_before}
    return wanted - set(rows_of(session, _FRESH, given).scalars())


_FRESH = select(Customer.quickbooks_id).where(
    Customer.connection_id == bindparam("company"),
    among(Customer.quickbooks_id, "ids"),
    Customer.read_at >= bindparam("read_before", type_=Instant),
)


def remap_later(session: Session, connection_id: str, ids: Collection[str]) -> None:
    """Let all invoices of these customers be mapped again, a batch at a time."""
    _remap_after(session, connection_id, among(Customer.quickbooks_id, ids), "")


def to_remap(session: Session, connection_id: str) -> tuple[str, str] | None:
    """Return the next customer whose invoices are to be mapped again, and behind which of their
    ids; None if there is none.
    """
    row = session.execute(
        select(Customer.quickbooks_id, Customer.remap_after)
        .where(Customer.connection_id == connection_id, condition(TO_REMAP))
        .order_by(Customer.quickbooks_id)
        .limit(1)
    ).first()
    return None if row is None else (row[0], row[1] or "")


def remapped(session: Session, connection_id: str, customer_id: str, until: str | None) -> None:
    """Note that the customer's invoices are mapped until this id; None: all of them."""
    _remap_after(session, connection_id, Customer.quickbooks_id == customer_id, until)


def _remap_after(
    session: Session, connection_id: str, which: ColumnElement[bool], after: str | None
) -> None:
    theirs = update(Customer).where(Customer.connection_id == connection_id, which)
    session.execute(theirs.values(remap_after=after))
