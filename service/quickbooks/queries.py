"""Queries in QuickBooks' query language (reference 3.3), and whether an answer fits its query."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from service.errors import Unmappable
from service.quickbooks.entity import entity, quickbooks_time

EntityName = Literal["Invoice", "Customer", "Payment", "CreditMemo", "JournalEntry", "Account"]

PAGE = 1000
"""The most rows that QuickBooks gives at once; asking for more is refused."""

# QuickBooks hides inactive records of lists, not of transactions, unless both kinds are asked for.
_ALSO_INACTIVE = dict.fromkeys(("Customer", "Account"), "Active IN (true, false)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One query; the rows of the answer are under the entity's name, at most `most` of them.

    They begin at position `start`, have one of `ids`, and changed at or after `since`; `by_time`:
    in the order of change. Answers are checked against these.
    """

    entity: EntityName
    text: str
    most: int
    start: int = 1
    ids: frozenset[str] | None = None
    since: datetime | None = None
    by_time: bool = False


def by_ids(entity: EntityName, ids: Sequence[str]) -> Statement:
    """Ask for these objects; the answer silently leaves out deleted ones."""
    if not 1 <= len(ids) <= PAGE:
        raise ValueError(f"a query takes 1 to {PAGE} ids")
    if not all(id_.isascii() and id_.isdigit() for id_ in ids):
        raise ValueError("an id is digits")
    listed = ",".join(quote(id_) for id_ in ids)
    text = _select("*", entity, f"Id IN ({listed})", f"MAXRESULTS {PAGE}")
    return Statement(entity, text, most=len(ids), ids=frozenset(ids))


def page_by_time(
    entity: EntityName, since: datetime | None, start: int = 1, most: int = PAGE
) -> Statement:
    """Ask for the objects changed at or after `since`, the oldest change first."""
    order = f"ORDERBY MetaData.LastUpdatedTime {_window(start, most)}"
    text = _select("*", entity, _changed(since), order)
    return Statement(entity, text, most, start, since=since, by_time=True)


def page_by_id(entity: EntityName, start: int = 1) -> Statement:
    """Ask for all objects, inactive ones too."""
    text = _select("*", entity, None, f"ORDERBY Id {_window(start, PAGE)}")
    return Statement(entity, text, PAGE, start)


def count(entity: EntityName, since: datetime | None = None) -> Statement:
    """Ask how many objects all pages of `page_by_time` have together."""
    return Statement(entity, _select("COUNT(*)", entity, _changed(since), ""), most=1)


def quote(value: str) -> str:
    """Return the value as a literal, whatever quotes or backslashes it contains."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _changed(since: datetime | None) -> str | None:
    if since is None:
        return None
    return f"MetaData.LastUpdatedTime >= {quote(quickbooks_time(since))}"


def _window(start: int, most: int) -> str:
    if start < 1:
        raise ValueError("QuickBooks counts positions from 1")
    if not 1 <= most <= PAGE:
        raise ValueError(f"a page has 1 to {PAGE} rows")
    return f"STARTPOSITION {start} MAXRESULTS {most}"


def _select(what: str, entity: EntityName, condition: str | None, rest: str) -> str:
    conditions = [text for text in (condition, _ALSO_INACTIVE.get(entity)) if text]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    start = f"SELECT {what} FROM {entity}"  # noqa: S608 - no database, and no free text
    return " ".join(part for part in (start, where, rest) if part)


_COUNTS = {"startPosition", "maxResults", "totalCount"}


@dataclass(frozen=True, slots=True)
class Page:
    """The rows that were asked for.

    - `given`: positions of the query that the answer takes, dropped rows included.
    - `unasked`: rows that were dropped.
    """

    found: list[dict[str, Any]] = field(repr=False)
    given: int
    unasked: int


def page_of(statement: Statement, response: Mapping[str, Any]) -> Page:
    """Return the rows of a QueryResponse; raises ValueError, naming what it is not."""
    given = response.get(statement.entity)
    if given is None and not response.keys() - _COUNTS:
        return Page([], 0, 0)  # the key is missing when nothing matches (reference 3.2)
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        raise ValueError(f"rows of {statement.entity}")
    if given and response.get("startPosition", statement.start) != statement.start:
        raise ValueError("the page that was asked for")
    rows = given if statement.ids is not None else given[: statement.most]
    if statement.by_time and len(rows) == statement.most and not _in_order(rows):
        raise ValueError("a page in the order that was asked for")
    found = [row for row in rows if _fits(statement, row)]
    if statement.by_time and len(rows) == statement.most and not found:
        raise ValueError("a page of the time that was asked for")
    others = others_in(response, [statement.entity])
    return Page(found, len(rows), len(given) - len(found) + others)


def _in_order(rows: list[dict[str, Any]]) -> bool:
    """Compare the first row with the last: one that changes during the query may be displaced."""
    first, last = changed_at(rows[0]), changed_at(rows[-1])
    return first is None or last is None or first <= last


def _fits(statement: Statement, row: dict[str, Any]) -> bool:
    if statement.ids is not None and row.get("Id") not in statement.ids:
        return False
    return not is_before(row, statement.since)


def others_in(group: Mapping[str, Any], entities: Iterable[str]) -> int:
    """Count the objects of entities that were not asked for."""
    names = group.keys() - _COUNTS - set(entities)
    return sum(len(group[name]) for name in names if isinstance(group[name], list))


def is_before(row: dict[str, Any], since: datetime | None) -> bool:
    """Return whether the object's last change was before `since`, in whole seconds."""
    if since is None:
        return False
    at = changed_at(row)
    return at is not None and at < since.replace(microsecond=0)


def changed_at(row: dict[str, Any]) -> datetime | None:
    """Return the second of an object's last change, or None if it names none."""
    try:
        # Queries compare whole seconds.
        return entity(row).last_updated.replace(microsecond=0)
    except Unmappable:
        return None
