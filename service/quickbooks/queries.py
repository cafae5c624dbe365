"""Queries in QuickBooks' query language (reference 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from service.quickbooks.entity import quickbooks_time

EntityName = Literal["Invoice", "Customer", "Payment", "CreditMemo"]

PAGE = 1000
"""The most rows that QuickBooks gives at once; asking for more is refused."""

# QuickBooks hides inactive records of lists, not of transactions, unless both kinds are asked for.
_ALSO_INACTIVE = {"Customer": "Active IN (true, false)"}


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
