"""Invoices that share a key with others, in all companies; and which of them to judge again.

What the keys mean is said in `infactor.rules.twins`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, Text, any_, bindparam, func, select
from sqlalchemy.orm import Session

from service.database.tables import Connection, Document, Invoice
from service.database.upsert import chunked
from service.kit import exact_json
from service.store import judging

COLUMNS: tuple[Any, ...] = (
    Invoice.twin_number,
    Invoice.twin_buyer,
    Invoice.twin_name,
    Invoice.twin_email,
)
"""In the order of a `TwinKeys`."""

MOST = 20
"""So many invoices with one key are compared with each other, those that were entered first."""

Key = tuple[int, int]
"""Which one of COLUMNS, and its value."""


def sharing(session: Session, keys: Collection[Key]) -> dict[Key, list[str]]:
    """Return the ids of the first recorded invoices with each of these keys, if there are any."""
    found: dict[Key, list[str]] = {}
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    for kind in range(len(COLUMNS)):
        wanted = sorted({value for of, value in keys if of == kind})
        if not wanted:
            continue
        given = {"keys": exact_json.encode(wanted).decode() if on_sqlite else wanted}
        for value, id_ in session.execute(_with_keys(kind, on_sqlite=on_sqlite), given):
            those = found.setdefault((kind, value), [])
            if len(those) < MOST:
                those.append(id_)
    return found


@cache
def _with_keys(kind: int, *, on_sqlite: bool) -> Select[Any, Any]:
    """Return the query for (value, id) of one kind of key; all of `:keys` are one parameter."""
    column = COLUMNS[kind]
    if on_sqlite:
        each = func.json_each(bindparam("keys", type_=Text)).table_valued("value")
        among = column.in_(select(each.c.value))
    else:
        among = column == any_(bindparam("keys", type_=ARRAY(BigInteger)))
    return select(column, Invoice.id).where(among).order_by(column, Invoice.created_ms, Invoice.id)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the rules ask of an invoice that shares a key: facts as text, and Infactor's state."""

    id: str
    connection_id: str
    supplier_id: int
    facts: str
    state: str | None


def load(session: Session, ids: Collection[str], environment: str) -> dict[str, Shared]:
    """Return those of these invoices that are of this environment, by id."""
    found: dict[str, Shared] = {}
    columns = (Invoice.id, Invoice.connection_id, Connection.supplier_id)
    for chunk in chunked(sorted(ids)):
        rows = session.execute(
            select(*columns, Invoice.facts, Document.state)
            .join(Connection, Connection.id == Invoice.connection_id)
            .join(Document, Document.invoice_id == Invoice.id, isouter=True)
            .where(Invoice.id.in_(chunk), Connection.environment == environment)
        )
        found |= {row[0]: Shared(*row) for row in rows}
    return found


def ask(session: Session, ids: Collection[str]) -> set[str]:
    """Ask for these invoices to be judged again; return their companies' connections."""
    companies: dict[str, list[str]] = {}
    for chunk in chunked(sorted(ids)):
        columns = (Invoice.connection_id, Invoice.id)
        found = session.execute(select(*columns).where(Invoice.id.in_(chunk)).order_by(Invoice.id))
        for company, id_ in found:
            companies.setdefault(company, []).append(id_)
    for company in sorted(companies):
        judging.ask(session, company, companies[company])
    return set(companies)


def ask_for_neighbours(session: Session, ids: Collection[str]) -> set[str]:
    """Ask for the invoices that share a key with one of these, and those of these that do.

    Returns their companies' connections.
    """
    of_each: dict[str, set[Key]] = {}
    for chunk in chunked(sorted(ids)):
        for id_, *values in session.execute(
            select(Invoice.id, *COLUMNS).where(Invoice.id.in_(chunk))
        ):
            keys = {(kind, value) for kind, value in enumerate(values) if value is not None}
            of_each[id_] = keys
    several = {
        key: those
        for key, those in sharing(session, set().union(*of_each.values())).items()
        if len(those) > 1
    }
    own = {id_ for id_, keys in of_each.items() if not keys.isdisjoint(several)}
    return ask(session, own.union(*several.values()))
