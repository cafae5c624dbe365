"""The rows of an answer, checked against the query: what was not asked for is dropped.

A row that was not asked for may be another company's. A page other than the one asked for would
hide the rows between.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.errors import Unmappable
from service.quickbooks.entity import entity
from service.quickbooks.queries import Statement

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
