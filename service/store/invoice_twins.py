"""Invoices that share a key with others, in all companies; and which of them to judge again.

What the keys mean is said in `infactor.rules.twins`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session

from service.database.tables import Connection, Document, Invoice
from service.database.types import Many, among
from service.kit import exact_json
from service.store import judging_queue

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


def keys_of(values: Iterable[int | None]) -> tuple[Key, ...]:
    """Return the keys with these values, which are in the order of COLUMNS; None is no key."""
    return tuple((kind, value) for kind, value in enumerate(values) if value is not None)


def sharing(
    session: Session, environment: str, keys: Collection[Key], besides: Collection[str]
) -> dict[Key, list[str]]:
    """Return the ids of the first recorded invoices with each of these keys, if there are any.

    Only those of this environment count, and those `besides` do not. It is one statement.
    """
    if not keys:
        return {}
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    given: dict[str, Any] = {"environment": environment, "besides": list(besides)}
    for kind in range(len(COLUMNS)):
        wanted = sorted({value for of, value in keys if of == kind})
        given[f"keys{kind}"] = exact_json.encode(wanted).decode() if on_sqlite else wanted
    found: dict[Key, list[str]] = {}
    for kind, value, id_ in session.connection().execute(_sharing(on_sqlite=on_sqlite), given):
        found.setdefault((kind, value), []).append(id_)
    return found


@cache
def _sharing(*, on_sqlite: bool) -> Any:
    """Return the query for (kind, value, id), those with one key in the order of their entry."""
    of_kind = _of_kind_on_sqlite if on_sqlite else _of_kind
    return union_all(*map(of_kind, range(len(COLUMNS))))


def _of_kind(kind: int) -> Select[Any]:
    keys = func.unnest(bindparam(f"keys{kind}", type_=ARRAY(BigInteger)))
    given = keys.table_valued("value", name=f"given{kind}").render_derived()
    # Not = ANY: of a statement that is prepared PostgreSQL would compare each of them in turn.
    besides = select(func.unnest(bindparam("besides", type_=Many())))
    first = _first(kind, given.c.value, Invoice.id.not_in(besides)).lateral()
    return select(literal_column(str(kind)), given.c.value, first.c.id).join_from(
        given, first, true()
    )


def _of_kind_on_sqlite(kind: int) -> Select[Any]:
    """SQLite knows no LATERAL, so the ids with one key are one text first."""
    given = func.json_each(bindparam(f"keys{kind}", type_=Text)).table_valued("value")
    first = _first(kind, given.c.value, ~among(Invoice.id, "besides")).subquery()
    ids = select(func.json_group_array(first.c.id)).scalar_subquery()
    texts = select(given.c.value, ids.label("ids")).subquery()
    one = func.json_each(texts.c.ids).table_valued("value")
    return select(literal_column(str(kind)), texts.c.value, one.c.value).join_from(
        texts, one, true()
    )


def _first(kind: int, value: ColumnElement[Any], counts: ColumnElement[bool]) -> Select[Any]:
    """Return the query for the first invoices with this key, which stops at them."""
    # No join: until PostgreSQL has statistics of a new database, it would go by the companies, and
    # so read the index of all their invoices for each key.
    of_company = select(Connection.environment).where(Connection.id == Invoice.connection_id)
    environment = of_company.correlate(Invoice).scalar_subquery()
    return (
        select(Invoice.id)
        .where(COLUMNS[kind] == value, counts, environment == bindparam("environment"))
        .order_by(Invoice.created_ms, Invoice.id)
        .limit(literal_column(str(MOST)))
        .correlate_except(Invoice)
    )


@dataclass(frozen=True, slots=True)
class Shared:
    """What the rules ask of an invoice that shares a key: facts as text, and Infactor's state."""

    id: str
    connection_id: str
    supplier_id: int
    facts: str
    state: str | None


def load(session: Session, ids: Collection[str]) -> dict[str, Shared]:
    """Return these invoices, by id."""
    if not ids:
        return {}
    columns = (Invoice.id, Invoice.connection_id, Connection.supplier_id)
    rows = session.execute(
        select(*columns, Invoice.facts, Document.state)
        .join(Connection, Connection.id == Invoice.connection_id)
        .join(Document, Document.invoice_id == Invoice.id, isouter=True)
        .where(among(Invoice.id, ids))
    )
    return {row[0]: Shared(*row) for row in rows}


def ask(session: Session, ids: Collection[str]) -> set[str]:
    """Ask for these invoices to be judged again; return their companies' connections."""
    companies: dict[str, list[str]] = {}
    if not ids:
        return set()
    found = select(Invoice.connection_id, Invoice.id).where(among(Invoice.id, ids))
    for company, id_ in session.execute(found):
        companies.setdefault(company, []).append(id_)
    for company in sorted(companies):
        judging_queue.ask(session, company, companies[company])
    return set(companies)


def neighbours(
    session: Session,
    environment: str,
    keys: Mapping[str, Collection[Key]],
    *,
    these_too: bool = False,
) -> set[str]:
    """Return the other invoices that share a key with one of these.

    `keys` are those that each of these has, or had, by its id. With `these_too`, also these, where
    they share one.
    """
    every = Counter(key for those in keys.values() for key in set(those))
    others = sharing(session, environment, every, besides=keys)
    ids = {id_ for those in others.values() for id_ in those}
    if these_too:
        shared = others.keys() | {key for key, count in every.items() if count > 1}
        ids |= {id_ for id_, those in keys.items() if not shared.isdisjoint(those)}
    return ids


def ask_for_decided(session: Session, connection_id: str, ids: Collection[str]) -> None:
    """Ask for these invoices of a company, and for their neighbours, to be judged again."""
    if not ids:
        return
    found = session.execute(select(Invoice.id, *COLUMNS).where(among(Invoice.id, ids)))
    keys = {id_: keys_of(values) for id_, *values in found}
    of_company = select(Connection.environment).where(Connection.id == connection_id)
    environment = session.execute(of_company).scalar_one()
    ask(session, neighbours(session, environment, keys, these_too=True))
